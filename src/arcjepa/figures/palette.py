"""ARC grids in the standard palette, drawn in inches."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from arcjepa.figures.style import inches

# Colours 0..9, and 10 for cells of several colours.
COLOURS = (
    "#000000", "#0074D9", "#FF4136", "#2ECC40", "#FFDC00", "#AAAAAA", "#F012BE", "#FF851B", "#7FDBFF", "#870C25",
    "#FFFFFF",
)  # fmt: skip
RGB = np.array([to_rgb(colour) for colour in COLOURS])


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure whose only axes have the figure's inches as coordinates, y down from the top left corner."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def draw_grid(axes: Axes, grid: np.ndarray, left: float, top: float, box: float) -> float:
    """Draw `grid` (H, W) 0..10 centred in a square of side `box`; returns the side of a cell.

    Cells of small grids stay below a sixth of the box, so that a 1 x 1 grid looks small.
    """
    height, width = grid.shape
    cell = box / max(height, width, 6)
    x, y = left + (box - width * cell) / 2, top + (box - height * cell) / 2
    right, bottom = x + width * cell, y + height * cell
    axes.imshow(RGB[grid], extent=(x, right, bottom, y), interpolation="none", aspect="auto", zorder=1)
    columns, rows = x + cell * np.arange(width + 1), y + cell * np.arange(height + 1)
    lines = [[(c, y), (c, bottom)] for c in columns] + [[(x, r), (right, r)] for r in rows]
    axes.add_collection(LineCollection(lines, colors="#777777", linewidths=min(0.5, 6 * cell), zorder=2))
    figure_width, figure_height = inches(axes)  # imshow moved the limits
    axes.set(xlim=(0, figure_width), ylim=(figure_height, 0))
    return cell
