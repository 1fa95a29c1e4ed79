"""The three scores of the yardstick on one encoder: own predictor, ridge read-out, read-out from the query alone.

Legend: n sequences, F context frames, D projected width, P pool targets, C calibration targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arcjepa.dataset import Sequences, fixed_sequences
from arcjepa.embeddings import Embedder
from arcjepa.metrics import Scorer, fit_readout, fit_scorer, pool_nce
from arcjepa.pool import Embedded, Pool
from arcjepa.settings import Curriculum
from arcjepa.settings import Sequence as SequenceSettings
from arcjepa.shards import join_tokens
from arcjepa.tokens import Tokens

READOUT = SequenceSettings(
    framing="demonstrations", window=3, synthetic_share=0.0, curriculum=Curriculum(enabled=False, epochs=[1])
)
"""What the read-out sees: the same for all encoders, whatever their own window, so that it compares encoders."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Sequences of one store with the embeddings of their frames."""

    store: Embedded
    sequences: Sequences

    def context(self) -> np.ndarray:
        """(n, F, D)"""
        return self.store.projected(self.sequences.context)

    def target(self) -> np.ndarray:
        """(n, D)"""
        return self.store.projected(self.sequences.target)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """One of the three scores."""

    nats: np.ndarray
    """(P,) of each pool query, the sets of the pool one after the other."""
    selection: np.ndarray
    """(C,) of each calibration query among the calibration targets, by the same scorer: to choose settings by."""
    scorer: Scorer
    alpha: float | None = None
    """Penalty of the ridge read-out."""


def restrict(sequences: Sequences, targets: np.ndarray) -> Sequences:
    """The sequences of these target frames, in their order. Both ascend in the target."""
    rows = np.searchsorted(sequences.target, targets)
    assert np.array_equal(sequences.target[rows], targets), "a target without a sequence"
    return Sequences(sequences.context[rows], targets, sequences.task[rows])


class HeldOut:
    """The pool, the calibration split and the training sequences of the read-out, embedded by one encoder."""

    def __init__(self, embedder: Embedder, held: Mapping[str, Tokens], pool: Pool, seed: int) -> None:
        """`held`: tokens by the names of the pool's sets."""
        self.embedder, self.pool = embedder, pool
        self.sets = list(pool.targets)
        drawn: dict[tuple[str, str], tuple[Sequences, Sequences]] = {}
        self.stores: dict[str, Embedded] = {}
        for name in self.sets:
            own, shown = (fixed_sequences(held[name], s, None, seed) for s in (embedder.sequence, READOUT))
            for split, targets in (("pool", pool.targets[name]), ("calibration", pool.calibration[name])):
                drawn[name, split] = restrict(own, targets), restrict(shown, targets)
            frames = [part for name_, split in drawn if name_ == name for s in drawn[name, split]
                      for part in (s.context, s.target)]  # fmt: skip
            self.stores[name] = Embedded(embedder, held[name], *frames)
        self._drawn = drawn

    def samples(self, split: str, own: bool = False) -> list[Sample]:
        """Of "pool" or "calibration", per set: as the encoder's predictor reads them, or as the read-out does."""
        return [Sample(self.stores[name], self._drawn[name, split][0 if own else 1]) for name in self.sets]

    def targets(self, split: str) -> np.ndarray:
        """(n, D) target embeddings of all sets."""
        return np.concatenate([sample.target() for sample in self.samples(split)])

    def own_prediction(self, mean: np.ndarray) -> Yardstick:
        """`val_nce`: the encoder's own predictor. `mean` (D,): of training targets."""
        calibration, queries = (
            self.embedder.predict(np.concatenate([s.context() for s in self.samples(split, own=True)]))
            for split in ("calibration", "pool")
        )
        return _scored((calibration, self.targets("calibration")), (queries, self.targets("pool")), mean)

    def readout(self, training: Sequence[Sample], frames: slice) -> Yardstick:
        """`readout_nce`: a ridge regression from the context frames in `frames` to the target, fitted on `training`."""
        contexts = {
            "training": _flat(training, frames),
            "calibration": _flat(self.samples("calibration"), frames),
            "pool": _flat(self.samples("pool"), frames),
        }
        own = self.targets("calibration")
        fitted = fit_readout(
            contexts["training"],
            np.concatenate([s.target() for s in training]),
            (contexts["calibration"], own),
        )
        pool = fitted.target(self.targets("pool"))
        mean = np.zeros(pool.shape[1], dtype=np.float32)  # of the training targets, which are standardised
        calibration, queries = (fitted.predict(contexts[split]) for split in ("calibration", "pool"))
        return _scored((calibration, fitted.target(own)), (queries, pool), mean, fitted.alpha)


Predicted = tuple[np.ndarray, np.ndarray]
"""Predictions and targets (n, D)."""


def _scored(calibration: Predicted, pool: Predicted, mean: np.ndarray, alpha: float | None = None) -> Yardstick:
    """Both by the scorer that fits the calibration queries best against the pool."""
    scorer = fit_scorer(*calibration, pool[1], mean)
    return Yardstick(pool_nce(scorer, *pool), pool_nce(scorer, *calibration), scorer, alpha)


def _flat(samples: Sequence[Sample], frames: slice) -> np.ndarray:
    """(n, f D) embeddings of the context frames in `frames`, one after the other."""
    return np.concatenate([s.context()[:, frames].reshape(len(s.sequences.target), -1) for s in samples])


def training_samples(embedder: Embedder, stores: Sequence[Tokens], count: int, seed: int) -> list[Sample]:
    """`count` training sequences, half of them from the first store (real tasks) as far as it has them."""
    return [
        Sample(Embedded(embedder, tokens, sequences.context, sequences.target), sequences)
        for tokens, sequences in _readout_sequences(stores, count, seed)
        if len(sequences.target)
    ]


def readout_pairs(stores: Sequence[Tokens], count: int, seed: int) -> tuple[Tokens, np.ndarray]:
    """Query and target frames (2 n,) of those sequences in random order, and one store that they are of.

    What an encoder that never trained is standardised on: the mixture of real and synthetic frames of the read-out.
    """
    first, frames = 0, []
    for tokens, sequences in _readout_sequences(stores, count, seed):
        frames += [first + sequences.context[:, -1], first + sequences.target]
        first += len(tokens)
    return join_tokens(stores), np.random.default_rng(seed).permutation(np.concatenate(frames))


def _readout_sequences(stores: Sequence[Tokens], count: int, seed: int) -> list[tuple[Tokens, Sequences]]:
    found, left = [], count
    for i, tokens in enumerate(stores):
        sequences = fixed_sequences(tokens, READOUT, left // 2 if i < len(stores) - 1 else left, seed)
        found.append((tokens, sequences))
        left -= len(sequences.target)
    return found
