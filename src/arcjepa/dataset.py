"""Sequences of frames: (x1, y1, ..., xk) as context, yk as target.

Training sequences are drawn on the device as a pure function of (seed, step); evaluation sequences are fixed.
Shapes: B sequences, F context frames, T tasks, P pairs of a task at most.
"""

from dataclasses import dataclass

import numpy as np
import torch

from arcjepa import randomness
from arcjepa.errors import UserError
from arcjepa.frames import Frames
from arcjepa.ranks import own
from arcjepa.settings import Curriculum
from arcjepa.settings import Sequence as SequenceSettings
from arcjepa.shares import selects
from arcjepa.tokens import Tokens
from arcjepa.views import View

STREAM_SOURCE, STREAM_TASK, STREAM_PAIR, STREAM_VIEW, STREAM_COLOUR = 1, 2, 3, 4, 5


def context_frames(settings: SequenceSettings) -> int:
    """Frames of context that the predictor reads: 1 where only the query is shown."""
    return 1 if settings.framing == "query" else settings.window


def arrange(order: torch.Tensor, counts: torch.Tensor, settings: SequenceSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Context (B, F) and target (B,) as frame offsets within a task.

    `order` (B, P): the task's pairs in the order drawn, the query's pair first, the others after it up to
    `counts` (B,); where a window needs more demonstrations than there are, they repeat cyclically.
    """
    query = order[:, 0]
    if settings.framing == "query":
        return 2 * query[:, None], 2 * query + 1
    if settings.framing == "repeat":
        return (2 * query[:, None]).expand(-1, settings.window), 2 * query + 1
    demonstrations = (settings.window - 1) // 2
    others = (counts - 1).clamp(min=1)[:, None]
    position = 1 + torch.arange(demonstrations, device=order.device)[None, :] % others
    pairs = order.gather(1, position.clamp(max=order.shape[1] - 1))
    shown = torch.stack([2 * pairs, 2 * pairs + 1], dim=2).flatten(1)
    return torch.cat([shown, 2 * query[:, None]], dim=1), 2 * query + 1


@dataclass
class TrainingSet:
    """Tasks to draw from, on a device: real tasks first, synthetic ones after; each sorted from easy to hard."""

    first_pair: torch.Tensor
    """(T,) int64: first pair of each task."""
    pairs: torch.Tensor
    """(T,) int64: pairs of each task, at least 2."""
    real: int
    """Number of real tasks."""
    longest: int
    """Pairs of the task that has most: on the host, as asking the device in every step would wait for it."""

    @classmethod
    def build(cls, tokens: Tokens, real: int, device: str | torch.device) -> "TrainingSet":
        """From tokens whose first `real` tasks are real.

        Difficulty is the mean number of connected components per frame: the curriculum admits tasks by it.
        """
        counts = np.bincount(tokens.pair_task, minlength=len(tokens.task_ids))
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        per_pair = tokens.n_components.reshape(-1, 2).sum(1)
        difficulty = np.bincount(tokens.pair_task, per_pair, len(counts)) / np.maximum(2 * counts, 1)
        usable = counts >= 2
        order = np.lexsort((np.arange(len(counts)), difficulty, np.arange(len(counts)) >= real))
        order = order[usable[order]]
        return cls(
            torch.as_tensor(first[order], device=device),
            torch.as_tensor(counts[order], device=device),
            int(usable[:real].sum()),
            int(counts[order].max()),
        )

    def draw(
        self,
        settings: SequenceSettings,
        seed: randomness.Number,
        step: randomness.Number,
        batch: int,
        admitted: float | torch.Tensor = 1.0,
    ) -> "Batch":
        """The sequences of a step: tasks uniformly within source, pairs in random order, one view a sequence.

        `seed`, `step`, and `admitted`, the share of tasks in play, may be scalars on the device. Many steps (n,) give n
        batches one after the other, as one.
        """
        device = self.first_pair.device
        task = self._tasks(settings.synthetic_share, seed, step, batch, admitted)
        keys = randomness.uniform((seed, STREAM_PAIR, step), (batch, self.longest), device).flatten(0, -2)
        counts = self.pairs[task]
        beyond = torch.arange(keys.shape[1], device=device) >= counts[:, None]
        order = keys.masked_fill(beyond, 2.0).argsort(dim=1)
        context, target = arrange(order, counts, settings)
        first = 2 * self.first_pair[task]
        d8 = randomness.integers((seed, STREAM_VIEW, step), 8, (batch,), device).flatten()
        colours = randomness.permutations((seed, STREAM_COLOUR, step), batch, 10, device).flatten(0, -2)
        return Batch(first[:, None] + context, first + target, d8, colours)

    def _tasks(
        self, share: float, seed: randomness.Number, step: randomness.Number, batch: int, admitted: float | torch.Tensor
    ) -> torch.Tensor:
        device = self.first_pair.device
        admitted = torch.as_tensor(admitted, dtype=torch.float64, device=device)
        synthetic = len(self.pairs) - self.real
        share = share if synthetic and self.real else float(synthetic > 0)
        chosen = randomness.uniform((seed, STREAM_SOURCE, step), (batch,), device).flatten() < share
        u = randomness.uniform((seed, STREAM_TASK, step), (batch,), device).flatten()
        real = (u * (admitted * self.real).round().clamp(min=1)).long()
        drawn = self.real + (u * (admitted * synthetic).round().clamp(min=1)).long()
        return torch.where(chosen, drawn, real)


@dataclass
class Batch:
    """Frame indices and the one view of each sequence."""

    context: torch.Tensor
    """(B, F) int64."""
    target: torch.Tensor
    """(B,) int64."""
    d8: torch.Tensor
    """(B,) int64."""
    colours: torch.Tensor
    """(B, 10) int64."""
    near_misses: torch.Tensor | None = None
    """(N, B) int64: frames of the near misses of each target, where a loss asks for them."""

    def own(self) -> "Batch":
        """The sequences of this rank, of a batch that all share."""
        near_misses = None if self.near_misses is None else own(self.near_misses.T).T
        return Batch(own(self.context), own(self.target), own(self.d8), own(self.colours), near_misses)

    def frames(self) -> torch.Tensor:
        """(F + 1 + N, B) indices, context frames, target, near misses: time-major, so that a position is one block."""
        frames = torch.cat([self.context, self.target[:, None]], dim=1).T
        return frames if self.near_misses is None else torch.cat([frames, self.near_misses])

    def view(self) -> View:
        """The view of every frame of `frames().flatten()`: one draw per sequence, target included."""
        repeats = len(self.frames())
        still = torch.zeros_like(self.d8)[:, None].expand(-1, 2)
        return View(self.d8.repeat(repeats), self.colours.repeat(repeats, 1), still.repeat(repeats, 1))


def admitted_share(curriculum: Curriculum, epoch: int) -> float:
    """Share of the tasks, easiest first, that are in play in an epoch (counted from 1)."""
    if not curriculum.enabled:
        return 1.0
    return (1 + sum(epoch >= start for start in curriculum.epochs)) / (1 + len(curriculum.epochs))


@dataclass(frozen=True)
class Sequences:
    """Fixed sequences: context (B, F), target (B,) as frame indices, task (B,)."""

    context: np.ndarray
    target: np.ndarray
    task: np.ndarray


def selection_sequences(tokens: Tokens, settings: SequenceSettings, count: int) -> Sequences:
    """At most `count` fixed sequences of the validation tasks to choose by, which are never reported on.

    Errors: UserError where there is none.
    """
    fixed = fixed_sequences(tokens, settings)
    chosen = np.array([selects(task, "validation") for task in tokens.task_ids], dtype=bool)[fixed.task]
    rows = np.flatnonzero(chosen)[:count]
    if not len(rows):
        raise UserError(
            "params.yaml: data.validation_share: leaves no validation task to choose by; allowed: 0.02 or more"
        )
    return Sequences(fixed.context[rows], fixed.target[rows], fixed.task[rows])


def fixed_sequences(
    tokens: Tokens | Frames, settings: SequenceSettings, count: int | None = None, seed: int = 0
) -> Sequences:
    """One sequence per pair of every task with at least two: its output as target, other pairs in random order
    as demonstrations. `count` takes a random subset. A pure function of its arguments."""
    pairs = np.bincount(tokens.pair_task, minlength=len(tokens.task_ids))
    first = np.concatenate([[0], np.cumsum(pairs)[:-1]])
    query = np.flatnonzero(pairs[tokens.pair_task] >= 2)
    rng = np.random.default_rng([seed, 77])
    if count is not None and count < len(query):
        query = np.sort(rng.choice(query, count, replace=False))
    task = tokens.pair_task[query]
    keys = rng.random((len(query), int(pairs.max(initial=1))))
    keys[np.arange(keys.shape[1]) >= pairs[task][:, None]] = 2.0
    keys[np.arange(len(query)), query - first[task]] = -1.0
    order = torch.as_tensor(keys.argsort(axis=1, kind="stable"))
    context, target = arrange(order, torch.as_tensor(pairs[task]), settings)
    offset = 2 * first[task]
    return Sequences(offset[:, None] + context.numpy(), offset + target.numpy(), task)
