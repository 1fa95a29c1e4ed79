"""95 % intervals: a bootstrap over tasks and seeds for means, and jackknife errors joined with seeds for scalars."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
NORMAL_QUANTILE = 1.959964
BLOCK = 100

Interval = tuple[float, float, float]
"""Value, low, high; NaN where it cannot be computed."""
UNKNOWN: Interval = (float("nan"), float("nan"), float("nan"))


class Sums(NamedTuple):
    """Of S seeds on K tasks: a mean is sum(total) / sum(weight)."""

    totals: np.ndarray
    """(S, K)"""
    weights: np.ndarray
    """(S, K)"""
    seeds: tuple[str, ...]
    """The names of the S seeds, in ascending order."""

    @property
    def mean(self) -> float:
        """Over tasks and seeds."""
        return float(self.totals.sum() / self.weights.sum())


def bootstrap(samples: Sequence[Sums], resamples: int, seed: int) -> np.ndarray:
    """(len(samples), resamples) means under resampling of tasks and of seeds.

    All samples are on the same K tasks, and one draw of tasks serves them all: what is hard for one seed or encoder is
    hard for the others, so tasks do not average out over seeds, and differences of encoders are paired. So are they by
    seed, which draws data and weights: samples of the same seeds share a draw of them, others have draws of their own.
    """
    assert len({part.shape[1] for sums in samples for part in sums[:2]}) == 1, "samples on the same tasks"
    for sums in samples:
        assert len(set(sums.seeds)) == len(sums.totals), "a name a seed"
        assert list(sums.seeds) == sorted(sums.seeds), "names of seeds in order"
    rng = np.random.default_rng(seed)
    values = np.empty((len(samples), resamples))
    for first in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - first)
        tasks = _counts(rng, size, samples[0].totals.shape[1])
        drawn = {seeds: _counts(rng, size, len(seeds)) for seeds in dict.fromkeys(sums.seeds for sums in samples)}
        for row, (totals, weights, seeds) in zip(values, samples, strict=True):
            numerator = ((tasks @ totals.T) * drawn[seeds]).sum(axis=1)
            denominator = ((tasks @ weights.T) * drawn[seeds]).sum(axis=1)
            row[first : first + size] = np.divide(
                numerator, denominator, out=np.full(size, np.nan), where=denominator != 0
            )
    return values


def _counts(rng: np.random.Generator, size: int, n: int) -> np.ndarray:
    """(size, n) float: how often each of n things is drawn in n draws with replacement."""
    drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def mean_interval(sums: Sums, resamples: int, seed: int) -> Interval:
    """sum(total) / sum(weight) over tasks and seeds, with the percentiles of its bootstrap."""
    return (sums.mean, *_percentiles(bootstrap([sums], resamples, seed)[0])) if sums.weights.sum() else UNKNOWN


def difference_interval(first: Sums, second: Sums, resamples: int, seed: int) -> Interval:
    """Mean of the first less that of the second, on the same tasks, with the percentiles of its paired bootstrap."""
    if not (first.weights.sum() and second.weights.sum()):
        return UNKNOWN
    values = bootstrap([first, second], resamples, seed)
    return first.mean - second.mean, *_percentiles(values[0] - values[1])


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    """Low and high. A resample without weight has no value: it says nothing about where the value lies."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean over seeds with an interval from their spread, which a single seed does not have; NaN of none."""
    if len(values) < 2:
        return (values[0], *UNKNOWN[1:]) if values else UNKNOWN
    return scalar_interval(np.array(values, float), np.zeros(len(values)))


def scalar_interval(values: np.ndarray, errors: np.ndarray) -> Interval:
    """Mean over seeds of (S,) values with standard errors (S,).

    The errors come from tasks that all seeds share, so they do not shrink with S; the spread between seeds does.
    """
    value = float(values.mean())
    between = values.var(ddof=1) / len(values) if len(values) > 1 else 0.0
    error = float(np.sqrt((errors**2).mean() + between))
    return value, value - NORMAL_QUANTILE * error, value + NORMAL_QUANTILE * error
