"""Grids of many sizes in one flat array, and the .npz files that hold one split each.

Frames of pair p are 2p (input) and 2p + 1 (output). Pairs are task-major, demonstrations before tests.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from arcjepa.archives import DAMAGED, read_arrays, reason
from arcjepa.errors import UserError
from arcjepa.files import write_atomic
from arcjepa.tasks import MAX_SIDE, N_COLOURS, Pair, Task

ARRAYS: dict[str, type] = {
    "cells": np.uint8,
    "height": np.uint8,
    "width": np.uint8,
    "pair_task": np.int32,
    "pair_is_test": np.bool_,
}
TEXTS = ("task_ids", "rules")


@dataclass(frozen=True, eq=False)
class Grids:
    """Any list of grids: `cells` (n_cells,) uint8, row-major, concatenated; `height`, `width` (n,) uint8."""

    cells: np.ndarray
    height: np.ndarray
    width: np.ndarray

    @cached_property
    def start(self) -> np.ndarray:
        """(n + 1,) int64: grid i has cells start[i] to start[i + 1]."""
        return offsets(self.height.astype(np.int64) * self.width)

    def __len__(self) -> int:
        return len(self.height)

    def __getitem__(self, i: int) -> np.ndarray:
        """Grid i as an (H, W) uint8 view; IndexError outside 0 to n - 1."""
        if not 0 <= i < len(self):
            raise IndexError(f"grid {i} of {len(self)}")
        return self.cells[self.start[i] : self.start[i + 1]].reshape(int(self.height[i]), int(self.width[i]))

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @classmethod
    def from_list(cls, grids: Sequence[np.ndarray]) -> "Grids":
        """Pack (H, W) integer grids; ValueError if a side is not 1 to 30 or a colour not 0 to 9."""
        return Grids(*_pack(grids))

    def take(self, indices: np.ndarray) -> "Grids":
        """The grids at `indices` (m,) int, in that order."""
        sizes = np.diff(self.start)[indices]
        return Grids(self.cells[spans(self.start[indices], sizes)], self.height[indices], self.width[indices])


@dataclass(frozen=True, eq=False)
class Frames(Grids):
    """The grids of many tasks.

    `pair_task` (n_pairs,) int32, ascending, indexes `task_ids`; `pair_is_test` (n_pairs,) bool.
    """

    pair_task: np.ndarray
    pair_is_test: np.ndarray
    task_ids: tuple[str, ...]
    rules: tuple[str, ...]

    @property
    def n_pairs(self) -> int:
        return len(self.pair_task)

    @property
    def n_tasks(self) -> int:
        return len(self.task_ids)

    @cached_property
    def task_start(self) -> np.ndarray:
        """(n_tasks + 1,) int64: task t has pairs task_start[t] to task_start[t + 1]."""
        return offsets(np.bincount(self.pair_task, minlength=self.n_tasks))

    @classmethod
    def from_tasks(cls, tasks: Sequence[Task]) -> "Frames":
        """Pack tasks; `tasks()` gives them back."""
        grids = [grid for task in tasks for pair in task.pairs for grid in (pair.input, pair.output)]
        counts = [len(task.pairs) for task in tasks]
        is_test = [i >= len(task.train) for task in tasks for i in range(len(task.pairs))]
        pair_task = np.repeat(np.arange(len(tasks), dtype=np.int32), counts)
        ids, rules = tuple(task.id for task in tasks), tuple(task.rule for task in tasks)
        return cls(*_pack(grids), pair_task, np.array(is_test, dtype=np.bool_), ids, rules)

    def tasks(self) -> list[Task]:
        """The tasks; their grids are views of `cells`."""
        result = []
        for t in range(self.n_tasks):
            first, last = int(self.task_start[t]), int(self.task_start[t + 1])
            pairs = [Pair(self[2 * p], self[2 * p + 1]) for p in range(first, last)]
            n_train = last - first - int(self.pair_is_test[first:last].sum())
            result.append(Task(self.task_ids[t], tuple(pairs[:n_train]), tuple(pairs[n_train:]), self.rules[t]))
        return result

    def select(self, task_indices: Sequence[int] | np.ndarray) -> "Frames":
        """The tasks at these indices, in this order."""
        chosen = np.asarray(task_indices, dtype=np.int64)
        counts = np.diff(self.task_start)[chosen]
        pairs = spans(self.task_start[chosen], counts)
        grids = self.take(np.stack([2 * pairs, 2 * pairs + 1], axis=1).ravel())
        pair_task = np.repeat(np.arange(len(chosen), dtype=np.int32), counts)
        ids, rules = tuple(self.task_ids[t] for t in chosen), tuple(self.rules[t] for t in chosen)
        return Frames(grids.cells, grids.height, grids.width, pair_task, self.pair_is_test[pairs], ids, rules)

    @staticmethod
    def concat(parts: Sequence["Frames"]) -> "Frames":
        """All tasks of several stores, one after the other."""
        parts = [Frames.from_tasks([]), *parts]
        first = offsets(np.array([part.n_tasks for part in parts]))
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
        shifted = [part.pair_task + first[i] for i, part in enumerate(parts)]
        arrays["pair_task"] = np.concatenate(shifted).astype(np.int32)
        texts: dict[str, Any] = {name: tuple(t for part in parts for t in getattr(part, name)) for name in TEXTS}
        return Frames(**arrays, **texts)


def offsets(lengths: np.ndarray) -> np.ndarray:
    """(n + 1,) int64 cumulative sums, from 0."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The indices starts[i] to starts[i] + lengths[i] of every i, concatenated, int64."""
    ends = np.cumsum(lengths, dtype=np.int64)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)


