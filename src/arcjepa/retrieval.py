"""Same-task retrieval: does the nearest other pair belong to the same task? On RE-ARC, and on ARC under random views.

Legend: n pairs of the gallery, q queries, W width of a pair's embedding.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from arcjepa.embeddings import Embedder
from arcjepa.metrics import TINY, Standardiser
from arcjepa.tokens import Tokens
from arcjepa.views import View

CLIP = 6.0


@dataclass(frozen=True, eq=False)
class Retrieval:
    """One value per query."""

    task: np.ndarray
    """(q,) task index of each query."""
    hit: np.ndarray
    """(q,) 1 where the nearest other pair is of the same task."""
    precision: np.ndarray
    """(q,) average precision: 1 where all pairs of the task come before all others."""
    chance: np.ndarray
    """(q,) expected `hit` of a random order."""


def retrieve(embeddings: np.ndarray, tasks: np.ndarray, queries: np.ndarray) -> Retrieval:
    """Rank the whole gallery but the query itself by cosine. Shape: (n, W), (n,) int, (q,) indices into both.

    Queries whose task has no other pair are left out. Ties, as of a collapsed encoder, count as if broken at random
    for `hit`, and in the order of the gallery for `precision`.
    """
    counts = np.bincount(tasks)[tasks] - 1
    queries = queries[counts[queries] > 0]
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), TINY)
    scores = unit[queries] @ unit.T
    scores[np.arange(len(queries)), queries] = -np.inf
    same = tasks[queries][:, None] == tasks
    best = scores >= scores.max(axis=1, keepdims=True) - 1e-6
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    found = np.take_along_axis(same, order, axis=1)
    precision = found.cumsum(axis=1) / np.arange(1, found.shape[1] + 1)
    return Retrieval(
        task=tasks[queries],
        hit=(best & same).sum(axis=1) / np.maximum(best.sum(axis=1), 1),
        precision=(precision * found).sum(axis=1) / counts[queries],
        chance=counts[queries] / (len(tasks) - 1),
    )


def pair_differences(embedder: Embedder, tokens: Tokens, training: np.ndarray) -> np.ndarray:
    """(n, W) of every pair: f(y) - f(x) of frame embeddings, standardised like `training`, clipped to +-6.

    `training`: frame embeddings (m, 2, W) of training pairs.
    """
    standardise = Standardiser.fit(training[:, 1] - training[:, 0])
    pairs = embedder.embed(tokens).frame.reshape(len(tokens) // 2, 2, -1)
    return standardise(pairs[:, 1] - pairs[:, 0], clip=CLIP)


def viewed_pairs(embedder: Embedder, tokens: Tokens, pairs: np.ndarray, training: np.ndarray, seed: int) -> np.ndarray:
    """(p, 3 W) of `pairs` (p,): [x, y, y - x] with an independent D8 x colours view per pair, standardised, clipped."""
    rng = np.random.default_rng([seed, len(pairs)])
    d8 = rng.integers(0, 8, len(pairs))
    colours = rng.permuted(np.tile(np.arange(10), (len(pairs), 1)), axis=1)
    view = View(
        torch.as_tensor(d8.repeat(2)),
        torch.as_tensor(colours.repeat(2, axis=0)),
        torch.zeros(2 * len(pairs), 2, dtype=torch.int64),
    )
    frames = np.stack([2 * pairs, 2 * pairs + 1], axis=1)
    embedded = embedder.embed(tokens, frames.ravel(), view).frame.reshape(len(pairs), 2, -1)
    return Standardiser.fit(_joined(training))(_joined(embedded), clip=CLIP)


def _joined(pairs: np.ndarray) -> np.ndarray:
    return np.concatenate([pairs[:, 0], pairs[:, 1], pairs[:, 1] - pairs[:, 0]], axis=1)


def retrieve_rearc(
    embedder: Embedder, tokens: Tokens, training: np.ndarray, queries: Mapping[str, Collection[str]]
) -> dict[str, Retrieval]:
    """For each name in `queries`: the pairs of its tasks against all RE-ARC pairs."""
    differences = pair_differences(embedder, tokens, training)
    found = {}
    for name, tasks in queries.items():
        asked = np.array([task in tasks for task in tokens.task_ids], dtype=bool)
        found[name] = retrieve(differences, tokens.pair_task, np.flatnonzero(asked[tokens.pair_task]))
    return found


def retrieve_augmented(
    embedder: Embedder, tokens: Tokens, pairs: np.ndarray, training: np.ndarray, seed: int
) -> Retrieval:
    """`pairs` (p,) of a test set against each other, each under a view of its own."""
    embeddings = viewed_pairs(embedder, tokens, pairs, training, seed)
    return retrieve(embeddings, tokens.pair_task[pairs], np.arange(len(pairs)))
