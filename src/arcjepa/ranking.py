"""Where the true output of a test query lands among candidates, by the encoder's own predictor.

Legend: Q queries, N contexts (several a query), F context frames, D embedding width, n candidates, L lists.
"""

from dataclasses import dataclass

import numpy as np
import torch

from arcjepa.candidates import Candidates
from arcjepa.dataset import arrange
from arcjepa.embeddings import Embedder
from arcjepa.frames import Grids
from arcjepa.metrics import Scorer
from arcjepa.pool import Embedded
from arcjepa.tokens import Tokens

MAX_CONTEXTS = 8
# Relative to the spread of the scores: rounding, which differs with the frames that share a batch, breaks no tie.
TIE = 1e-5


@dataclass(frozen=True, eq=False)
class TestSet:
    """A test set with its candidates: grids to draw, and both tokenised."""

    __test__ = False  # no test case

    frames: Grids
    tokens: Tokens
    candidates: Candidates
    candidate_tokens: Tokens
    """Of `candidates.grids`."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Where the true outputs of the L lists came; `scores` (n,) of all candidates."""

    query: np.ndarray
    kind: np.ndarray
    top1: np.ndarray
    """(L,) chance that the true one comes first, ties being broken at random."""
    reciprocal: np.ndarray
    """(L,) expected 1 / rank."""
    size: np.ndarray
    """(L,) candidates in the list; chance is 1 / size."""
    scores: np.ndarray


def rank_candidates(embedder: Embedder, scorer: Scorer, test: TestSet) -> Ranking:
    """Predict every query's target from its demonstrations and rank its candidates by `scorer`, the best first."""
    candidates = test.candidates
    predictions = predict_queries(embedder, test.tokens, candidates.query_pair)
    embedded = Embedded(embedder, test.candidate_tokens).projected(np.arange(len(test.candidate_tokens)))
    scores = scorer.paired(predictions[candidates.query], embedded[candidates.grid])
    return rank_scores(candidates, scores)


def predict_queries(embedder: Embedder, tokens: Tokens, pairs: np.ndarray) -> np.ndarray:
    """(Q, D) predictions for the pairs (Q,), each the mean over up to 8 choices of demonstrations."""
    context, query = contexts(embedder, tokens, pairs)
    store = Embedded(embedder, tokens, context)
    predicted = embedder.predict(store.projected(context))
    total = np.zeros((len(pairs), predicted.shape[1]))
    np.add.at(total, query, predicted)
    return (total / np.bincount(query, minlength=len(pairs))[:, None]).astype(np.float32)


def contexts(embedder: Embedder, tokens: Tokens, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, F) context frames and the query (N,) that each is for, an index into `pairs`.

    The demonstrations of a task in turn, starting from each of its first 8, so that each is shown about equally
    often; one context where the window shows them all.
    """
    shown = (embedder.sequence.window - 1) // 2 if embedder.sequence.framing == "demonstrations" else 0
    rows, owner = [], []
    for i, pair in enumerate(pairs):
        same = np.flatnonzero((tokens.pair_task == tokens.pair_task[pair]) & ~tokens.pair_is_test)
        turns = min(len(same), MAX_CONTEXTS) if 0 < shown < len(same) else 1
        rows += [np.concatenate([[pair], np.roll(same, -turn)]) for turn in range(turns)]
        owner += [i] * turns
    counts = np.array([len(row) for row in rows])
    order = np.stack([np.pad(row, (0, counts.max() - len(row))) for row in rows])
    frames, _ = arrange(torch.as_tensor(order), torch.as_tensor(counts), embedder.sequence)
    return frames.numpy(), np.array(owner)


def rank_scores(candidates: Candidates, scores: np.ndarray) -> Ranking:
    """Ranks of the true outputs from the scores (n,) of all candidates, higher being better."""
    starts = candidates.lists()
    size = np.diff(starts)
    first = starts[:-1]
    lead = scores - np.repeat(scores[first], size)
    tolerance = TIE * float(scores.std()) if len(scores) else 0.0
    above = np.add.reduceat(lead > tolerance, first) if len(first) else np.zeros(0, np.int64)
    tied = (np.add.reduceat(np.abs(lead) <= tolerance, first) if len(first) else above) - 1
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, size.max(initial=0) + 1))])
    return Ranking(
        query=candidates.query[first],
        kind=candidates.kind[first],
        top1=(above == 0) / (1 + tied),
        reciprocal=(harmonic[above + tied + 1] - harmonic[above]) / (tied + 1),
        size=size,
        scores=scores,
    )
