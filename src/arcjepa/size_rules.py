"""Rules whose output has another size: cropping, tiling, scaling, borders, panels laid over one another.

Every function is pure: (H, W) uint8 grid and parameters in, a new grid or a view out, or None where the rule does not
apply. Sizes beyond what ARC allows are refused by the caller.
"""

from itertools import pairwise

import numpy as np

from arcjepa.grid_rules import Result, along, downwards, ranked_colours
from arcjepa.regions import background_of, histogram


def upscale(grid: np.ndarray, factor: int) -> Result:
    """Every cell becomes a block of factor x factor."""
    return np.repeat(np.repeat(grid, factor, axis=0), factor, axis=1)


def stretch(grid: np.ndarray, axis: str, factor: int) -> Result:
    """Every row (or column) is repeated."""
    return np.repeat(grid, factor, axis=0 if axis == "rows" else 1)


def upscale_by_colours(grid: np.ndarray) -> Result:
    """Every cell becomes a block whose side is the number of colours other than the background."""
    factor = int(np.count_nonzero(histogram(grid))) - 1
    return upscale(grid, factor) if factor >= 2 and factor * max(grid.shape) <= 30 else None


def downscale(grid: np.ndarray, factor: int) -> Result:
    """Blocks of factor x factor of one colour become a cell; None unless the grid is made of them."""
    height, width = grid.shape
    small = grid[::factor, ::factor]
    return (
        small
        if height % factor == width % factor == 0 and np.array_equal(small.repeat(factor, 0).repeat(factor, 1), grid)
        else None
    )


def subsample(grid: np.ndarray, axis: str, factor: int) -> Result:
    """Only every second or third row (or column) stays."""
    return along(along(grid, axis)[::factor], axis)


def tile(grid: np.ndarray, rows: int, cols: int) -> Result:
    """The grid rows x cols times."""
    return np.tile(grid, (rows, cols))


def join_mirrored(grid: np.ndarray, way: str) -> Result:
    """The grid with its mirror image attached on one side."""
    lines = downwards(grid, way)
    return downwards(np.concatenate((lines, lines[::-1])), way)


def join_turned(grid: np.ndarray, way: str) -> Result:
    """The grid with a copy of it, turned by 180 degrees, attached on one side."""
    lines = downwards(grid, way)
    return downwards(np.concatenate((lines, lines[::-1, ::-1])), way)


def kaleidoscope(grid: np.ndarray) -> Result:
    """The grid mirrored to the right, and both downwards."""
    both = np.concatenate((grid, grid[:, ::-1]), axis=1)
    return np.concatenate((both, both[::-1]))


def pinwheel(grid: np.ndarray) -> Result:
    """A square grid with its three turns, clockwise around the centre."""
    if grid.shape[0] != grid.shape[1]:
        return None
    top = np.concatenate((grid, grid.T[:, ::-1]), axis=1)
    return np.concatenate((top, top[::-1, ::-1]))


def cut(grid: np.ndarray, mask: np.ndarray) -> Result:
    """The bounding box of a mask; None where it is empty."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return grid[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] if len(rows) else None


def crop(grid: np.ndarray) -> Result:
    """The bounding box of everything but the background."""
    return cut(grid, grid != background_of(grid))


def crop_colour(grid: np.ndarray, colour: int) -> Result:
    """The bounding box of one colour."""
    return cut(grid, grid == colour)


def crop_ranked(grid: np.ndarray, rank: str) -> Result:
    """The bounding box of the commonest or rarest colour."""
    order = ranked_colours(grid)
    return None if order is None else cut(grid, grid == order[0 if rank == "commonest" else -1])


def keep_half(grid: np.ndarray, way: str) -> Result:
    """The upper, lower, left or right half, without the middle line."""
    lines = downwards(grid, way)
    return downwards(lines[(len(lines) + 1) // 2 :], way)


def keep_quarter(grid: np.ndarray, vertical: str, horizontal: str) -> Result:
    """One quarter: up or down, left or right."""
    half = keep_half(grid, vertical)
    return None if half is None else keep_half(half, horizontal)


def keep_edge(grid: np.ndarray, way: str, lines: int) -> Result:
    """The outermost 2 or 3 rows or columns of one side."""
    turned = downwards(grid, way)
    return downwards(turned[-lines:], way)


def pad(grid: np.ndarray, colour: int) -> Result:
    """A border of one cell around the grid."""
    return np.pad(grid, 1, constant_values=colour)


def pad_edge(grid: np.ndarray) -> Result:
    """A border of one cell that repeats the outermost cells."""
    return np.pad(grid, 1, mode="edge")


def peel(grid: np.ndarray, lines: int) -> Result:
    """The outermost 1 or 2 cells are removed."""
    return grid[lines:-lines, lines:-lines] if min(grid.shape) > 2 * lines else None


def underline(grid: np.ndarray, way: str, colour: int) -> Result:
    """One more row or column of a colour on one side."""
    lines = downwards(grid, way)
    return downwards(np.concatenate((lines, np.full_like(lines[:1], colour))), way)


def squeeze(grid: np.ndarray) -> Result:
    """Empty rows and columns are removed."""
    filled = grid != background_of(grid)
    return grid[filled.any(axis=1)][:, filled.any(axis=0)] if filled.any() else None


def merge_equal(grid: np.ndarray) -> Result:
    """Rows, then columns, that equal the one before are removed."""
    rows = np.concatenate(([True], (grid[1:] != grid[:-1]).any(axis=1)))
    cols = np.concatenate(([True], (grid[:, 1:] != grid[:, :-1]).any(axis=0)))
    return grid[rows][:, cols]


def overlay_halves(grid: np.ndarray, operation: str, colour: int) -> Result:
    """Two panels, with or without a line between them, compared cell by cell: the cells of and, or, xor, nor.

    The panels lie side by side, or one over the other where the grid is higher than wide.
    """
    height, width = grid.shape
    panels = grid if height > width else grid.T
    half = len(panels) // 2
    background = background_of(grid)
    if len(panels) % 2 and (len(set(panels[half].tolist())) > 1 or panels[half, 0] == background):
        return None
    first, second = panels[:half] != background, panels[-half:] != background
    cells = {
        "and": first & second,
        "or": first | second,
        "xor": first ^ second,
        "nor": ~(first | second),
    }[operation]
    if colour == background or not cells.any():
        return None
    out = np.where(cells, np.uint8(colour), np.uint8(background))
    return out if height > width else out.T


def stack_halves(grid: np.ndarray, axis: str) -> Result:
    """One half laid over the other, the first hiding the second where it isn't background; a middle line is dropped."""
    lines, background = along(grid, axis), background_of(grid)
    half = len(lines) // 2
    first, second = lines[:half], lines[len(lines) - half :]
    return along(np.where(first == background, second, first), axis)


