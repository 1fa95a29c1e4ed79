"""The held-out frames that predictions are ranked against, the calibration tasks beside them, and their embeddings.

Legend: B sequences, F context frames, n pool targets, W pooled width, D projected width.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from arcjepa.data_settings import Evaluation
from arcjepa.embeddings import Embedder, Embedding
from arcjepa.errors import UserError
from arcjepa.programs import independent
from arcjepa.shares import selects
from arcjepa.tokens import Tokens

CALIBRATION_SHARE, FEWEST = 1 / 8, 64
"""Calibration targets over pool targets, and the number of them below which the share is larger."""
MAX_VALIDATION_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Pool:
    """Output frames by set ("validation", "heldout"), each ascending: no two pool targets are the same grid."""

    targets: dict[str, np.ndarray]
    calibration: dict[str, np.ndarray]
    """Outputs of other tasks, none of them equal to a pool target, in the pool's own mixture of sets: scorers and
    read-outs are fitted on these, and settings chosen."""

    def __len__(self) -> int:
        return sum(len(frames) for frames in self.targets.values())

    def composition(self) -> dict[str, int]:
        """How many targets come from each set, for the record."""
        counts = {f"pool_{name}": len(frames) for name, frames in self.targets.items()}
        return counts | {f"calibration_{name}": len(frames) for name, frames in self.calibration.items()}


def draw_pool(stores: Mapping[str, Tokens], settings: Evaluation) -> Pool:
    """The same pool for every encoder: a pure function of the held-out sets and `settings`.

    The tasks that `arcjepa.shares.selects` only calibrate. Validation tasks fill half of the pool at most. Sets are
    mixed for calibration as they are in the pool: a temperature that suits another mixture costs nats.
    Errors: UserError where there are fewer distinct targets than `settings.pool`, or nothing to calibrate on.
    """
    seen: set[bytes] = set()
    targets: dict[str, np.ndarray] = {}
    calibration: dict[str, np.ndarray] = {}
    for name in ("validation", "heldout"):
        room = settings.pool - sum(len(frames) for frames in targets.values())
        room = int(MAX_VALIDATION_SHARE * settings.pool) if name == "validation" else room
        tokens = stores[name]
        drawn = _drawn(tokens, ~_calibrates(tokens, name), settings.seed)
        targets[name] = np.sort(_distinct(tokens, drawn, seen, room))
    if (found := sum(len(frames) for frames in targets.values())) < settings.pool:
        raise UserError(
            f"params.yaml: evaluation.pool: {settings.pool} is not allowed, as there are {found} distinct held-out "
            "targets; allowed: no more than that; lower it, or raise data.synthetic.held_out"
        )
    share = max(CALIBRATION_SHARE, FEWEST / settings.pool)
    for name, tokens in stores.items():
        drawn = _drawn(tokens, _calibrates(tokens, name), settings.seed)
        calibration[name] = np.sort(_distinct(tokens, drawn, seen, round(share * len(targets[name]))))
    if not sum(len(frames) for frames in calibration.values()):
        raise UserError("params.yaml: data.synthetic.held_out: too few tasks to calibrate on; allowed: 20 or more")
    return Pool(targets, calibration)


def grid_key(tokens: Tokens, frame: int) -> bytes:
    """Equal for frames with the same tokens, that is for the same grid unless it overflows."""
    entries = slice(tokens.object_start[frame], tokens.object_start[frame + 1])
    rows = slice(tokens.row_start[entries.start], tokens.row_start[entries.stop])
    parts = [getattr(tokens, name)[frame] for name in ("height", "width", "background", "histogram", "residual")]
    parts += [tokens.columns[entries], tokens.rows[rows]]
    return b"|".join(part.tobytes() for part in parts)


def _calibrates(tokens: Tokens, part: str) -> np.ndarray:
    """(n_tasks,) bool: the tasks that are never in the pool and never queried, nor any of their kin."""
    names = map(independent, tokens.task_ids, tokens.rules)
    return np.array([selects(name, part) for name in names], dtype=bool)


def _drawn(tokens: Tokens, chosen: np.ndarray, seed: int) -> np.ndarray:
    """The output frames of the chosen tasks that have another pair to show, in random order."""
    usable = np.bincount(tokens.pair_task, minlength=len(chosen)) >= 2
    pairs = np.flatnonzero((chosen & usable)[tokens.pair_task])
    return 2 * np.random.default_rng([seed, len(chosen)]).permutation(pairs) + 1


def _distinct(tokens: Tokens, frames: np.ndarray, seen: set[bytes], room: int) -> np.ndarray:
    """The first `room` of `frames` with grids that are not in `seen`, which they then are."""
    kept: list[int] = []
    for frame in frames:
        if len(kept) == room:
            break
        if (key := grid_key(tokens, frame)) not in seen:
            seen.add(key)
            kept.append(frame)
    return np.array(kept, dtype=np.int64)


class Embedded:
    """The embeddings of some frames of one store, each computed once and looked up by frame index."""

    def __init__(self, embedder: Embedder, tokens: Tokens, *frames: np.ndarray) -> None:
        """`frames`: integer arrays of any shape; without any, all frames. UserError if an embedding is not finite."""
        asked = np.unique(np.concatenate([part.ravel() for part in frames])) if frames else np.arange(len(tokens))
        self.tokens = tokens
        self._place = np.full(len(tokens), -1)
        self._place[asked] = np.arange(len(asked))
        self._embedding = embedder.embed(tokens, asked)
        check_finite(self._embedding)

    def frame(self, frames: np.ndarray) -> np.ndarray:
        """(..., W) pooled embeddings, before the projector, of frames that were asked for."""
        return self._embedding.frame[self._places(frames)]

    def projected(self, frames: np.ndarray) -> np.ndarray:
        """(..., D) projected embeddings of frames that were asked for."""
        return self._embedding.projected[self._places(frames)]

    def _places(self, frames: np.ndarray) -> np.ndarray:
        places = self._place[frames]
        assert (places >= 0).all(), "a frame that was not embedded"
        return places


def check_finite(embedding: Embedding) -> None:
    """UserError where an encoder gives NaN or infinity: no score of it would mean anything."""
    for name in ("frame", "projected"):
        if not np.isfinite(getattr(embedding, name)).all():
            raise UserError(
                f"encoder: {name} embeddings are not finite; allowed: finite numbers; the training diverged: "
                "lower optimizer.lr and train again"
            )
