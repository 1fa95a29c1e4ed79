"""What one column of a record says: a level, a trend, and how much of it is noise.

Records may be sparse: rows that were not printed are absent, never zero. Only where rows come at even distances are
they smoothed, by a running median of 5 (from 15 rows on) or 3 (from 8 rows on), and is their noise known from changes.
Of uneven rows `scatter` tells it, less well.
"""

import math
from collections import Counter

import numpy as np
import pandas as pd

SMALLEST = 1e-12
NOISE_LIMITS = 4.0
"""A change counts from so many standard deviations of the noise on."""
MANY, TENFOLD = 1000, 10
FEW_ROWS = 1.5
"""Over the root of their number: by how much more than measured the noise of rows may be."""
MANY_ROWS, FOR_TWICE = 15, 0.5
"""Rows of which one may stand out by chance, and how many standard deviations more it takes in twice as many."""
_MIN_CHANGES = 6
_MIN_SCATTER = 4


def smooth(series: pd.Series) -> pd.Series:
    """The running median, or the values themselves where rows are few or uneven."""
    return running_median(series) if is_even(series) else series


def running_median(series: pd.Series) -> pd.Series:
    """Over 5 rows, 3 of few, however far apart they are; the values themselves below 8 rows.

    Towards the ends over fewer rows, and at the ends by Tukey's rule, which follows a trend: the median of the value,
    its neighbour's level and where the line through the two levels beside it leads. Exploratory data analysis, 1977.
    """
    window = 5 if len(series) >= 15 else 3 if len(series) >= 8 else 1
    if window == 1:
        return series
    values, level = series.to_numpy(float), series.rolling(window, center=True).median().to_numpy(float, copy=True)
    if window > 3:
        level[1], level[-2] = np.median(values[:3]), np.median(values[-3:])
    for end, beside, next_to in ((0, 1, 2), (-1, -2, -3)):
        level[end] = np.median([values[end], level[beside], 3 * level[beside] - 2 * level[next_to]])
    return pd.Series(level, index=series.index)


def noise(series: pd.Series) -> float:
    """Standard deviation of the logarithm of a value about its trend; 0 if unknown.

    From changes between neighbours, or from distances to the line between neighbours where these say less, as they do
    where the trend bends. Robust: the median absolute deviation of the changes, scaled for a Gaussian.
    """
    changes = np.diff(np.log(np.maximum(series.to_numpy(float), SMALLEST)))[_even(series)]
    if len(changes) < _MIN_CHANGES:
        return 0.0
    about = float(1.4826 * np.median(np.abs(changes - np.median(changes))) / math.sqrt(2))
    # Of few rows the distances may be small by chance.
    return min(about, (1 + FEW_ROWS / math.sqrt(len(changes))) * scatter(series))


def absolute_noise(series: pd.Series) -> float:
    """As `noise`, of the value itself, which may be zero or negative."""
    changes = np.diff(series.to_numpy(float))
    return float(1.4826 * np.median(np.abs(changes - np.median(changes))) / math.sqrt(2)) if len(changes) else 0.0


def scatter(series: pd.Series) -> float:
    """Standard deviation of the logarithm of a value about the line between its neighbours; 0 below four rows.

    For rows at any distances. Robust: the median of the deviations, scaled for a Gaussian. Gasser, Sroka and
    Jennen-Steinmetz, Residual variance and residual pattern in nonlinear regression, Biometrika 1986.
    """
    if len(series) < _MIN_SCATTER:
        return 0.0
    x, y = series.index.to_numpy(float), np.log(np.maximum(series.to_numpy(float), SMALLEST))
    before = (x[2:] - x[1:-1]) / (x[2:] - x[:-2])
    off = np.abs(y[1:-1] - before * y[:-2] - (1 - before) * y[2:]) / np.sqrt(1 + before**2 + (1 - before) ** 2)
    return float(1.4826 * np.median(off))


def end(series: pd.Series) -> float:
    """The level at the end."""
    return float(smooth(series).iloc[-1])


def grew(low: float, high: float, factor: float, noise_of: pd.Series) -> bool:
    """Whether `high` is `factor` times `low`, and further from it than the noise of a series explains."""
    ratio = math.log(max(high, SMALLEST)) - math.log(max(low, SMALLEST))
    return ratio >= max(math.log(factor), NOISE_LIMITS * noise(noise_of))


def beyond_chance(rows: int) -> float:
    """How many standard deviations more it takes for one of so many rows to stand out."""
    return FOR_TWICE * math.log2(max(rows, MANY_ROWS) / MANY_ROWS)


def over(high: float, low: float) -> float:
    """high / low, where low may be zero."""
    return float(high) / max(float(low), SMALLEST)


def times(ratio: float) -> str:
    """A ratio in words: "2.5 times". Beyond a thousand its digits say nothing."""
    return f"{ratio:.1f} times" if ratio < MANY else f"over {MANY} times"


def risen(ratio: float) -> str:
    """How far a ratio is above 1: "25.0%", or "over 1000 times" where per cent would be many."""
    return f"{ratio - 1:.1%}" if ratio < TENFOLD else times(ratio)


def lowest(series: pd.Series) -> int:
    """The epoch or step of the smallest value."""
    return int(series.index[int(series.to_numpy().argmin())])


def highest(series: pd.Series) -> int:
    """The epoch or step of the largest value."""
    return int(series.index[int(series.to_numpy().argmax())])


def last_stretch(holds: pd.Series) -> int | None:
    """First index from which `holds` is true up to the end; None where it is false at the end."""
    if not len(holds) or not holds.iloc[-1]:
        return None
    false = holds.index[~holds]
    return int(holds.index[0] if not len(false) else holds.index[holds.index > false[-1]][0])


def longest_stretch(holds: pd.Series) -> list[int]:
    """The longest row of neighbouring indices at which `holds` is true."""
    stretches: list[list[int]] = [[]]
    for at, true in zip(holds.index.tolist(), holds.tolist(), strict=True):
        if true:
            stretches[-1].append(at)
        else:
            stretches.append([])
    return max(stretches, key=len)


def is_even(series: pd.Series) -> bool:
    """Whether nine in ten rows are at the most common distance."""
    return len(series) > 1 and bool(_even(series).mean() >= 0.9)


def _even(series: pd.Series) -> np.ndarray:
    """Which changes are over the most common distance between rows."""
    gaps = np.diff(series.index.to_numpy(float))
    if not len(gaps):
        return np.zeros(0, bool)
    (common, _), *_ = Counter(gaps.tolist()).most_common(1)
    return gaps == common
