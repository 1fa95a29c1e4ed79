"""How embeddings fill their space: ranks, variance, isotropy, LiDAR, Epps-Pulley, and how a codebook is used.

Legend: n samples, D dimensions, G groups of tasks, K codes. Reference implementations in float64.
"""

from collections.abc import Callable

import numpy as np

GROUPS = 20
EPPS_PULLEY_SAMPLES = 128
EPPS_PULLEY_SLICES = 128
KNOTS = np.linspace(0, 3, 17)
LIDAR_RIDGE = 1e-4
TINY = 1e-12

Scalar = tuple[float, float]
"""A value and its standard error."""


def entropy_rank(weights: np.ndarray) -> float:
    """exp of the entropy of non-negative `weights` (k,) as shares: 1 to k, 0 if there is no weight at all."""
    total = weights.sum()
    if total <= 0:
        return 0.0
    shares = weights[weights > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def effective_rank(covariance: np.ndarray) -> float:
    """exp entropy of the eigenvalues of a (D, D) covariance: the definition of the analysed run."""
    return entropy_rank(np.maximum(np.linalg.eigvalsh(covariance), 0))


def rankme(second_moment: np.ndarray) -> float:
    """exp entropy of the singular values of the (n, D) embeddings, not centred, from Z'Z (D, D). arXiv 2210.02885."""
    return entropy_rank(np.sqrt(np.maximum(np.linalg.eigvalsh(second_moment), 0)))


def isotropy(covariance: np.ndarray) -> float:
    """Smallest over largest eigenvalue of a (D, D) covariance: 0 where a dimension is lost, 1 for a sphere."""
    values = np.maximum(np.linalg.eigvalsh(covariance), 0)
    return float(values[0] / values[-1]) if values[-1] > 0 else 0.0


def variance(covariance: np.ndarray) -> float:
    """Mean variance of a dimension."""
    return float(np.trace(covariance) / len(covariance))


def lidar(x: np.ndarray, classes: np.ndarray) -> float:
    """exp entropy of the eigenvalues of Sw^-1/2 Sb Sw^-1/2, tasks being the classes. arXiv 2312.04000.

    Shape: x (n, D), classes (n,) int. 0 where no class has two samples. Sw is regularised relative to its trace, so
    that the scale of the embeddings does not matter.
    """
    return _lidar(_class_moments(x, classes, np.zeros(len(classes), np.int64)).sum(axis=0))


def _class_moments(x: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(G, 2, D + 1, D + 1) sums per group of classes: of class means, and of deviations from them, as `_moments`."""
    _, first, index, counts = np.unique(classes, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    means = np.add.reduceat(x[order].astype(np.float64), starts, axis=0) / counts[:, None]
    return np.stack([_moments(means, groups[first]), _moments(x - means[index], groups)], axis=1)


def _lidar(moments: np.ndarray) -> float:
    between, scatter = _covariance(moments[0]), moments[1][1:, 1:] / moments[1][0, 0]
    if not scatter.any():
        return 0.0
    ridge = LIDAR_RIDGE * np.trace(scatter) / len(scatter)
    lower = np.linalg.cholesky(scatter + ridge * np.eye(len(scatter)))
    half = np.linalg.solve(lower, between)
    return entropy_rank(np.maximum(np.linalg.eigvalsh(np.linalg.solve(lower, half.T)), 0))


def epps_pulley(x: np.ndarray, slices: int = EPPS_PULLEY_SLICES, seed: int = 0) -> float:
    """The statistic of SIGReg (arXiv 2511.08544) on (n, D): about 1.05 on N(0, I), 0.402 n on collapse to zero.

    n * sum over knots t of w(t) |mean exp(i t a'x) - exp(-t^2/2)|^2, averaged over random unit directions a.
    """
    directions = np.random.default_rng(seed).normal(size=(x.shape[1], slices))
    directions /= np.linalg.norm(directions, axis=0)
    gauss = np.exp(-(KNOTS**2) / 2)
    weights = gauss * 2 * (KNOTS[1] - KNOTS[0])
    weights[[0, -1]] /= 2
    angles = (x.astype(np.float64) @ directions)[:, :, None] * KNOTS
    error = (np.cos(angles).mean(axis=0) - gauss) ** 2 + np.sin(angles).mean(axis=0) ** 2
    return float(len(x) * (error @ weights).mean())


def epps_pulley_at_fixed_size(x: np.ndarray, seed: int = 0) -> Scalar:
    """Mean statistic of disjoint random batches of EPPS_PULLEY_SAMPLES, at most GROUPS of them, and its error.

    The statistic grows with the batch, so sizes must agree for values to compare. Error: NaN with a single batch;
    both NaN with fewer samples than one batch.
    """
    order = np.random.default_rng(seed).permutation(len(x))
    count = min(GROUPS, len(x) // EPPS_PULLEY_SAMPLES)
    if count == 0:
        return float("nan"), float("nan")
    batches = order[: count * EPPS_PULLEY_SAMPLES].reshape(count, -1)
    values = np.array([epps_pulley(x[batch], seed=seed + i) for i, batch in enumerate(batches)])
    error = values.std(ddof=1) / np.sqrt(count) if count > 1 else float("nan")
    return float(values.mean()), float(error)


def code_usage(counts: np.ndarray) -> float:
    """Share of the codes (K,) that were assigned at least once."""
    return float((counts > 0).mean())


def code_perplexity(counts: np.ndarray) -> float:
    """exp entropy of the assignments per code (K,): 1 to K, 0 without any assignment."""
    return entropy_rank(np.asarray(counts, dtype=np.float64))


def groups_of(tasks: np.ndarray) -> np.ndarray:
    """(n,) group 0..GROUPS-1 of each sample: whole tasks, in turn."""
    return np.unique(tasks, return_inverse=True)[1] % GROUPS


def jackknife_error(without: np.ndarray) -> float:
    """Standard error from (G,) values, each computed without one group: delete-a-group jackknife."""
    count = len(without)
    return float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))


def summed_scalar(statistic: Callable[[np.ndarray], float], sums: np.ndarray) -> Scalar:
    """Value and error of a statistic of sums over samples, from the sums per group (G, ...).

    Error: NaN where fewer than two groups hold samples.
    """
    total = sums.sum(axis=0)
    held = [group for group in sums if group.any()]
    if len(held) < 2:
        return statistic(total), float("nan")
    return statistic(total), jackknife_error(np.array([statistic(total - group) for group in held]))


def describe(x: np.ndarray, tasks: np.ndarray) -> dict[str, Scalar]:
    """Value and jackknife error over groups of tasks of every statistic but Epps-Pulley, for x (n, D), tasks (n,)."""
    groups = groups_of(tasks)
    moments = _moments(np.asarray(x, dtype=np.float64), groups)
    classes = _class_moments(np.asarray(x, dtype=np.float64), tasks, groups)
    return {
        "effective_rank": summed_scalar(lambda total: effective_rank(_covariance(total)), moments),
        "rankme": summed_scalar(lambda total: rankme(total[1:, 1:]), moments),
        "variance": summed_scalar(lambda total: variance(_covariance(total)), moments),
        "isotropy": summed_scalar(lambda total: isotropy(_covariance(total)), moments),
        "lidar": summed_scalar(_lidar, classes),
    }


def _moments(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(G, D + 1, D + 1) sums of [1, x]'[1, x] per group: all that a covariance needs."""
    padded = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    return np.stack([padded[groups == g].T @ padded[groups == g] for g in range(GROUPS)])


def _covariance(moments: np.ndarray) -> np.ndarray:
    count = moments[0, 0]
    mean = moments[0, 1:] / count
    return moments[1:, 1:] / count - np.outer(mean, mean)
