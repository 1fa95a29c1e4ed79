"""Random small shapes, and placing them apart from one another."""

from functools import cache

import numpy as np
from numba import njit

from arcjepa.dice import Dice


def random_shape(dice: Dice, most: int) -> np.ndarray:
    """A small (h, w) bool shape, sides 1..most: rectangle, ring, line, diagonal, L, T, U, plus, stair, blob, cross."""
    kind, side = dice.below(12), max(min(most, 3), 1)
    h, w = dice.between(1, most), dice.between(1, most)
    if kind == 0:
        return block(min(max(h, 2), most), min(max(w, 2), most))
    if kind == 1 and most >= 3:
        return ring(max(h, 3), max(w, 3))
    if kind == 2:
        return block(1, min(max(w, 2), most)) if dice.chance(0.5) else block(min(max(h, 2), most), 1)
    width = dice.between(min(2, side), side)
    if kind == 3:
        return _diagonal(max(min(h, 4), side), dice.pick((1, -1)))
    if 3 < kind < 10:
        return _letter(kind, side, width, dice.pick((1, -1)), dice.pick((1, -1)))
    shape = dice.cells(max(min(h, 4), side), max(min(w, 4), side), (0, 1, 1)).view(bool)
    shape[0, 0] = True
    return shape[:: dice.pick((1, -1)), :: dice.pick((1, -1))]


# Those below are made once each, as most of drawing a shape would be making it: none may be written to.


@cache
def block(height: int, width: int) -> np.ndarray:
    """A (height, width) bool rectangle."""
    return np.ones((height, width), bool)


@cache
def _diagonal(side: int, step: int) -> np.ndarray:
    return np.ascontiguousarray(np.eye(side, dtype=bool)[::step])


@cache
def _letter(kind: int, side: int, width: int, down: int, across: int) -> np.ndarray:
    """An L, T, U, plus or stair, perhaps mirrored."""
    shape = np.zeros((side, width), bool)
    if kind in (4, 5):
        shape[:, 0] = shape[-1] = True
    elif kind == 6:
        shape[0], shape[:, width // 2] = True, True
    elif kind == 7:
        shape[:, 0] = shape[:, -1] = shape[-1] = True
    elif kind == 8:
        shape = np.zeros((side, side), bool)
        shape[side // 2] = shape[:, side // 2] = True
    elif kind == 9:
        shape = np.tri(side, dtype=bool)
    return np.ascontiguousarray(shape[::down, ::across])


def ring(height: int, width: int) -> np.ndarray:
    """A (height, width) bool rectangle without its inside."""
    hollow = np.ones((height, width), bool)
    hollow[1:-1, 1:-1] = False
    return hollow


def place(dice: Dice, grid: np.ndarray, shape: np.ndarray, colour: int, background: int) -> None:
    """Draw a shape where it touches nothing, if one of a few tries finds such a place."""
    if shape.shape[0] <= grid.shape[0] and shape.shape[1] <= grid.shape[1]:
        _place(grid, np.ascontiguousarray(shape), colour, background, dice.below(1 << 31))


@njit(cache=True, nogil=True)
def _place(grid: np.ndarray, shape: np.ndarray, colour: int, background: int, seed: int) -> None:
    """Draw a C-contiguous (h, w) bool shape on a C-contiguous grid at the first free of four places."""
    height, width = grid.shape
    h, w = shape.shape
    for _ in range(4):
        seed = (seed * 1103515245 + 12345) % (1 << 31)  # a linear congruence: good enough for four places
        top = (seed >> 8) % (height - h + 1)
        left = (seed >> 18) % (width - w + 1)
        free = True
        for row in range(max(top - 1, 0), min(top + h + 1, height)):
            for col in range(max(left - 1, 0), min(left + w + 1, width)):
                free = free and grid[row, col] == background
        if free:
            for row in range(h):
                for col in range(w):
                    if shape[row, col]:
                        grid[top + row, left + col] = colour
            return
