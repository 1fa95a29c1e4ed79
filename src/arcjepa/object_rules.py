"""Rules on objects: a selector says which regions, a rule says what becomes of them.

Every function is pure: (H, W) uint8 grid and parameters in, a new grid out, or None where the rule does not apply. A
selection that is empty, or everything although the selector is not "all", is refused: it would not show the rule.
"""

from collections.abc import Callable

import numpy as np

from arcjepa.grid_rules import Result
from arcjepa.line_rules import CORNERS, SIDES, inner, neighbours
from arcjepa.regions import AREA, COLOUR, move_cells
from arcjepa.selection import Objects, choose, objects_of


def _boxes(found: Objects, chosen: np.ndarray) -> list[tuple[int, np.ndarray, tuple[slice, slice]]]:
    """(colour, (h, w) bool shape, slices of the bounding box) of every chosen object, in raster order."""
    boxes = []
    for i in np.flatnonzero(chosen).tolist():
        colour, _, top, left, bottom, right = found.table[i].tolist()
        box = (slice(top, bottom), slice(left, right))
        boxes.append((colour, found.labels[box] == i + 1, box))
    return boxes


def recolour_objects(grid: np.ndarray, selector: str, colour: int) -> Result:
    """The chosen objects get a colour."""
    picked = choose(grid, selector)
    return None if picked is None else np.where(picked[0].mask(picked[1]), np.uint8(colour), grid)


def delete_objects(grid: np.ndarray, selector: str) -> Result:
    """The chosen objects are removed."""
    picked = choose(grid, selector)
    return None if picked is None else np.where(picked[0].mask(picked[1]), np.uint8(picked[0].background), grid)


def keep_objects(grid: np.ndarray, selector: str) -> Result:
    """Only the chosen objects stay."""
    picked = choose(grid, selector)
    return None if picked is None else np.where(picked[0].mask(picked[1]), grid, np.uint8(picked[0].background))


def crop_object(grid: np.ndarray, selector: str) -> Result:
    """The bounding box of the one object chosen, as it is in the grid."""
    picked = choose(grid, selector)
    if picked is None or picked[1].sum() != 1:
        return None
    return grid[_boxes(*picked)[0][2]]


def outline_objects(grid: np.ndarray, selector: str, colour: int) -> Result:
    """Background cells around the chosen objects get a colour."""
    picked = choose(grid, selector)
    if picked is None:
        return None
    near = neighbours(picked[0].mask(picked[1]), SIDES + CORNERS) > 0
    return np.where(near & (grid == picked[0].background), np.uint8(colour), grid)


def box_objects(grid: np.ndarray, selector: str, colour: int) -> Result:
    """A rectangle is drawn around the bounding box of the chosen objects, over the background."""
    picked = choose(grid, selector)
    if picked is None:
        return None
    ring = np.zeros(grid.shape, bool)
    for _, _, (rows, cols) in _boxes(*picked):
        ring[max(rows.start - 1, 0) : rows.stop + 1, max(cols.start - 1, 0) : cols.stop + 1] = True
    for _, _, box in _boxes(*picked):
        ring[box] = False
    return np.where(ring & (grid == picked[0].background), np.uint8(colour), grid)


def hollow_objects(grid: np.ndarray, selector: str) -> Result:
    """The inside of the chosen objects is removed."""
    picked = choose(grid, selector)
    if picked is None:
        return None
    return np.where(picked[0].mask(picked[1]) & inner(grid), np.uint8(picked[0].background), grid)


def fill_objects(grid: np.ndarray, selector: str, colour: int) -> Result:
    """The background within the bounding box of the chosen objects gets a colour."""
    picked = choose(grid, selector)
    if picked is None:
        return None
    filled = grid.copy()
    for _, _, box in _boxes(*picked):
        part = filled[box]
        part[part == picked[0].background] = colour
    return filled


def flip_objects(grid: np.ndarray, selector: str, axis: str) -> Result:
    """The chosen objects are mirrored within their bounding boxes, upside down ("rows") or left to right ("cols")."""
    picked = choose(grid, selector)
    if picked is None:
        return None
    flipped = np.where(picked[0].mask(picked[1]), np.uint8(picked[0].background), grid)
    for colour, shape, box in _boxes(*picked):
        flipped[box][shape[::-1] if axis == "rows" else shape[:, ::-1]] = colour
    return flipped


def move_objects(grid: np.ndarray, selector: str, rows: int, cols: int) -> Result:
    """The chosen objects move; None where one would leave the grid or land on another."""
    return _transfer(grid, selector, rows, cols, True)


def copy_objects(grid: np.ndarray, selector: str, rows: int, cols: int) -> Result:
    """A copy of the chosen objects appears at an offset, behind what is there; None where it would leave the grid."""
    return _transfer(grid, selector, rows, cols, False)


