"""Connected regions of one grid: the compiled kernels that the object and line rules share.

A *region* is a set of cells of one colour, other than the background, joined by 8 neighbours, as the tokeniser has it.
"""

import numpy as np
from numba import njit

COLOUR, AREA, TOP, LEFT, BOTTOM, RIGHT = range(6)  # columns of the table; bottom and right are exclusive


@njit(cache=True, nogil=True)
def histogram(grid: np.ndarray) -> np.ndarray:
    """(10,) int64: cells of each colour of a (H, W) uint8 grid."""
    counts = np.zeros(10, np.int64)
    for colour in grid.flat:
        counts[colour] += 1
    return counts


def background_of(grid: np.ndarray) -> int:
    """The most frequent colour of a (H, W) uint8 grid; of several, the lowest."""
    return int(histogram(grid).argmax())


@njit(cache=True, nogil=True)
def label(grid: np.ndarray, background: int) -> tuple[np.ndarray, np.ndarray]:
    """Number the regions of a C-contiguous (H, W) uint8 grid in raster order of their first cell.

    Returns labels, (H, W) int16 with 0 for the background and 1..n for the regions, and the table, (n, 6) int64:
    colour, area, top, left, bottom, right.
    """
    height, width = grid.shape
    labels = np.zeros((height, width), np.int16)
    table = np.zeros((height * width, 6), np.int64)
    stack = np.empty((height * width, 2), np.int64)
    count = 0
    for row in range(height):
        for col in range(width):
            if grid[row, col] == background or labels[row, col]:
                continue
            colour = grid[row, col]
            entry = table[count]
            count += 1
            entry[0], entry[2], entry[3], entry[4], entry[5] = colour, row, col, row + 1, col + 1
            labels[row, col] = count
            stack[0, 0], stack[0, 1] = row, col
            top = 1
            while top:
                top -= 1
                r, c = stack[top, 0], stack[top, 1]
                entry[1] += 1
                entry[3], entry[4], entry[5] = min(entry[3], c), max(entry[4], r + 1), max(entry[5], c + 1)
                for y in range(max(r - 1, 0), min(r + 2, height)):
                    for x in range(max(c - 1, 0), min(c + 2, width)):
                        if grid[y, x] == colour and not labels[y, x]:
                            labels[y, x] = count
                            stack[top, 0], stack[top, 1] = y, x
                            top += 1
    return labels, table[:count]


@njit(cache=True, nogil=True)
def outside(grid: np.ndarray, background: int) -> np.ndarray:
    """(H, W) bool: background cells of a C-contiguous uint8 grid that reach the border by 4 neighbours."""
    height, width = grid.shape
    seen = np.zeros((height, width), np.bool_)
    stack = np.empty((height * width, 2), np.int64)
    top = 0
    for row in range(height):
        for col in range(width):
            edge = row == 0 or col == 0 or row == height - 1 or col == width - 1
            if edge and grid[row, col] == background:
                seen[row, col] = True
                stack[top, 0], stack[top, 1] = row, col
                top += 1
    while top:
        top -= 1
        r, c = stack[top, 0], stack[top, 1]
        for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            y, x = r + dr, c + dc
            inside = 0 <= y < height and 0 <= x < width
            if inside and not seen[y, x] and grid[y, x] == background:
                seen[y, x] = True
                stack[top, 0], stack[top, 1] = y, x
                top += 1
    return seen


@njit(cache=True, nogil=True)
def join_rows(grid: np.ndarray, background: int) -> np.ndarray:
    """Copy of a (H, W) uint8 grid: in each row, the background between two cells of one colour gets that colour."""
    joined = grid.copy()
    height, width = grid.shape
    for row in range(height):
        last = -1
        for col in range(width):
            if grid[row, col] == background:
                continue
            if last >= 0 and grid[row, last] == grid[row, col]:
                joined[row, last:col] = grid[row, col]
            last = col
    return joined
