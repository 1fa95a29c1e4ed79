"""95 % intervals: a bootstrap over tasks and seeds for means, and jackknife errors joined with seeds for scalars."""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
NORMAL_QUANTILE = 1.959964
BLOCK = 100

Interval = tuple[float, float, float]
"""Value, low, high; NaN where it cannot be computed."""
UNKNOWN: Interval = (float("nan"), float("nan"), float("nan"))


Sums = tuple[np.ndarray, np.ndarray]
"""Totals and weights (S, K) of S seeds on K tasks: a mean is sum(total) / sum(weight)."""


def bootstrap(samples: Sequence[Sums], resamples: int, seed: int) -> np.ndarray:
    """(len(samples), resamples) means under resampling of tasks and of seeds.

    All samples are on the same K tasks, and one draw of tasks serves them all: what is hard for one seed or encoder is
    hard for the others, so tasks do not average out over seeds, and differences of encoders are paired.
    """
    assert len({part.shape[1] for sums in samples for part in sums}) == 1, "samples on the same tasks"
    rng = np.random.default_rng(seed)
    values = np.empty((len(samples), resamples))
    for first in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - first)
        tasks = _counts(rng, size, samples[0][0].shape[1])
        for row, (totals, weights) in zip(values, samples, strict=True):
            seeds = _counts(rng, size, len(totals))
            numerator = ((tasks @ totals.T) * seeds).sum(axis=1)
            denominator = ((tasks @ weights.T) * seeds).sum(axis=1)
            row[first : first + size] = np.divide(
                numerator, denominator, out=np.full(size, np.nan), where=denominator != 0
            )
    return values


def _counts(rng: np.random.Generator, size: int, n: int) -> np.ndarray:
    """(size, n) float: how often each of n things is drawn in n draws with replacement."""
    drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def mean_interval(totals: np.ndarray, weights: np.ndarray, resamples: int, seed: int) -> Interval:
    """sum(total) / sum(weight) over tasks and seeds, with the percentiles of its bootstrap. Shape: (S, K) each."""
    if not weights.sum():
        return UNKNOWN
    return float(totals.sum() / weights.sum()), *_percentiles(bootstrap([(totals, weights)], resamples, seed)[0])


def difference_interval(first: Sums, second: Sums, resamples: int, seed: int) -> Interval:
    """Mean of the first less that of the second, on the same tasks, with the percentiles of its paired bootstrap."""
    if not (first[1].sum() and second[1].sum()):
        return UNKNOWN
    value = first[0].sum() / first[1].sum() - second[0].sum() / second[1].sum()
    values = bootstrap([first, second], resamples, seed)
    return float(value), *_percentiles(values[0] - values[1])


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    """Low and high. A resample without weight has no value: it says nothing about where the value lies."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)


def scalar_interval(values: np.ndarray, errors: np.ndarray) -> Interval:
    """Mean over seeds of (S,) values with standard errors (S,).

    The errors come from tasks that all seeds share, so they do not shrink with S; the spread between seeds does.
    """
    value = float(values.mean())
    between = values.var(ddof=1) / len(values) if len(values) > 1 else 0.0
    error = float(np.sqrt((errors**2).mean() + between))
    return value, value - NORMAL_QUANTILE * error, value + NORMAL_QUANTILE * error
