"""Connected regions of one grid: the compiled kernels that the object and line rules share.

A *region* is a set of cells of one colour, other than the background, joined by 8 neighbours, as the tokeniser has it.
"""

import numpy as np
from numba import njit

COLOUR, AREA, TOP, LEFT, BOTTOM, RIGHT = range(6)  # columns of the table; bottom and right are exclusive
UNKNOWN = 255


@njit(cache=True, nogil=True)
def histogram(grid: np.ndarray) -> np.ndarray:
    """(10,) int64: cells of each colour of a (H, W) uint8 grid."""
    counts = np.zeros(10, np.int64)
    for colour in grid.flat:
        counts[colour] += 1
    return counts


@njit(cache=True, nogil=True)
def background_of(grid: np.ndarray) -> int:
    """The most frequent colour of a (H, W) uint8 grid; of several, the lowest."""
    return count_colours(grid)[1]


@njit(cache=True, nogil=True)
def count_colours(grid: np.ndarray) -> tuple[int, int]:
    """How many colours a (H, W) uint8 grid has, and the most frequent one; of several, the lowest."""
    counts = np.zeros(10, np.int64)
    for colour in grid.flat:
        counts[colour] += 1
    return int(np.count_nonzero(counts)), int(counts.argmax())


@njit(cache=True, nogil=True)
def has_colour(grid: np.ndarray, colour: int) -> bool:
    """Whether a cell of a (H, W) uint8 grid has a colour."""
    return (grid == colour).any()


@njit(cache=True, nogil=True)
def mark_cells(labels: np.ndarray, chosen: np.ndarray, mask: np.ndarray) -> None:
    """Fills a mask, (H, W) bool: cells whose label, (H, W) int16, is that of a region chosen, (n,) bool."""
    for row in range(labels.shape[0]):
        for col in range(labels.shape[1]):
            mask[row, col] = labels[row, col] > 0 and chosen[labels[row, col] - 1]


@njit(cache=True, nogil=True)
def mark_symmetric(labels: np.ndarray, table: np.ndarray, even: np.ndarray) -> None:
    """Fills which regions, (n,) bool, are their own mirror image left to right."""
    for i in range(len(table)):
        even[i] = True
        left, last = table[i, 3], table[i, 5] - 1
        for row in range(table[i, 2], table[i, 4]):
            for col in range(left, last + 1):
                if (labels[row, col] == i + 1) != (labels[row, left + last - col] == i + 1):
                    even[i] = False


def label(grid: np.ndarray, background: int) -> tuple[np.ndarray, np.ndarray]:
    """Number the regions of a C-contiguous (H, W) uint8 grid in raster order of their first cell.

    Returns labels, (H, W) int16 with 0 for the background and 1..n for the regions, and the table, (n, 6) int64:
    colour, area, top, left, bottom, right.
    """
    # Made here, as arrays that compiled code returns cost more than those that it is given.
    labels, table = np.zeros(grid.shape, np.int16), np.zeros((grid.size, 6), np.int64)
    return labels, table[: _label(grid, background, labels, table)]


@njit(cache=True, nogil=True)
def _label(grid: np.ndarray, background: int, labels: np.ndarray, table: np.ndarray) -> int:
    """Fills labels and table, zeros before; returns the number of regions."""
    height, width = grid.shape
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
    return count


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
def count_neighbours(mask: np.ndarray, sides: bool, corners: bool) -> np.ndarray:
    """(H, W) int8: how many neighbours of each cell, at its sides or corners or both, are in a (H, W) bool mask."""
    height, width = mask.shape
    counts = np.zeros((height, width), np.int8)
    for row in range(height):
        for col in range(width):
            if not mask[row, col]:
                continue
            for y in range(max(row - 1, 0), min(row + 2, height)):
                for x in range(max(col - 1, 0), min(col + 2, width)):
                    apart = abs(y - row) + abs(x - col)
                    counts[y, x] += (apart == 1 and sides) or (apart == 2 and corners)
    return counts


@njit(cache=True, nogil=True)
def surrounded(grid: np.ndarray, background: int) -> np.ndarray:
    """(H, W) bool: cells of a uint8 grid off the background that have their own colour on all four sides."""
    height, width = grid.shape
    found = np.zeros((height, width), np.bool_)
    for row in range(1, height - 1):
        for col in range(1, width - 1):
            c = grid[row, col]
            level = grid[row, col - 1] == c and grid[row, col + 1] == c
            found[row, col] = c != background and level and grid[row - 1, col] == c and grid[row + 1, col] == c
    return found


@njit(cache=True, nogil=True)
def cast_down(grid: np.ndarray, background: int, source: np.ndarray) -> np.ndarray:
    """Copy of a (H, W) uint8 grid where the cells of `source`, (H, W) bool, shoot rays down through the background."""
    cast = grid.copy()
    height, width = grid.shape
    for col in range(width):
        ray = background
        for row in range(height):
            colour = grid[row, col]
            if source[row, col]:
                ray = colour
            elif colour != background:
                ray = background
            if colour == background:
                cast[row, col] = ray
    return cast


@njit(cache=True, nogil=True)
def move_cells(
    grid: np.ndarray, rest: np.ndarray, mask: np.ndarray, rows: int, cols: int, background: int, free: bool
) -> np.ndarray:
    """Copy of `rest` with those cells of a grid that are in a mask drawn (rows, cols) further, on the background alone.

    No cells, (0, 0), where one would leave the grid or, if they must be `free`, land on something.
    """
    height, width = grid.shape
    moved = rest.copy()
    for row in range(height):
        for col in range(width):
            if not mask[row, col]:
                continue
            y, x = row + rows, col + cols
            if not (0 <= y < height and 0 <= x < width) or (free and rest[y, x] != background):
                return np.empty((0, 0), grid.dtype)
            if rest[y, x] == background:
                moved[y, x] = grid[row, col]
    return moved


@njit(cache=True, nogil=True)
def continue_tiling(grid: np.ndarray, hidden: int, height: int, width: int) -> np.ndarray:
    """A (H, W) uint8 grid as a tiling of period (height, width) that its cells but those of colour `hidden` agree on.

    No cells, (0, 0), where they do not agree or leave a cell of the period unknown.
    """
    rows, cols = grid.shape
    tile = np.full((height, width), UNKNOWN, np.uint8)
    for row in range(rows):
        for col in range(cols):
            known = tile[row % height, col % width]
            if grid[row, col] != hidden:
                if known != UNKNOWN and known != grid[row, col]:
                    return np.empty((0, 0), np.uint8)
                tile[row % height, col % width] = grid[row, col]
    if (tile == UNKNOWN).any():
        return np.empty((0, 0), np.uint8)
    whole = np.empty((rows, cols), np.uint8)
    for row in range(rows):
        for col in range(cols):
            whole[row, col] = tile[row % height, col % width]
    return whole


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
