"""Candidate outputs for the queries of a test set, drawn once and kept in a file: three kinds, the true one first.

| kind | the others                                        |
|------|---------------------------------------------------|
| A    | 15 outputs of other tasks                         |
| B    | the task's demonstration outputs, and the query   |
| C    | 15 near misses of the true output                 |
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from arcjepa.archives import DAMAGED, read_arrays, reason
from arcjepa.errors import UserError
from arcjepa.files import write_atomic
from arcjepa.frames import Frames, Grids, grids_fault
from arcjepa.near_misses import near_misses
from arcjepa.shares import share_of

KINDS = ("A", "B", "C")
OTHERS = 15
ARRAYS = ("cells", "height", "width", "query_pair", "query", "kind", "grid")


@dataclass(frozen=True, eq=False)
class Candidates:
    """Lists of candidates, one per query and kind; entries of a list lie together, the true output first."""

    grids: Grids
    """Distinct candidate grids."""
    query_pair: np.ndarray
    """(Q,) int64: the pair of the test set that query i asks for."""
    query: np.ndarray
    """(n,) int64: whose candidate entry i is, ascending."""
    kind: np.ndarray
    """(n,) int64: index into KINDS, ascending within a query."""
    grid: np.ndarray
    """(n,) int64: index into `grids`."""

    def lists(self) -> np.ndarray:
        """(L + 1,) int64: list l has entries lists[l] to lists[l + 1], the true output at lists[l]."""
        breaks = np.flatnonzero(np.diff(self.query * len(KINDS) + self.kind)) + 1
        return np.concatenate([[0], breaks, [len(self.query)]]) if len(self.query) else np.zeros(1, np.int64)


@dataclass
class _Draft:
    """Candidates as they are drawn; equal grids are kept once, as each will be embedded."""

    grids: list[np.ndarray] = field(default_factory=list)
    place: dict[tuple[tuple[int, ...], bytes], int] = field(default_factory=dict)
    entries: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, query: int, kind: int, truth: np.ndarray, others: Sequence[np.ndarray]) -> None:
        """A list, unless there is nothing to tell the truth from."""
        for grid in (truth, *others) if others else ():
            key = (grid.shape, np.ascontiguousarray(grid).tobytes())
            if key not in self.place:
                self.place[key] = len(self.grids)
                self.grids.append(grid)
            self.entries.append((query, kind, self.place[key]))


def draw_candidates(frames: Frames, max_tasks: int, seed: int) -> Candidates:
    """For every test pair of the first `max_tasks` tasks by id; tasks without test pairs or demonstrations have none.

    The draws of a task depend on (seed, its id) and, for A, on the outputs of the other tasks.
    """
    order = first_tasks(frames.task_ids, max_tasks)
    outputs = [(int(frames.pair_task[p]), frames[2 * p + 1]) for p in range(frames.n_pairs)]
    outputs = [(task, grid) for task, grid in outputs if task in set(order)]
    draft = _Draft()
    query_pairs: list[int] = []
    for task in order:
        rng = np.random.default_rng([seed, int(2**32 * share_of(frames.task_ids[task], "candidates"))])
        for pair, demonstrations in _queries(frames, task):
            query, truth = len(query_pairs), frames[2 * pair + 1]
            draft.add(query, 0, truth, _other_outputs(task, truth, outputs, rng))
            shown = [frames[2 * p + 1] for p in demonstrations] + [frames[2 * pair]]
            draft.add(query, 1, truth, _without(shown, truth))
            draft.add(query, 2, truth, near_misses(truth, OTHERS, rng))
            query_pairs.append(pair)
    entries = np.array(draft.entries, dtype=np.int64).reshape(-1, 3)
    return Candidates(Grids.from_list(draft.grids), np.array(query_pairs, dtype=np.int64), *entries.T.copy())


def first_tasks(task_ids: Sequence[str], max_tasks: int) -> list[int]:
    """Indices of the first `max_tasks` tasks by id, those that are ranked."""
    return sorted(range(len(task_ids)), key=lambda t: task_ids[t])[:max_tasks]


def _queries(frames: Frames, task: int) -> Iterator[tuple[int, np.ndarray]]:
    """Each test pair of a task, with its demonstrations."""
    pairs = np.arange(frames.task_start[task], frames.task_start[task + 1])
    demonstrations = pairs[~frames.pair_is_test[pairs]]
    for pair in pairs[frames.pair_is_test[pairs]]:
        if len(demonstrations):
            yield int(pair), demonstrations


def _other_outputs(
    task: int, truth: np.ndarray, outputs: list[tuple[int, np.ndarray]], rng: np.random.Generator
) -> list[np.ndarray]:
    """OTHERS distinct outputs of other tasks, fewer where there are no more."""
    found: list[np.ndarray] = []
    for i in rng.permutation(len(outputs)):
        if len(found) == OTHERS:
            break
        if outputs[i][0] != task:
            found = _without([*found, outputs[i][1]], truth)
    return found


def _without(grids: Sequence[np.ndarray], truth: np.ndarray) -> list[np.ndarray]:
    """Distinct grids that are not the true one, in order."""
    kept: list[np.ndarray] = []
    for grid in grids:
        if not any(np.array_equal(grid, other) for other in (truth, *kept)):
            kept.append(grid)
    return kept


def save_candidates(path: Path, candidates: Candidates) -> None:
    """Write a .npz; the same candidates give the same bytes."""
    held = {name: getattr(candidates.grids if name in ARRAYS[:3] else candidates, name) for name in ARRAYS}
    buffer = io.BytesIO()
    np.savez(buffer, **held)
    write_atomic(path, buffer.getbuffer())


def load_candidates(path: Path) -> Candidates:
    """Read a .npz of `save_candidates`. Errors: UserError naming the file where it is missing or damaged."""
    again = "delete it and run the workflow"
    try:
        held = read_arrays(path, ARRAYS)
    except DAMAGED as error:
        raise UserError(f"{path}: no candidates file ({reason(error)}); {again}") from error
    candidates = Candidates(Grids(*(held.pop(name) for name in ARRAYS[:3])), **held)
    if fault := _fault(candidates):
        raise UserError(f"{path}: {fault}; {again}")
    return candidates


def _fault(candidates: Candidates) -> str:
    """What is inconsistent, "" if nothing is."""
    if fault := grids_fault(candidates.grids):
        return fault
    limits = {"query": candidates.query_pair.size, "kind": len(KINDS), "grid": len(candidates.grids)}
    for name, limit in ({"query_pair": 2**31} | limits).items():
        values = getattr(candidates, name)
        if values.dtype != np.int64 or values.ndim != 1:
            return f"{name} is {values.dtype} {values.shape}, expected one axis of int64"
        if ((values < 0) | (values >= limit)).any():
            return f"{name} has a value that is not within 0 to {limit - 1}"
    if not len(candidates.query) == len(candidates.kind) == len(candidates.grid):
        return f"{len(candidates.query)} queries, {len(candidates.kind)} kinds and {len(candidates.grid)} grids"
    if (np.diff(candidates.query * len(KINDS) + candidates.kind) < 0).any():
        return "entries are not ordered by query and kind"
    return ""
