"""Rules on the whole grid: geometry, colours, size, symmetry, panels.

Every function is pure: (H, W) uint8 grid and parameters in, a new grid or a view out, or None where the rule does not
apply. The background is the most frequent colour, so that it can be read off any frame.
"""

import numpy as np

from arcjepa.regions import background_of, continue_tiling, has_colour, histogram

Result = np.ndarray | None
WAYS = ("up", "down", "left", "right")


def flip_rows(grid: np.ndarray) -> Result:
    """Upside down."""
    return grid[::-1]


def flip_cols(grid: np.ndarray) -> Result:
    """Left to right."""
    return grid[:, ::-1]


def rotate(grid: np.ndarray, degrees: int) -> Result:
    """Turn anticlockwise by 90, 180 or 270 degrees."""
    if degrees == 180:
        return grid[::-1, ::-1]
    return grid.T[::-1] if degrees == 90 else grid.T[:, ::-1]


def transpose(grid: np.ndarray) -> Result:
    """Mirror on the main diagonal."""
    return grid.T


def antitranspose(grid: np.ndarray) -> Result:
    """Mirror on the other diagonal."""
    return grid[::-1, ::-1].T


def downwards(grid: np.ndarray, way: str) -> np.ndarray:
    """View of the grid turned so that `way` points down; applied to its result it turns back (it is an involution)."""
    if way == "down":
        return grid
    if way == "up":
        return grid[::-1]
    return grid.T if way == "right" else grid[::-1, ::-1].T


def along(grid: np.ndarray, axis: str) -> np.ndarray:
    """View whose rows are the grid's rows, or its columns where axis is "cols"; an involution."""
    return grid if axis == "rows" else grid.T


def shifted(grid: np.ndarray, rows: int, cols: int, fill: int) -> np.ndarray:
    """The grid moved by (rows, cols) cells, what leaves the border is lost and the rest is `fill`."""
    height, width = grid.shape
    moved = np.full_like(grid, fill)
    if abs(rows) < height and abs(cols) < width:
        moved[max(rows, 0) : height + min(rows, 0), max(cols, 0) : width + min(cols, 0)] = grid[
            max(-rows, 0) : height - max(rows, 0), max(-cols, 0) : width - max(cols, 0)
        ]
    return moved


def translate(grid: np.ndarray, rows: int, cols: int) -> Result:
    """Move everything by (rows, cols), background flowing in."""
    return shifted(grid, rows, cols, background_of(grid))


def wrap(grid: np.ndarray, rows: int, cols: int) -> Result:
    """Move everything by (rows, cols) around the border."""
    return np.roll(grid, (rows, cols), (0, 1))


def shear(grid: np.ndarray, axis: str, step: int) -> Result:
    """Row i (or column i) moves by i * step cells around the border."""
    lines = along(grid, axis)
    rows, cols = np.ogrid[: lines.shape[0], : lines.shape[1]]
    return along(lines[rows, (cols - step * rows) % lines.shape[1]], axis)


def recoloured(grid: np.ndarray, table: dict[int, int]) -> Result:
    """Colours exchanged by a table {old: new}; None unless every old colour is there."""
    lookup = np.arange(10, dtype=np.uint8)
    for old, new in table.items():
        if not has_colour(grid, old):
            return None
        lookup[old] = new
    return lookup[grid]


def recolour(grid: np.ndarray, old: int, new: int) -> Result:
    """One colour becomes another."""
    return recoloured(grid, {old: new})


def swap(grid: np.ndarray, first: int, second: int) -> Result:
    """Two colours change places."""
    return recoloured(grid, {first: second, second: first})


def cycle(grid: np.ndarray, first: int, second: int, third: int) -> Result:
    """Three colours change places: first > second > third > first."""
    return recoloured(grid, {first: second, second: third, third: first})


def recolour_background(grid: np.ndarray, colour: int) -> Result:
    """The background gets a colour that the grid does not have."""
    return None if has_colour(grid, colour) else recoloured(grid, {background_of(grid): colour})


def flatten(grid: np.ndarray, colour: int) -> Result:
    """Everything but the background gets one colour."""
    background = background_of(grid)
    return None if colour == background else np.where(grid == background, grid, np.uint8(colour))


def invert(grid: np.ndarray) -> Result:
    """The two colours of a two-coloured grid change places."""
    colours = histogram(grid).nonzero()[0].tolist()
    return recoloured(grid, dict(zip(colours, colours[::-1], strict=True))) if len(colours) == 2 else None


def ranked_colours(grid: np.ndarray) -> list[int] | None:
    """Colours but the background, the most frequent first; None for fewer than two or a tie at either end."""
    counts = histogram(grid)
    order = sorted((int(c) for c in counts.nonzero()[0]), key=lambda c: -counts[c])[1:]
    tied = len(order) < 2 or counts[order[0]] == counts[order[1]] or counts[order[-1]] == counts[order[-2]]
    return None if tied else order


def ranked_colour(grid: np.ndarray, rank: str) -> int | None:
    """The `commonest` or `rarest` colour other than the background."""
    order = ranked_colours(grid)
    return None if order is None else order[0 if rank == "commonest" else -1]


def recolour_ranked(grid: np.ndarray, rank: str, colour: int) -> Result:
    """The commonest or rarest colour becomes another."""
    old = ranked_colour(grid, rank)
    return None if old is None else recoloured(grid, {old: colour})


def keep_ranked(grid: np.ndarray, rank: str) -> Result:
    """Only the commonest or rarest colour stays."""
    kept = ranked_colour(grid, rank)
    return None if kept is None else keep_colour(grid, kept)


