"""Rules that draw, move or test single cells by their neighbours: rays, lines, gravity, outlines, holes.

Every function is pure: (H, W) uint8 grid and parameters in, a new grid out, or None where the rule does not apply.
Where two drawings meet, the order written here decides, so that every rule is a function.
"""

import numpy as np

from arcjepa.grid_rules import WAYS, Result, along, downwards, shifted
from arcjepa.regions import (
    AREA,
    BOTTOM,
    COLOUR,
    LEFT,
    RIGHT,
    TOP,
    background_of,
    cast_down,
    count_neighbours,
    join_rows,
    label,
    outside,
    surrounded,
)

SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))
CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def neighbours(mask: np.ndarray, steps: tuple[tuple[int, int], ...]) -> np.ndarray:
    """How many of the neighbours (row, col steps) of each cell are in a (H, W) bool mask; (H, W) int8."""
    return count_neighbours(mask, SIDES[0] in steps, CORNERS[0] in steps)


def extend(grid: np.ndarray, way: str) -> Result:
    """Every cell off the background shoots a ray of its colour one way, up to the next cell or the border."""
    lines, background = downwards(grid, way), background_of(grid)
    return downwards(cast_down(lines, background, lines != background), way)


def extend_colour(grid: np.ndarray, colour: int, way: str) -> Result:
    """The cells of one colour shoot rays one way, up to the next cell or the border."""
    lines, background = downwards(grid, way), background_of(grid)
    source = lines == colour
    return None if colour == background or not source.any() else downwards(cast_down(lines, background, source), way)


def extend_lines(grid: np.ndarray) -> Result:
    """Straight lines of two or more cells grow at both ends, over the background, to the border."""
    background, drawn = background_of(grid), grid.copy()
    for colour, area, top, left, bottom, right in label(grid, background)[1].tolist():
        if area >= 2 and area == (bottom - top) * (right - left) and 1 in (bottom - top, right - left):
            line = drawn[top] if bottom - top == 1 else drawn[:, left]
            line[line == background] = colour
    return drawn


def sparse_points(grid: np.ndarray, most: int = 12) -> list[list[int]] | None:
    """Regions of one cell as [row, col, colour]; None for none or more than `most`."""
    table = label(grid, background_of(grid))[1]
    points = table[table[:, AREA] == 1][:, [TOP, LEFT, COLOUR]].tolist()
    return points if 1 <= len(points) <= most else None


def cross(grid: np.ndarray) -> Result:
    """Single cells draw their column, then their row, over the background."""
    points, background = sparse_points(grid, 6), background_of(grid)
    if points is None:
        return None
    drawn = grid.copy()
    for axis in (1, 0):
        for row, col, colour in points:
            line = drawn[:, col] if axis else drawn[row]
            line[grid[:, col] == background if axis else grid[row] == background] = colour
    return drawn


def draw_line(grid: np.ndarray, axis: str) -> Result:
    """Single cells draw their row (or column) over the background."""
    points, background = sparse_points(grid), background_of(grid)
    if points is None:
        return None
    drawn = grid.copy()
    for row, col, colour in points:
        line = drawn[row] if axis == "rows" else drawn[:, col]
        line[line == background] = colour
    return drawn


def diagonals(grid: np.ndarray) -> Result:
    """Single cells draw both diagonals through them over the background; None for more than three of them."""
    points, background = sparse_points(grid, 3), background_of(grid)
    if points is None:
        return None
    rows, cols = np.ogrid[: grid.shape[0], : grid.shape[1]]
    drawn = grid.copy()
    for row, col, colour in points:
        drawn[(abs(rows - row) == abs(cols - col)) & (drawn == background)] = colour
    return drawn


def surround(grid: np.ndarray, centre: int, colour: int, shape: str) -> Result:
    """Cells of one colour get neighbours of another on the background: at the sides, the corners, or all around."""
    background, steps = (
        background_of(grid),
        {"sides": SIDES, "corners": CORNERS, "ring": SIDES + CORNERS}[shape],
    )
    mask = grid == centre
    if centre == background or not mask.any():
        return None
    return np.where((neighbours(mask, steps) > 0) & (grid == background), np.uint8(colour), grid)


def connect(grid: np.ndarray, axis: str) -> Result:
    """Cells of one colour with nothing but background between them in a row (or column) are joined."""
    lines = np.ascontiguousarray(along(grid, axis))
    return along(join_rows(lines, background_of(grid)), axis)


