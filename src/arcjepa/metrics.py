"""InfoNCE in nats against a fixed pool: one yardstick for encoders that were trained on different objectives.

Legend: C calibration queries, B queries, P pool targets, D embedding width, F features of a context, n samples.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

KINDS = ("cosine", "centred_cosine", "squared_distance")
ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
BLOCK = 512
TINY = 1e-12
# Temperatures within this factor of the scores' spread are searched, in log space.
TEMPERATURE_RANGE = 1e3


@dataclass(frozen=True, eq=False)
class Scorer:
    """How well a target fits a prediction: a similarity and the temperature that makes it a probability."""

    kind: str
    """One of KINDS."""
    temperature: float
    """Scores are divided by it before the softmax; in units of the score."""
    mean: np.ndarray
    """(D,) mean of training targets, for the centring."""
    calibration_nce: float
    """Nats on the calibration split, by which the kind was chosen."""

    def scores(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """(B, D), (P, D) -> (B, P): higher fits better; for squared_distance up to a constant per prediction."""
        queries, keys, bias = factors(self.kind, self.mean, predictions, targets)
        return queries @ keys.T + bias

    def paired(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """(n, D), (n, D) -> (n,): prediction i against target i, on the scale of `scores`."""
        queries, keys, bias = factors(self.kind, self.mean, predictions, targets)
        return np.einsum("nd,nd->n", queries, keys) + bias


def factors(
    kind: str, mean: np.ndarray, predictions: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every score as an inner product: (B, D), (P, D) and (P,) with score = queries @ keys.T + bias, float32."""
    # A shift changes no distance, and without it float32 loses small distances between far-off points.
    shift = np.zeros_like(mean) if kind == "cosine" else mean
    queries, keys = (np.asarray(x - shift, dtype=np.float32) for x in (predictions, targets))
    if kind == "squared_distance":
        return 2 * queries, keys, -np.einsum("pd,pd->p", keys, keys)
    return _unit(queries), _unit(keys), np.zeros(len(keys), np.float32)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), TINY)


def fit_scorer(predictions: np.ndarray, own: np.ndarray, pool: np.ndarray, mean: np.ndarray) -> Scorer:
    """Kind and temperature with the lowest InfoNCE of calibration queries, each against the pool and its own target.

    Shape: predictions and own targets (C, D), pool (P, D), mean (D,) of training targets.
    """
    fitted = [_fit_temperature(kind, predictions, own, pool, mean) for kind in KINDS]
    return min(fitted, key=lambda scorer: scorer.calibration_nce)


def _fit_temperature(kind: str, predictions: np.ndarray, own: np.ndarray, pool: np.ndarray, mean: np.ndarray) -> Scorer:
    scorer = Scorer(kind, 1.0, mean, float(np.log(len(pool) + 1)))
    scores = np.concatenate([scorer.paired(predictions, own)[:, None], scorer.scores(predictions, pool)], axis=1)
    spread = float(scores.std(axis=1).mean())
    if spread <= TINY:
        return scorer  # a collapsed encoder: every temperature gives chance
    scores -= scores.max(axis=1, keepdims=True)
    positive = scores[:, 0].copy()
    buffer = np.empty_like(scores)

    def nats(log_temperature: float) -> float:
        inverse = np.float32(np.exp(-log_temperature))
        np.exp(np.multiply(scores, inverse, out=buffer), out=buffer)
        return float(np.mean(np.log(buffer.sum(axis=1)) - positive * inverse))

    centre, reach = np.log(spread), np.log(TEMPERATURE_RANGE)
    found = minimize_scalar(nats, bounds=(centre - reach, centre + reach), method="bounded", options={"xatol": 0.01})
    return Scorer(kind, float(np.exp(found.x)), mean, float(found.fun))


def pool_nce(scorer: Scorer, predictions: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """(P,) nats: -log softmax of target i among all P for prediction i; ln P is chance. Shape: both (P, D)."""
    queries, keys, bias = factors(scorer.kind, scorer.mean, predictions, pool)
    nats = np.empty(len(pool))
    for first in range(0, len(pool), BLOCK):
        rows = np.arange(first, min(first + BLOCK, len(pool)))
        scores = (queries[rows] @ keys.T + bias) / np.float32(scorer.temperature)
        scores -= scores.max(axis=1, keepdims=True)
        positive = scores[np.arange(len(rows)), rows].astype(np.float64)
        nats[rows] = np.log(np.exp(scores, out=scores).sum(axis=1, dtype=np.float64)) - positive
    return nats


@dataclass(frozen=True, eq=False)
class Standardiser:
    """Shift and scale per dimension, as fitted on training samples; what does not vary there becomes 0."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray) -> "Standardiser":
        """From (n, F) samples."""
        mean, scale = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
        flat = scale <= 1e-6 * np.abs(mean) + TINY
        return cls(mean, np.where(flat, np.inf, scale))

    def __call__(self, x: np.ndarray, clip: float | None = None) -> np.ndarray:
        """(n, F) float32 at zero mean and unit variance on the training samples, within +-clip."""
        z = ((x - self.mean) / self.scale).astype(np.float32)
        return z if clip is None else np.clip(z, -clip, clip)


@dataclass(frozen=True, eq=False)
class Readout:
    """A ridge regression from standardised contexts to standardised targets."""

    context: Standardiser
    target: Standardiser
    weights: np.ndarray
    """(F, D)"""
    alpha: float
    """Ridge penalty per sample, chosen on the calibration split."""

    def predict(self, context: np.ndarray) -> np.ndarray:
        """(n, F) -> (n, D), in the space of `target(embedding)`."""
        return self.context(context) @ self.weights


def fit_readout(context: np.ndarray, target: np.ndarray, calibration: tuple[np.ndarray, np.ndarray]) -> Readout:
    """Fit on (n, F) and (n, D), with that of ALPHAS with the smallest squared error on such a `calibration` pair."""
    from_context, to_target = Standardiser.fit(context), Standardiser.fit(target)
    x, y = from_context(context), to_target(target)
    values, vectors = np.linalg.eigh((x.T @ x / len(x)).astype(np.float64))
    moments = vectors.T @ (x.T @ y / len(x))
    projected, wanted = from_context(calibration[0]) @ vectors, to_target(calibration[1])

    def error(alpha: float) -> float:
        return float(((projected @ (moments / (values + alpha)[:, None]) - wanted) ** 2).mean())

    best = min(ALPHAS, key=error)
    weights = vectors @ (moments / (values + best)[:, None])
    return Readout(from_context, to_target, weights.astype(np.float32), best)
