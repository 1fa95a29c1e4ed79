"""Selectors: which regions of a grid a rule is about, such as the largest one or those at the border."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from arcjepa.regions import (
    AREA,
    BOTTOM,
    COLOUR,
    LEFT,
    RIGHT,
    TOP,
    background_of,
    label,
    mark_cells,
    mark_symmetric,
    outside,
)

MANY = 20  # objects beyond which nobody sees what a selector means


class Objects(NamedTuple):
    """The regions of a grid; see `arcjepa.regions.label`."""

    grid: np.ndarray  # (H, W) uint8
    background: int
    labels: np.ndarray  # (H, W) int16, 0 background
    table: np.ndarray  # (n, 6) int64

    @property
    def heights(self) -> np.ndarray:
        return self.table[:, BOTTOM] - self.table[:, TOP]

    @property
    def widths(self) -> np.ndarray:
        return self.table[:, RIGHT] - self.table[:, LEFT]

    def mask(self, chosen: np.ndarray) -> np.ndarray:
        """(H, W) bool cells of the objects chosen, (n,) bool."""
        mask = np.empty(self.labels.shape, bool)
        mark_cells(self.labels, chosen, mask)
        return mask


def objects_of(grid: np.ndarray) -> Objects:
    """The regions of a C-contiguous grid."""
    background = background_of(grid)
    return Objects(grid, background, *label(grid, background))


def _most(values: np.ndarray) -> np.ndarray:
    """(n,) bool: the one largest; none where several tie."""
    best = values == values.max()
    return best if np.count_nonzero(best) == 1 else np.zeros(len(values), bool)


def _touching(o: Objects) -> np.ndarray:
    height, width = o.grid.shape
    t = o.table
    return (t[:, TOP] == 0) | (t[:, LEFT] == 0) | (t[:, BOTTOM] == height) | (t[:, RIGHT] == width)


def _holed(o: Objects) -> np.ndarray:
    holed = np.zeros(len(o.table), bool)
    for i in np.flatnonzero((o.heights > 2) & (o.widths > 2) & (o.table[:, AREA] < o.heights * o.widths)).tolist():
        _, _, top, left, bottom, right = o.table[i].tolist()
        shape = (o.labels[top:bottom, left:right] == i + 1).astype(np.uint8)
        holed[i] = bool(((shape == 0) & ~outside(shape, 0)).any())
    return holed


def _symmetric(o: Objects) -> np.ndarray:
    even = np.empty(len(o.table), bool)
    mark_symmetric(o.labels, o.table, even)
    return even


def _single_colour(o: Objects) -> np.ndarray:
    return np.bincount(o.table[:, COLOUR], minlength=10)[o.table[:, COLOUR]] == 1


def _straight(o: Objects) -> np.ndarray:
    return (np.minimum(o.heights, o.widths) == 1) & (o.table[:, AREA] > 1)


SELECTORS: dict[str, Callable[[Objects], np.ndarray]] = {
    "all": lambda o: np.ones(len(o.table), bool),
    "largest": lambda o: _most(o.table[:, AREA]),
    "smallest": lambda o: _most(-o.table[:, AREA]),
    "tallest": lambda o: _most(o.heights),
    "widest": lambda o: _most(o.widths),
    "top": lambda o: _most(-o.table[:, TOP]),
    "bottom": lambda o: _most(o.table[:, BOTTOM]),
    "left": lambda o: _most(-o.table[:, LEFT]),
    "right": lambda o: _most(o.table[:, RIGHT]),
    "border": _touching,
    "inner": lambda o: ~_touching(o),
    "single": lambda o: o.table[:, AREA] == 1,
    "plural": lambda o: o.table[:, AREA] > 1,
    "straight": _straight,
    "square": lambda o: (o.heights == o.widths) & (o.heights > 1),
    "solid": lambda o: (o.table[:, AREA] == o.heights * o.widths) & (o.table[:, AREA] > 1),
    "holed": _holed,
    "symmetric": _symmetric,
    "asymmetric": lambda o: ~_symmetric(o),
    "own_colour": _single_colour,
    "upright": lambda o: o.heights > o.widths,
    "flat": lambda o: o.heights < o.widths,
}


def choose(grid: np.ndarray, selector: str) -> tuple[Objects, np.ndarray] | None:
    """The objects and an (n,) bool choice among them; None where the choice would not show the selector."""
    found = objects_of(grid)
    if not 1 <= len(found.table) <= MANY:
        return None
    chosen = SELECTORS[selector](found)
    count = np.count_nonzero(chosen)
    return (found, chosen) if count and (selector == "all" or count < len(chosen)) else None