def panels_of(grid: np.ndarray) -> list[list[np.ndarray]] | None:
    """Cells of a lattice of full lines of one colour, row by row; None for fewer than two or unequal sizes."""
    rows, cols = _full_lines(grid), _full_lines(grid.T)
    if rows is None or cols is None or len(rows) * len(cols) < 2:
        return None
    lines = set(np.delete(grid, np.concatenate([np.arange(a, b) for a, b in rows]), axis=0).ravel().tolist())
    lines |= set(np.delete(grid, np.concatenate([np.arange(a, b) for a, b in cols]), axis=1).ravel().tolist())
    sizes = {(b - a, d - c) for a, b in rows for c, d in cols}
    if len(lines) > 1 or len(sizes) > 1:
        return None
    return [[grid[a:b, c:d] for c, d in cols] for a, b in rows]


def _full_lines(grid: np.ndarray) -> list[tuple[int, int]] | None:
    """Spans (from, to) of rows between the rows of one colour other than the background."""
    full = (grid == grid[:, :1]).all(axis=1) & (grid[:, 0] != background_of(grid))
    edges = [-1, *np.flatnonzero(full).tolist(), len(grid)]
    return [(a + 1, b) for a, b in pairwise(edges) if b > a + 1] or None


def pick_panel(grid: np.ndarray, order: str) -> Result:
    """The panel of a lattice with the most or the fewest cells off the background; None for a tie."""
    panels = panels_of(grid)
    if panels is None:
        return None
    background = background_of(grid)
    flat = [panel for row in panels for panel in row]
    filled = [int((panel != background).sum()) for panel in flat]
    best = max(filled) if order == "fullest" else min(filled)
    return flat[filled.index(best)] if filled.count(best) == 1 else None


def odd_panel(grid: np.ndarray) -> Result:
    """The one panel of a lattice that has no equal."""
    panels = panels_of(grid)
    if panels is None:
        return None
    flat = [panel for row in panels for panel in row]
    keys = [panel.tobytes() for panel in flat]
    single = [panel for panel, key in zip(flat, keys, strict=True) if keys.count(key) == 1]
    return single[0] if len(single) == 1 < len(flat) else None


def shrink_panels(grid: np.ndarray) -> Result:
    """One cell for each panel of a lattice: its only colour off the background, or the background."""
    panels = panels_of(grid)
    if panels is None:
        return None
    background = background_of(grid)
    small = np.full((len(panels), len(panels[0])), background, np.uint8)
    for row, line in enumerate(panels):
        for col, panel in enumerate(line):
            colours = set(panel.ravel().tolist()) - {background}
            if len(colours) > 1:
                return None
            small[row, col] = colours.pop() if colours else background
    return small


def fill_panels(grid: np.ndarray) -> Result:
    """Each panel of a lattice is filled with its commonest colour off the background."""
    painted = grid.copy()
    panels = panels_of(painted)
    if panels is None:
        return None
    background = background_of(grid)
    for line in panels:
        for panel in line:
            counts = histogram(panel)
            counts[background] = 0
            if counts.any():
                panel[...] = counts.argmax()
    return painted
