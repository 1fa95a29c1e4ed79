"""95 % intervals: a bootstrap over tasks and seeds for means, and jackknife errors joined with seeds for scalars."""

import numpy as np

LEVEL = 0.95
NORMAL_QUANTILE = 1.959964
BLOCK = 100

Interval = tuple[float, float, float]
"""Value, low, high; NaN where it cannot be computed."""


def bootstrap(totals: np.ndarray, weights: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples,) values of sum(total) / sum(weight) under resampling of tasks and of seeds.

    Shape: totals and weights (S, K) of S seeds on the same K tasks. Seeds share their tasks, so one draw of tasks
    serves all seeds of a resample: what is hard for one seed is hard for the others, and tasks do not average out.
    """
    assert totals.shape == weights.shape, "one total and one weight per seed and task"
    n_seeds, n_tasks = totals.shape
    rng = np.random.default_rng(seed)
    values = np.empty(resamples)
    for first in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - first)
        tasks = _counts(rng, size, n_tasks)
        seeds = _counts(rng, size, n_seeds)
        numerator = ((tasks @ totals.T) * seeds).sum(axis=1)
        denominator = ((tasks @ weights.T) * seeds).sum(axis=1)
        values[first : first + size] = np.divide(
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
        return float("nan"), float("nan"), float("nan")
    tail = 100 * (1 - LEVEL) / 2
    # A resample without weight has no value: it says nothing about where the value lies.
    low, high = np.nanpercentile(bootstrap(totals, weights, resamples, seed), [tail, 100 - tail])
    return float(totals.sum() / weights.sum()), float(low), float(high)


def scalar_interval(values: np.ndarray, errors: np.ndarray) -> Interval:
    """Mean over seeds of (S,) values with standard errors (S,).

    The errors come from tasks that all seeds share, so they do not shrink with S; the spread between seeds does.
    """
    value = float(values.mean())
    between = values.var(ddof=1) / len(values) if len(values) > 1 else 0.0
    error = float(np.sqrt((errors**2).mean() + between))
    return value, value - NORMAL_QUANTILE * error, value + NORMAL_QUANTILE * error