def _transfer(grid: np.ndarray, selector: str, rows: int, cols: int, away: bool) -> Result:
    """Chosen objects drawn at an offset, removed (away) or not from where they are."""
    picked = choose(grid, selector)
    if picked is None:
        return None
    background, mask = picked[0].background, picked[0].mask(picked[1])
    rest = np.where(mask, np.uint8(background), grid) if away else grid
    moved = move_cells(grid, rest, mask, rows, cols, background, away)
    return moved if moved.size else None


def slide_objects(grid: np.ndarray, selector: str, way: str) -> Result:
    """The chosen objects, as one, slide one way until the border or another stops them."""
    row, col = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}[way]
    picked, slid = choose(grid, selector), None
    if picked is None:
        return None
    background, mask = picked[0].background, picked[0].mask(picked[1])
    rest = np.where(mask, np.uint8(background), grid)
    for steps in range(1, 30):
        moved = move_cells(grid, rest, mask, steps * row, steps * col, background, True)
        if not moved.size:
            break
        slid = moved
    return slid


def mark_centres(grid: np.ndarray, selector: str, colour: int) -> Result:
    """The middle cell of the chosen objects' bounding boxes gets a colour; None where a side of one is even."""
    picked = choose(grid, selector)
    if picked is None:
        return None
    marked = grid.copy()
    for _, shape, (rows, cols) in _boxes(*picked):
        if shape.shape[0] % 2 == 0 or shape.shape[1] % 2 == 0 or shape.size == 1:
            return None
        marked[(rows.start + rows.stop) // 2, (cols.start + cols.stop) // 2] = colour
    return marked


def colour_like(grid: np.ndarray, selector: str) -> Result:
    """Everything gets the colour of the one object chosen."""
    picked = choose(grid, selector)
    if picked is None or picked[1].sum() != 1:
        return None
    colour = picked[0].table[picked[1]][0, COLOUR]
    return np.where(grid == picked[0].background, grid, np.uint8(colour))


KEYS: dict[str, Callable[[Objects], np.ndarray]] = {
    "size": lambda o: o.table[:, AREA],
    "height": lambda o: o.heights,
    "width": lambda o: o.widths,
}


def rank_objects(grid: np.ndarray, key: str, first: int, second: int, third: int) -> Result:
    """The greatest object gets the first colour, the next the second, all others the third; None for ties."""
    found = objects_of(grid)
    values = np.sort(KEYS[key](found))[::-1]
    if not 3 <= len(values) <= 10 or values[0] == values[1] or values[1] == values[2]:
        return None
    rank = np.minimum((values[:, None] > KEYS[key](found)).sum(axis=0), 2)
    painted = np.array([first, second, third], np.uint8)[rank]
    return np.concatenate(([np.uint8(found.background)], painted))[found.labels]


def size_classes(grid: np.ndarray, size: int, colour: int) -> Result:
    """Objects of exactly `size` cells get a colour; None unless there are others too."""
    found = objects_of(grid)
    equal = found.table[:, AREA] == size
    return np.where(found.mask(equal), np.uint8(colour), grid) if 0 < equal.sum() < len(equal) else None


def touching(grid: np.ndarray, near: int, colour: int) -> Result:
    """Objects of other colours that touch a colour, at sides or corners, get a colour; None unless some don't."""
    found = objects_of(grid)
    beside = neighbours(grid == near, SIDES + CORNERS) > 0
    other = found.table[:, COLOUR] != near
    hit = np.zeros(len(other), bool)
    hit[np.unique(found.labels[beside & (grid != found.background)]) - 1] = True
    hit &= other
    return np.where(found.mask(hit), np.uint8(colour), grid) if 0 < hit.sum() < other.sum() else None


def count_objects(grid: np.ndarray, selector: str, axis: str, colour: int) -> Result:
    """A bar, one cell for each chosen object, as a row or column."""
    picked = choose(grid, selector)
    if picked is None or not 2 <= picked[1].sum() <= 30:
        return None
    count = int(picked[1].sum())
    return np.full((1, count) if axis == "rows" else (count, 1), colour, np.uint8)


def chart_objects(grid: np.ndarray, axis: str) -> Result:
    """A bar chart: a row (or column) for each colour, most objects first, as long as it has objects; None for ties."""
    found = objects_of(grid)
    counts = np.bincount(found.table[:, COLOUR], minlength=10)
    colours = counts.nonzero()[0]
    if len(colours) < 2 or counts.max() > 12 or len(set(counts[colours].tolist())) < len(colours):
        return None
    order = colours[np.argsort(-counts[colours])]
    filled = np.arange(counts.max())[None, :] < counts[order][:, None]
    chart = np.where(filled, order[:, None], found.background).astype(np.uint8)
    return chart if axis == "rows" else chart.T
