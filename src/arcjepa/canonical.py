"""Hashes that are blind to D8 (rotations, flips) and renamed colours, of grids and pairs.

They find copies that were turned or recoloured. They do not see shifted, cropped or partly changed copies.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from arcjepa.tasks import N_COLOURS, Pair, Task

Overlaps = dict[str, list[str]]


def canonical_hash(grids: np.ndarray | Sequence[np.ndarray]) -> str:
    """32 hex digits, the same for all sequences of grids that one D8 element and renaming turn into this.

    The sequence shares both: it is one picture. The form hashed is the least of the eight turned ones, each
    with its colours renamed 0, 1, 2, ... in the order in which they first appear.
    """
    sequence = [grids] if isinstance(grids, np.ndarray) else list(grids)
    form = min(_named_by_appearance(turned) for turned in _d8(sequence))
    return hashlib.blake2b(form, digest_size=16).hexdigest()


def pair_hash(pair: Pair) -> str:
    """The hash of input and output, turned and recoloured as one."""
    return canonical_hash((pair.input, pair.output))


@lru_cache(maxsize=16384)
def pair_hashes(task: Task) -> frozenset[str]:
    """The hashes of all pairs, tests included."""
    return frozenset(pair_hash(pair) for pair in task.pairs)


def find_overlaps(tasks: Iterable[Task], others: Iterable[Task]) -> Overlaps:
    """For each task id that shares a pair with any of `others`: the ids of those, sorted."""
    owners: dict[str, set[str]] = {}
    for other in others:
        for digest in pair_hashes(other):
            owners.setdefault(digest, set()).add(other.id)
    found: Overlaps = {}
    for task in tasks:
        if shared := set().union(*(owners.get(digest, set()) for digest in pair_hashes(task))):
            found[task.id] = sorted(shared)
    return found


def _d8(grids: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """The eight turned copies of a sequence."""
    turned = [[np.rot90(grid, k) for grid in grids] for k in range(4)]
    return turned + [[grid.T for grid in sequence] for sequence in turned]


def _named_by_appearance(grids: Sequence[np.ndarray]) -> bytes:
    """The sizes, then all cells with colours renamed in the order in which they first appear."""
    cells = np.concatenate([grid.ravel() for grid in grids])
    first = np.full(N_COLOURS, len(cells))
    # Written from the last cell to the first, so that the earliest cell of a colour is what stays.
    first[cells[::-1]] = np.arange(len(cells) - 1, -1, -1)
    names = np.empty(N_COLOURS, dtype=np.uint8)
    names[np.argsort(first, kind="stable")] = np.arange(N_COLOURS)
    return bytes(side for grid in grids for side in grid.shape) + names[cells].tobytes()