def drop_ranked(grid: np.ndarray, rank: str) -> Result:
    """The commonest or rarest colour goes."""
    old = ranked_colour(grid, rank)
    return None if old is None else recoloured(grid, {old: background_of(grid)})


def keep_colour(grid: np.ndarray, colour: int) -> Result:
    """Only one colour stays."""
    background = background_of(grid)
    kept = grid == colour
    return np.where(kept, grid, np.uint8(background)) if colour != background and kept.any() else None


def drop_colour(grid: np.ndarray, colour: int) -> Result:
    """One colour goes."""
    background = background_of(grid)
    return None if colour == background else recoloured(grid, {colour: background})


def output_ranked(grid: np.ndarray, rank: str) -> Result:
    """A single cell of the commonest or rarest colour."""
    colour = ranked_colour(grid, rank)
    return None if colour is None else np.full((1, 1), colour, np.uint8)


def colour_strip(grid: np.ndarray, axis: str) -> Result:
    """The colours in order of their number of cells, as one row or column; None for ties."""
    counts = histogram(grid)
    colours = counts.nonzero()[0]
    if len(colours) < 3 or len(set(counts[colours].tolist())) < len(colours):
        return None
    return along(colours[np.argsort(-counts[colours])][None, 1:].astype(np.uint8), axis)


def checkerboard(grid: np.ndarray, colour: int) -> Result:
    """Every other background cell gets a colour."""
    rows, cols = np.ogrid[: grid.shape[0], : grid.shape[1]]
    return np.where((grid == background_of(grid)) & ((rows + cols) % 2 == 0), np.uint8(colour), grid)


def stripe_background(grid: np.ndarray, axis: str, period: int, colour: int) -> Result:
    """The background of every second or third row (or column) gets a colour."""
    striped, background = grid.copy(), background_of(grid)
    lines = along(striped, axis)[::period]
    lines[lines == background] = colour
    return striped


def alternate(grid: np.ndarray, axis: str, colour: int) -> Result:
    """Cells other than the background get a colour in every second row (or column)."""
    changed, background = grid.copy(), background_of(grid)
    lines = along(changed, axis)[1::2]
    lines[lines != background] = colour
    return changed


def recolour_half(grid: np.ndarray, way: str, colour: int) -> Result:
    """Cells other than the background get a colour in one half of the grid."""
    changed, background = grid.copy(), background_of(grid)
    part = downwards(changed, way)[(downwards(grid, way).shape[0] + 1) // 2 :]
    part[part != background] = colour
    return changed


def paint_rows(grid: np.ndarray, axis: str) -> Result:
    """Each row (or column) with exactly one colour on the background is filled with it."""
    background = background_of(grid)
    lines = along(grid, axis).astype(np.int16)
    high = np.where(lines == background, -1, lines).max(axis=1)
    low = np.where(lines == background, 10, lines).min(axis=1)
    return along(np.where((high == low)[:, None], high[:, None], lines).astype(np.uint8), axis)


def midline(grid: np.ndarray, axis: str, colour: int) -> Result:
    """The middle row (or column), one or two cells thick, gets a colour."""
    lines = along(grid.copy(), axis)
    lines[(len(lines) - 1) // 2 : len(lines) // 2 + 1] = colour
    return along(lines, axis)


def frame(grid: np.ndarray, colour: int) -> Result:
    """The outermost cells get a colour."""
    framed = np.full_like(grid, colour)
    framed[1:-1, 1:-1] = grid[1:-1, 1:-1]
    return framed


def mirror_half(grid: np.ndarray, way: str) -> Result:
    """One half is replaced by the mirror image of the other; `way` is the half that is replaced."""
    lines = downwards(grid.copy(), way)
    half = len(lines) // 2
    lines[len(lines) - half :] = lines[:half][::-1]
    return downwards(lines, way)


def overlay_mirror(grid: np.ndarray, axis: str) -> Result:
    """The background shows the mirror image of the grid."""
    mirrored = along(along(grid, axis)[::-1], axis)
    return np.where(grid == background_of(grid), mirrored, grid)


def repair_symmetry(grid: np.ndarray, hidden: int, axis: str) -> Result:
    """Cells of a hiding colour show their mirror image; None unless all else is symmetric."""
    mirrored = along(along(grid, axis)[::-1], axis)
    covered = grid == hidden
    repaired = np.where(covered, mirrored, grid)
    broken = (mirrored != grid) & ~covered & (mirrored != hidden)
    return None if broken.any() or not covered.any() or (repaired == hidden).any() else repaired


def repair_tiling(grid: np.ndarray, hidden: int) -> Result:
    """Cells of a hiding colour show the smallest periodic pattern that fits all the other cells."""
    covered = grid == hidden
    if not covered.any() or covered.all():
        return None
    for area in range(2, 26):
        for height in (h for h in range(1, 6) if area % h == 0 and area // h <= 5):
            repaired = continue_tiling(grid, hidden, height, area // height)
            if repaired.size:
                return repaired
    return None


def swap_halves(grid: np.ndarray, axis: str) -> Result:
    """The two halves of the rows (or columns) change places; a middle line stays."""
    lines = along(grid, axis)
    half = len(lines) // 2
    return along(np.concatenate((lines[len(lines) - half :], lines[half : len(lines) - half], lines[:half])), axis)


def sort_lines(grid: np.ndarray, axis: str, way: str) -> Result:
    """Rows (or columns) in order of their number of cells off the background, stable; way is up or down."""
    lines = along(grid, axis)
    filled = (lines != background_of(grid)).sum(axis=1)
    return along(lines[np.argsort(filled if way == "up" else -filled, kind="stable")], axis)