def connect_both(grid: np.ndarray) -> Result:
    """Cells of one colour with nothing but background between them are joined, along columns over rows."""
    background = background_of(grid)
    across = join_rows(grid, background)
    down = join_rows(np.ascontiguousarray(grid.T), background).T
    return np.where(down == background, across, down)


def gravity(grid: np.ndarray, way: str) -> Result:
    """Every cell off the background falls one way until it rests."""
    lines = downwards(grid, way)
    order = np.argsort(lines != background_of(grid), axis=0, kind="stable")
    return downwards(np.take_along_axis(lines, order, axis=0), way)


def outline(grid: np.ndarray, colour: int) -> Result:
    """Background cells that touch anything, at sides or corners, get a colour."""
    filled = grid != background_of(grid)
    return np.where((neighbours(filled, SIDES + CORNERS) > 0) & ~filled, np.uint8(colour), grid)


def grow(grid: np.ndarray, shape: str) -> Result:
    """Cells grow into the background at their sides, or all around; the first of down, up, right, left wins."""
    background, grown = background_of(grid), grid.copy()
    for row, col in SIDES if shape == "sides" else SIDES + CORNERS:
        moved = shifted(grid, row, col, background)
        grown = np.where(grown == background, moved, grown)
    return grown


def erode(grid: np.ndarray) -> Result:
    """Cells with background, or the border, at one of their sides are removed."""
    background = background_of(grid)
    return np.where(neighbours(grid != background, SIDES) == 4, grid, np.uint8(background))


def inner(grid: np.ndarray) -> np.ndarray:
    """(H, W) bool: cells off the background that have their own colour on all four sides."""
    return surrounded(grid, background_of(grid))


def hollow(grid: np.ndarray) -> Result:
    """The inside of everything is removed, the rim stays."""
    return np.where(inner(grid), np.uint8(background_of(grid)), grid)


def recolour_inside(grid: np.ndarray, colour: int) -> Result:
    """The inside of everything gets a colour, the rim stays."""
    return np.where(inner(grid), np.uint8(colour), grid)


def recolour_rim(grid: np.ndarray, colour: int) -> Result:
    """The rim of everything that has an inside gets a colour, the inside stays."""
    inside = inner(grid)
    return np.where((grid != background_of(grid)) & ~inside, np.uint8(colour), grid) if inside.any() else None


def recolour_degree(grid: np.ndarray, degree: int, colour: int) -> Result:
    """Cells with exactly that many neighbours off the background at their sides get a colour."""
    filled = grid != background_of(grid)
    return np.where(filled & (neighbours(filled, SIDES) == degree), np.uint8(colour), grid)


def fill(grid: np.ndarray, colour: int) -> Result:
    """Enclosed background (no way out by sides) gets a colour."""
    background = background_of(grid)
    return np.where((grid == background) & ~outside(grid, background), np.uint8(colour), grid)


def flood(grid: np.ndarray, colour: int) -> Result:
    """Background with a way out to the border gets a colour; None unless some is enclosed."""
    background = background_of(grid)
    free = outside(grid, background)
    return np.where(free, np.uint8(colour), grid) if (free != (grid == background)).any() else None


def fill_own(grid: np.ndarray) -> Result:
    """Holes get the colour of what encloses them: of the cell above, from the top down."""
    background, filled = background_of(grid), grid.copy()
    enclosed = (grid == background) & ~outside(grid, background)
    for row in range(1, len(grid)):
        filled[row] = np.where(enclosed[row], filled[row - 1], grid[row])
    return filled


def drop_specks(grid: np.ndarray) -> Result:
    """Regions of one cell are removed; None where nothing larger is left."""
    background = background_of(grid)
    labels, table = label(grid, background)
    speck = np.concatenate(([False], table[:, AREA] == 1))
    return None if speck[1:].all() else np.where(speck[labels], np.uint8(background), grid)


def fill_boxes(grid: np.ndarray, colour: int) -> Result:
    """The background inside the bounding box of every region gets a colour."""
    background = background_of(grid)
    filled = grid.copy()
    for box in label(grid, background)[1].tolist():
        part = filled[box[TOP] : box[BOTTOM], box[LEFT] : box[RIGHT]]
        part[part == background] = colour
    return filled


def edge_lines(grid: np.ndarray, way: str) -> Result:
    """Cells on one border shoot rays of their colour across the background; nothing else does."""
    if way not in WAYS:
        raise ValueError(f"way must be one of {WAYS}, not {way!r}")
    lines, background = downwards(grid, way), background_of(grid)
    source = np.zeros(lines.shape, bool)
    source[0] = lines[0] != background
    return downwards(cast_down(lines, background, source), way) if source.any() else None
