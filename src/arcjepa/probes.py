"""What can be read off frozen embeddings: rules from pairs, and plain properties from frames.

Run on the untrained encoder too: over these tokens it nearly saturates several. Two probes, ridge regression and the
mean of the nearest neighbours, and a constant that only knows how often each label comes.
Legend: n samples, W width of an embedding, L labels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from arcjepa.controls import grid_symmetry
from arcjepa.layout import HOLES
from arcjepa.metrics import TINY, Standardiser, fit_readout
from arcjepa.primitives import PRIMITIVES
from arcjepa.shares import share_of
from arcjepa.tokens import Tokens

MAX_PAIRS = 2048
NEIGHBOURS = 10
SELECTION_SHARE = 0.2
METHODS = ("linear", "neighbours", "constant")
RULE_LABELS = ("primitives", "rule")
FRAME_LABELS = ("colours", "size", "symmetry", "holes", "objects")


@dataclass(frozen=True, eq=False)
class Samples:
    """Pairs of one store of synthetic tasks, with the pooled embeddings of their frames."""

    tokens: Tokens
    pairs: np.ndarray
    """(n,) pair indices."""
    input: np.ndarray
    """(n, W)"""
    output: np.ndarray
    """(n, W)"""

    @property
    def tasks(self) -> np.ndarray:
        """(n,) task index of each pair."""
        return self.tokens.pair_task[self.pairs]

    def pair_embeddings(self) -> np.ndarray:
        """(n, 2 W): the input, and what changes."""
        return np.concatenate([self.input, self.output - self.input], axis=1)


@dataclass(frozen=True, eq=False)
class Probed:
    """What one probe scored, per test sample: value = sum(total) / sum(weight)."""

    label: str
    method: str
    task: np.ndarray
    total: np.ndarray
    weight: np.ndarray


def sample_pairs(candidates: np.ndarray, seed: int) -> np.ndarray:
    """At most MAX_PAIRS of the given pair indices, ascending."""
    rng = np.random.default_rng([seed, len(candidates)])
    return np.sort(rng.choice(candidates, min(MAX_PAIRS, len(candidates)), replace=False))


def probe(training: Samples, test: Samples) -> list[Probed]:
    """All labels by all methods, fitted on `training` rules and scored on `test` rules.

    primitives: share of a rule's primitives among the probe's as many best guesses; rule: the same for rules of one
    step; frame labels: share of variance explained (R2), sides and symmetries weighing the same.
    """
    results = []
    parts = (training, test)
    uses = [primitives_used(part.tokens)[part.tasks] for part in parts]
    for label in RULE_LABELS:
        rows = [np.flatnonzero(use.sum(axis=1) == 1 if label == "rule" else use.any(axis=1)) for use in uses]
        if min(map(len, rows)) == 0:
            continue
        embeddings = [part.pair_embeddings()[row] for part, row in zip(parts, rows, strict=True)]
        labels = [use[row].astype(np.float64) for use, row in zip(uses, rows, strict=True)]
        tasks = [part.tasks[row] for part, row in zip(parts, rows, strict=True)]
        results += _probed(label, embeddings, labels, tasks, _precision)
    for label in FRAME_LABELS:
        labels = [frame_labels(part.tokens, 2 * part.pairs + 1, label) for part in parts]
        standardise = Standardiser.fit(labels[0])
        embeddings = [part.output for part in parts]
        results += _probed(label, embeddings, [standardise(x) for x in labels], [p.tasks for p in parts], _explained)
    return results


Score = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(predicted (n, L), true (n, L)) -> totals and weights (n,)."""


def _probed(
    label: str, embeddings: list[np.ndarray], labels: list[np.ndarray], tasks: list[np.ndarray], score: Score
) -> list[Probed]:
    """`embeddings`, `labels` and `tasks`: of the training samples, then of the test samples."""
    selects = np.array([share_of(str(task), "probe selection") < SELECTION_SHARE for task in tasks[0]])
    if selects.all() or not selects.any():
        selects = np.arange(len(selects)) % 5 == 0
    readout = fit_readout(embeddings[0][~selects], labels[0][~selects], (embeddings[0][selects], labels[0][selects]))
    scale = np.where(np.isinf(readout.target.scale), 0.0, readout.target.scale)
    constant = np.broadcast_to(labels[0].mean(axis=0), labels[1].shape)
    predicted = {
        "linear": readout.predict(embeddings[1]) * scale + readout.target.mean,
        "neighbours": neighbours_mean(embeddings[0], embeddings[1], labels[0]),
        "constant": constant,
    }
    return [Probed(label, method, tasks[1], *score(predicted[method], labels[1])) for method in METHODS]


def neighbours_mean(training: np.ndarray, test: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(m, L) mean labels of the NEIGHBOURS nearest training samples by cosine of standardised embeddings.

    Shape: (n, W), (m, W), (n, L).
    """
    standardise = Standardiser.fit(training)
    units = [z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), TINY) for z in map(standardise, (training, test))]
    count = min(NEIGHBOURS, len(training))
    nearest = np.argpartition(-(units[1] @ units[0].T), count - 1, axis=1)[:, :count]
    return labels[nearest].mean(axis=1)


def _precision(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of each row's k true labels among its k highest predictions."""
    rank = np.argsort(np.argsort(-predicted, axis=1, kind="stable"), axis=1)
    count = true.sum(axis=1)
    return ((rank < count[:, None]) * true).sum(axis=1) / count, np.ones(len(true))


def _explained(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared deviation explained, and squared deviation from the training mean, which is 0."""
    deviation = (true.astype(np.float64) ** 2).sum(axis=1)
    return deviation - ((true - predicted) ** 2).sum(axis=1), deviation


def primitives_used(tokens: Tokens) -> np.ndarray:
    """(n_tasks, L) 0/1: the primitives in each task's rule, in the order of PRIMITIVES; none where it is unknown."""
    place = {name: i for i, name in enumerate(PRIMITIVES)}
    used = np.zeros((len(tokens.rules), len(place)), dtype=np.int8)
    for task, rule in enumerate(tokens.rules):
        for step in rule.split("|"):
            if (name := step.split("(")[0]) in place:
                used[task, place[name]] = 1
    return used


def frame_labels(tokens: Tokens, frames: np.ndarray, label: str) -> np.ndarray:
    """(n, L) float64 values of one of FRAME_LABELS; counts as log(1 + count)."""
    if label == "colours":
        return (tokens.histogram[frames] > 0).sum(axis=1, keepdims=True).astype(np.float64)
    if label == "size":
        return np.stack([tokens.height[frames], tokens.width[frames]], axis=1).astype(np.float64)
    if label == "symmetry":
        return grid_symmetry(tokens, frames).astype(np.float64)
    if label == "objects":
        return np.log1p(tokens.n_components[frames].astype(np.float64))[:, None]
    holes = np.concatenate([[0], np.cumsum(tokens.columns[:, HOLES], dtype=np.int64)])
    starts = tokens.object_start
    return np.log1p((holes[starts[frames + 1]] - holes[starts[frames]]).astype(np.float64))[:, None]