def _pack(grids: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells, heights and widths of checked grids."""
    for i, grid in enumerate(grids):
        if grid.ndim != 2 or not all(1 <= side <= MAX_SIDE for side in grid.shape):
            raise ValueError(f"grid {i} has shape {grid.shape}; allowed: (1 to {MAX_SIDE}, 1 to {MAX_SIDE})")
    cells = np.concatenate([grid.ravel() for grid in grids]) if grids else np.zeros(0, np.uint8)
    if cells.dtype.kind not in "iu" or (len(cells) and (cells.min() < 0 or cells.max() >= N_COLOURS)):
        raise ValueError(f"grids hold {cells.dtype} beyond colours 0 to {N_COLOURS - 1}")
    sides = np.array([grid.shape for grid in grids], dtype=np.uint8).reshape(-1, 2)
    return cells.astype(np.uint8, copy=False), sides[:, 0].copy(), sides[:, 1].copy()


def save_frames(path: str | Path, frames: Frames) -> None:
    """Write a .npz: the same frames give the same bytes, and no reader ever sees half a file."""
    arrays: dict[str, Any] = {name: np.asarray(getattr(frames, name), dtype=dtype) for name, dtype in ARRAYS.items()}
    for name in TEXTS:
        arrays[name] = np.frombuffer(json.dumps(getattr(frames, name)).encode(), dtype=np.uint8)
    # Uncompressed, because zlib's output differs between its versions.
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomic(Path(path), buffer.getbuffer())


def load_frames(path: str | Path) -> Frames:
    """Read and check what `save_frames` wrote.

    UserError names a file that is missing, damaged or inconsistent.
    """
    again = "delete it and run the workflow again"
    try:
        arrays: dict[str, Any] = read_arrays(path, (*ARRAYS, *TEXTS))
        texts: dict[str, Any] = {name: tuple(json.loads(arrays.pop(name).tobytes())) for name in TEXTS}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the workflow to make it") from error
    except DAMAGED as error:
        raise UserError(f"{path}: not a readable frames file ({reason(error)}); {again}") from error
    frames = Frames(**arrays, **texts)
    if fault := _fault(frames):
        raise UserError(f"{path}: {fault}; {again}")
    return frames


def _fault(frames: Frames) -> str:
    """What is inconsistent, "" if nothing is."""
    for name, dtype in ARRAYS.items():
        array = getattr(frames, name)
        if array.dtype != dtype or array.ndim != 1:
            return f"{name} is {array.dtype} {array.shape}, expected one axis of {np.dtype(dtype)}"
    if len(frames.height) != len(frames.width) or len(frames) != 2 * frames.n_pairs:
        return f"{len(frames.height)} heights and {len(frames.width)} widths for {frames.n_pairs} pairs"
    if len(frames.pair_is_test) != frames.n_pairs or len(frames.rules) != frames.n_tasks:
        return f"{len(frames.pair_is_test)} marks for {frames.n_pairs} pairs, {len(frames.rules)} rules"
    if not all(isinstance(text, str) for text in frames.task_ids + frames.rules):
        return "a task id or rule is no string"
    if fault := grids_fault(frames):
        return fault
    order = 2 * frames.pair_task.astype(np.int64) + frames.pair_is_test
    if frames.n_pairs and (order[0] < 0 or order[-1] >= 2 * frames.n_tasks or (np.diff(order) < 0).any()):
        return "pairs are not ordered by task, demonstrations first"
    return ""


def grids_fault(grids: Grids) -> str:
    """What is wrong with grids that were read from a file, "" if nothing is."""
    for name in ("cells", "height", "width"):
        array = getattr(grids, name)
        if array.dtype != np.uint8 or array.ndim != 1:
            return f"{name} is {array.dtype} {array.shape}, expected one axis of uint8"
    if len(grids.height) != len(grids.width):
        return f"{len(grids.height)} heights and {len(grids.width)} widths"
    sides = np.concatenate([grids.height, grids.width])
    if ((sides < 1) | (sides > MAX_SIDE)).any():
        return f"a height or width is not within 1 to {MAX_SIDE}"
    if grids.start[-1] != len(grids.cells) or (grids.cells >= N_COLOURS).any():
        return f"{len(grids.cells)} cells for {grids.start[-1]}, or a colour above {N_COLOURS - 1}"
    return ""
