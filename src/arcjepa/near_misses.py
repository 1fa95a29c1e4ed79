"""Grids that are almost the right answer: the hard negatives of candidate ranking."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from arcjepa.frames import Frames, Grids
from arcjepa.shares import share_of
from arcjepa.tasks import N_COLOURS

MAX_CELLS_CHANGED = 8
MAX_TRIES = 200

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def near_misses(grid: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Up to `count` grids unlike `grid` and each other, each one change away from it. Shape: (H, W) uint8.

    Fewer where the grid has no more, as one of a single cell.
    """
    found: list[np.ndarray] = []
    seen = {_key(grid)}
    for _ in range(MAX_TRIES):
        if len(found) == count:
            break
        changed = np.ascontiguousarray(CHANGES[rng.integers(len(CHANGES))](grid, rng))
        if (key := _key(changed)) not in seen:
            seen.add(key)
            found.append(changed)
    return found


def misses_of_outputs(frames: Frames, count: int) -> Grids:
    """`count` near misses of the output of every pair, pair by pair; the first ones again where there are no more.

    A pure function of the task's id, the pair's number in it and its output, however tasks are split into files.
    """
    grids: list[np.ndarray] = []
    for pair, task in enumerate(frames.pair_task):
        seed = int(2**32 * share_of(frames.task_ids[task], "near misses")), pair - int(frames.task_start[task])
        found = near_misses(frames[2 * pair + 1], count, np.random.default_rng(seed))
        grids += [found[i % len(found)] for i in range(count)]
    return Grids.from_list(grids)


def _key(grid: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    return grid.shape, grid.tobytes()


def change_cells(grid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One to eight cells, 2 % of the grid at most unless that is less than one, in other colours of the grid."""
    limit = int(np.clip(0.02 * grid.size, 1, MAX_CELLS_CHANGED))
    cells = rng.choice(grid.size, rng.integers(1, limit + 1), replace=False)
    changed = grid.copy()
    colours = palette(grid)
    for cell in cells:
        changed.flat[cell] = rng.choice(colours[colours != grid.flat[cell]])
    return changed


def recolour_object(grid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One connected component, not of the most frequent colour unless there is no other, in any other colour."""
    background = np.bincount(grid.ravel()).argmax()
    colours = np.unique(grid)
    colours = colours[colours != background] if len(colours) > 1 else colours
    colour = rng.choice(colours)
    labels, count = ndimage.label(grid == colour)
    changed = grid.copy()
    changed[labels == rng.integers(1, count + 1)] = rng.choice(np.setdiff1d(np.arange(N_COLOURS), [colour]))
    return changed


def shift(grid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Everything moved by one cell; what leaves comes in on the other side."""
    return np.roll(grid, rng.choice([-1, 1]), axis=rng.integers(2))


def swap_colours(grid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two colours trade places."""
    a, b = rng.choice(palette(grid), 2, replace=False)
    table = np.arange(N_COLOURS, dtype=np.uint8)
    table[[a, b]] = b, a
    return table[grid]


def turn(grid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A flip, a half-turn or a transposition."""
    return (grid[:, ::-1], grid[::-1], grid[::-1, ::-1], grid.T)[rng.integers(4)]


def crop(grid: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Without one of its border rows or columns; unchanged where that is all there is."""
    axis = rng.integers(2)
    if grid.shape[axis] == 1:
        return grid
    kept = np.arange(grid.shape[axis] - 1) + rng.integers(2)
    return np.take(grid, kept, axis=axis)


def palette(grid: np.ndarray) -> np.ndarray:
    """The colours of the grid, all ten where it has only one."""
    colours = np.unique(grid)
    return colours if len(colours) > 1 else np.arange(N_COLOURS)


CHANGES: tuple[Change, ...] = (change_cells, recolour_object, shift, swap_colours, turn, crop)
