"""Random structured grids: the scenes that synthetic rules act on.

A style is a function (dice, height, width, palette) -> (height, width) uint8. The palette is a tuple of at least two
distinct colours: first the background, then, by convention, the colours that the rule needs, then others.
Styles: see `STYLES`; `noise` is apart, for its share is a setting of its own.
"""

from collections.abc import Callable

import numpy as np

from arcjepa.dice import Dice
from arcjepa.shapes import block, place, random_shape, ring

Palette = tuple[int, ...]


def _blank(height: int, width: int, palette: Palette) -> np.ndarray:
    grid = np.empty((height, width), np.uint8)
    grid.fill(palette[0])
    return grid


def _largest_shape(height: int, width: int) -> int:
    """Sides of shapes that leave room for several of them."""
    return max(min(height, width) // 3, 2)


def objects(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Scattered shapes that don't touch one another."""
    grid = _blank(height, width, palette)
    most = min(_largest_shape(height, width) + dice.below(2), 6)
    colours = dice.shuffled(palette[1:])
    for i in range(dice.between(2, 3 + height * width // 25)):
        place(dice, grid, random_shape(dice, most), colours[i % len(colours)], palette[0])
    return grid


def copies(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """One or two shapes, several times each, in different colours."""
    grid = _blank(height, width, palette)
    kinds = [random_shape(dice, min(_largest_shape(height, width), 4)) for _ in range(dice.between(1, 2))]
    for i in range(dice.between(3, 7)):
        place(dice, grid, dice.pick(kinds), palette[1 + i % (len(palette) - 1)], palette[0])
    return grid


def boxes(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Rectangles, filled, hollow, or hollow with a gap, perhaps with something inside."""
    grid = _blank(height, width, palette)
    most = min(max(min(height, width) // 2 + 1, 3), 7, height, width)
    for i in range(dice.between(2, 5)):
        h, w = dice.between(min(3, most), most), dice.between(min(3, most), most)
        shape = np.ones((h, w), bool) if dice.chance(0.25) else ring(h, w)
        if dice.chance(0.1):
            shape[0, w // 2] = False
        elif dice.chance(0.15):
            shape[h // 2, w // 2] = True
        place(dice, grid, shape, palette[1 + i % (len(palette) - 1)], palette[0])
    return grid


def dots(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """A few single cells."""
    grid = _blank(height, width, palette)
    count = dice.between(1, 3) if dice.chance(0.5) else dice.between(3, 3 + height * width // 18)
    for i in range(max(count, len(palette) - 1)):
        grid[dice.below(height), dice.below(width)] = palette[1 + i % (len(palette) - 1)]
    return grid


def lines(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Segments and full lines, across and down."""
    grid = _blank(height, width, palette)
    for i in range(dice.between(2, 5)):
        colour, turned = palette[1 + i % (len(palette) - 1)], dice.chance(0.5)
        view = grid.T if turned else grid
        rows, cols = view.shape
        start, stop = (0, cols) if dice.chance(0.3) else (dice.below(cols - 1), cols)
        stop = min(stop, start + dice.between(2, cols))
        view[dice.below(rows), start:stop] = colour
    return grid


def bars(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Columns of different lengths that stand on one border."""
    grid = _blank(height, width, palette)
    step = dice.between(1, 2)
    for i, col in enumerate(range(dice.below(2), width, step)):
        length = dice.between(0, height - 1)
        grid[height - length :, col] = palette[1 + i % (len(palette) - 1)]
    return grid if dice.chance(0.6) else grid[::-1]


def stripes(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Parallel bands of changing thickness, upright, level or diagonal, with a few cells over them."""
    kind = dice.below(3)
    length = height if kind == 0 else width if kind == 1 else height + width
    thickness = dice.between(1, 3)
    shades = dice.shuffled(palette)
    band = [shades[i // thickness % len(shades)] for i in range(length)]
    if dice.chance(0.4):
        band = [dice.pick(palette) for _ in range(length // thickness + 1) for _ in range(thickness)][:length]
    rows, cols = np.ogrid[:height, :width]
    index = rows if kind == 0 else cols if kind == 1 else rows + cols
    grid = np.array(band, np.uint8)[np.broadcast_to(index, (height, width))]
    for _ in range(dice.below(3)):
        grid[dice.below(height), dice.below(width)] = dice.pick(palette)
    return grid


def panels(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """A lattice of lines; a few of its panels are filled, or carry a cell or a small pattern."""
    line, inks = palette[-1], palette[1:-1] or palette[1:]
    rows, cols = _lattice(dice, height), _lattice(dice, width)
    if (rows, cols) == (height, width):  # no equal panels: unequal ones
        rows, cols = dice.between(2, max(height // 2, 2)), dice.between(2, max(width // 2, 2))
    grid = _blank(height, width, palette)
    for top in range(rows, height, rows + 1):
        grid[top] = line
    for left in range(cols, width, cols + 1):
        grid[:, left] = line
    cells = [(t, s) for t in range(0, height, rows + 1) for s in range(0, width, cols + 1)]
    pattern, mode = dice.cells(rows, cols, (palette[0], dice.pick(inks))), dice.below(4)
    most = max(len(cells) // 2, 1) if mode == 0 else len(cells)
    for top, left in cells if mode == 3 else dice.shuffled(cells)[: dice.between(1, most)]:
        panel = grid[top : top + rows, left : left + cols]
        if mode == 0:
            panel[...] = dice.pick(inks)
        elif mode == 1:
            panel[dice.below(panel.shape[0]), dice.below(panel.shape[1])] = dice.pick(inks)
        elif mode == 2:
            panel[...] = dice.cells(panel.shape[0], panel.shape[1], (palette[0], palette[0], dice.pick(inks)))
        else:
            panel[...] = pattern[: panel.shape[0], : panel.shape[1]]
    if mode == 3:
        top, left = dice.pick(cells)
        grid[top, left] = dice.pick(inks)
    return grid


def _lattice(dice: Dice, side: int) -> int:
    """Side of panels of equal size, two or more, between lines one cell thick; the whole side where there are none."""
    even = [n for n in range(2, side // 2 + 1) if (side + 1) % (n + 1) == 0]
    return dice.pick(even[-2:]) if even else side


def nested(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Frames within frames, around the whole grid or as one or two targets on the background."""
    grid = _blank(height, width, palette)
    whole = dice.chance(0.5)
    for _ in range(1 if whole else dice.between(1, 2)):
        h, w = (height, width) if whole else (dice.between(3, height), dice.between(3, width))
        top, left = dice.between(0, height - h), dice.between(0, width - w)
        shades = dice.shuffled(palette if whole else palette[1:])
        depth = dice.between(2, 5)
        for inset in range(min((min(h, w) + 1) // 2, depth)):
            shade = shades[inset % len(shades)]
            grid[top + inset : top + h - inset, left + inset : left + w - inset] = shade
    return grid


def symmetric(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """A pattern that is its own mirror image, on one axis or both."""
    sparse = (palette[0],) * dice.between(1, 2 * len(palette))
    grid = dice.cells(height, width, palette + sparse)
    if dice.chance(0.3):
        grid = objects(dice, height, width, palette)
    axes = dice.between(1, 3)
    if axes & 1:
        grid[:, (width + 1) // 2 :] = grid[:, : width // 2][:, ::-1]
    if axes & 2:
        grid[(height + 1) // 2 :] = grid[: height // 2][::-1]
    return grid


def tiling(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """A small random pattern, repeated."""
    h, w = dice.between(1, max(min(4, height // 2), 1)), dice.between(2, max(min(4, width // 2), 2))
    pattern = dice.cells(h, w, palette)
    return np.tile(pattern, (-(-height // h), -(-width // w)))[:height, :width]


def masked_mirror(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """A symmetric pattern, partly hidden by rectangles of the first colour after the background."""
    return _masked(dice, symmetric(dice, height, width, _without_mask(palette)), palette[1])


def masked_tiling(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """A periodic pattern, partly hidden by rectangles of the first colour after the background."""
    return _masked(dice, tiling(dice, height, width, _without_mask(palette)), palette[1])


def _without_mask(palette: Palette) -> Palette:
    return (palette[0], *palette[2:]) if len(palette) > 2 else palette


def _masked(dice: Dice, grid: np.ndarray, colour: int) -> np.ndarray:
    height, width = grid.shape
    for _ in range(dice.between(1, 2)):
        h, w = dice.between(1, max(height // 3, 1)), dice.between(1, max(width // 3, 1))
        top, left = dice.between(0, height - h), dice.between(0, width - w)
        grid[top : top + h, left : left + w] = colour
    return grid


def halves(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Two panels of scattered cells, side by side or one over the other, often with a line between."""
    over = height > width or (height == width and dice.chance(0.5))
    grid = _blank(height, width, palette)
    view = grid if over else grid.T
    half, ink = len(view) // 2, (palette[0],) * dice.between(1, 2)
    view[:half] = dice.cells(half, view.shape[1], (*ink, palette[1]))
    view[len(view) - half :] = dice.cells(half, view.shape[1], (*ink, palette[min(2, len(palette) - 1)]))
    if len(view) % 2:
        view[half] = palette[-1]
    return grid


def blocks(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """A coarse random grid, each cell drawn as a block of 2 x 2 or 3 x 3."""
    sides = [n for n in (2, 3, 4) if height % n == width % n == 0]
    side = dice.pick(sides or (2, 3))
    sparse = (palette[0],) * dice.below(2 * len(palette))
    coarse = dice.cells(-(-height // side), -(-width // side), palette + sparse)
    return np.repeat(np.repeat(coarse, side, axis=0), side, axis=1)[:height, :width]


def specks(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Larger shapes with single stray cells."""
    grid = _blank(height, width, palette)
    most = min(_largest_shape(height, width) + 2, 7)
    for i in range(dice.between(1, 3)):
        shape = block(dice.between(2, most), dice.between(2, most)) if dice.chance(0.7) else random_shape(dice, most)
        place(dice, grid, shape, palette[1 + i % (len(palette) - 1)], palette[0])
    for _ in range(dice.between(3, 3 + height * width // 16)):
        place(dice, grid, block(1, 1), dice.pick(palette[1:]), palette[0])
    return grid


def walks(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Random paths, each of one colour."""
    cells = bytearray((palette[0],)) * (height * width)  # writing single cells of an array takes twice as long
    for i in range(dice.between(1, 3)):
        row, col, colour = dice.below(height), dice.below(width), palette[1 + i % (len(palette) - 1)]
        for _ in range(dice.between(3, 8)):
            row_step, col_step = dice.pick(((0, 1), (1, 0), (0, -1), (-1, 0)))
            for _ in range(dice.between(1, 3)):
                cells[row * width + col] = colour
                row, col = min(max(row + row_step, 0), height - 1), min(max(col + col_step, 0), width - 1)
    return np.frombuffer(cells, np.uint8).reshape(height, width)


def seeds(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Something in a corner, a half or on the border, the rest empty: what is missing is for the rule to draw."""
    grid, kind = _blank(height, width, palette), dice.below(3)
    sparse = palette + (palette[0],) * dice.below(2 * len(palette))
    if kind == 0:
        grid[: (height + 1) // 2, : (width + 1) // 2] = dice.cells((height + 1) // 2, (width + 1) // 2, sparse)
    elif kind == 1:
        grid[:, : width // 2] = dice.cells(height, width // 2, sparse)
    else:
        grid[:, 0] = dice.cells(1, height, sparse)[0]
    return grid[:: dice.pick((1, -1)), :: dice.pick((1, -1))] if dice.chance(0.5) else grid


def noise(dice: Dice, height: int, width: int, palette: Palette) -> np.ndarray:
    """Colours drawn cell by cell, dense or sparse."""
    sparse = (palette[0],) * (0 if dice.chance(0.5) else dice.below(4 * len(palette)))
    return dice.cells(height, width, palette + sparse)


Style = Callable[[Dice, int, int, Palette], np.ndarray]
_DRAWN = (objects, copies, boxes, dots, lines, bars, stripes, panels, nested, symmetric, tiling, masked_mirror)
STYLES: dict[str, Style] = {s.__name__: s for s in (*_DRAWN, masked_tiling, halves, blocks, specks, walks, seeds)}
BACKED = ("objects", "copies", "boxes", "dots", "lines", "specks", "walks", "panels")
"""Styles whose background must be the most frequent colour, so that rules see the figures."""


def random_grid(dice: Dice, style: str, height: int, width: int, palette: Palette) -> np.ndarray:
    """A C-contiguous (height, width) uint8 grid in a style of `STYLES`, or "noise"."""
    draw = noise if style == "noise" else STYLES[style]
    return np.ascontiguousarray(draw(dice, height, width, palette))
