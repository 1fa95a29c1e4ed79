"""A grid with its object tokens drawn over it: what does the encoder see?"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from arcjepa.figures import style
from arcjepa.figures.palette import COLOURS, canvas, draw_grid
from arcjepa.layout import COLUMNS, MIXED

BOX = 4.2  # side of the square that holds the grid, inches
TOP = 0.85
SYMMETRIES = {1: "│", 2: "─", 4: "╲", 8: "╱", 16: "↻"}
TABLE = {  # heading: inches from the left edge of the table
    "token": 0.0, "colour": 0.45, "row, column": 1.0, "size": 1.78, "area": 2.3, "holes": 2.7, "perimeter": 3.15,
    "symmetry": 3.85, "touches": 4.55,
}  # fmt: skip


@style.styled()
def draw_tokens(grid: np.ndarray, columns: np.ndarray, contact: np.ndarray, title: str) -> Figure:
    """The grid, each entry's box and number, a line between entries in contact, and the table of the tokens.

    Shape: grid (H, W) 0..10; columns (s, 11) as `arcjepa.layout.COLUMNS`; contact (s,) bitsets over the entries.
    """
    height = max(TOP + BOX + 0.4, TOP + 0.2 * (len(columns) + 1) + 0.4)
    figure, axes = canvas(0.25 + BOX + 0.35 + 5.6, height)
    key = "box and number: an object token · white line: they touch · dashed box: the residual token (contacts: table)"
    style.head(figure, title, key)
    cell = draw_grid(axes, grid, 0.25, TOP, BOX)
    origin = np.array([0.25 + (BOX - grid.shape[1] * cell) / 2, TOP + (BOX - grid.shape[0] * cell) / 2])
    entries = [dict(zip(COLUMNS, map(int, row), strict=True)) for row in columns]
    places = [origin + cell * find_place(grid, entry, entries) for entry in entries]
    for i, j in touching(contact):
        # The residual is everywhere: lines to its centroid would only hide the others.
        if MIXED not in (entries[i]["colour"], entries[j]["colour"]):
            axes.plot(*zip(places[i], places[j], strict=True), color="black", lw=2.6, zorder=4)
            axes.plot(*zip(places[i], places[j], strict=True), color="white", lw=1.4, zorder=4, gid="contact")
    for index, (entry, place) in enumerate(zip(entries, places, strict=True)):
        _draw_box(axes, entry, origin, cell)
        axes.text(place[0], place[1], str(index), size=6.5, ha="center", va="center_baseline", zorder=6, bbox=BADGE)
    _draw_table(axes, entries, contact, 0.25 + BOX + 0.35)
    return figure


BADGE = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "black", "linewidth": 0.6}


def touching(contact: np.ndarray) -> list[tuple[int, int]]:
    """Pairs i < j of entries in contact."""
    words = [int(word) for word in contact]
    return [(i, j) for i in range(len(words)) for j in range(i + 1, len(words)) if words[i] >> j & 1]


def find_place(grid: np.ndarray, entry: dict[str, int], entries: Sequence[dict[str, int]] = ()) -> np.ndarray:
    """(x, y) in cells for an entry's number: its own cell nearest to its centroid, the residual's box corner.

    Of `entries`, those of its colour that are smaller take the cells in their boxes, where any others are left.
    """
    if entry["colour"] == MIXED:
        return np.array([entry["left"] + entry["width"], entry["top"]], float)
    own = grid == entry["colour"]
    free = own.copy()
    for other in entries:
        if other["colour"] == entry["colour"] and other["area"] < entry["area"]:
            free[_box(other)] = False
    cells = np.argwhere((free if free[_box(entry)].any() else own)[_box(entry)])
    centroid = np.array([entry["sum_row"], entry["sum_col"]]) / max(entry["area"], 1)
    row, column = cells[((cells - centroid) ** 2).sum(1).argmin()]
    return np.array([entry["left"] + column, entry["top"] + row]) + 0.5


def _box(entry: dict[str, int]) -> tuple[slice, slice]:
    """The rows and columns of an entry."""
    top, left = entry["top"], entry["left"]
    return slice(top, top + entry["height"]), slice(left, left + entry["width"])


def _draw_box(axes: Axes, entry: dict[str, int], origin: np.ndarray, cell: float) -> None:
    corner = origin + cell * np.array([entry["left"], entry["top"]])
    size = cell * entry["width"], cell * entry["height"]
    line = "--" if entry["colour"] == MIXED else "-"
    for colour, width in (("black", 2.4), ("white", 1.2)):
        axes.add_patch(Rectangle(tuple(corner), *size, fill=False, ec=colour, lw=width, ls=line, zorder=3))


def _draw_table(axes: Axes, entries: list[dict[str, int]], contact: np.ndarray, left: float) -> None:
    for heading, x in TABLE.items():
        axes.text(left + x, TOP + 0.05, heading, size=6.5, weight="bold", color="#444444", va="center")
    neighbours: list[list[int]] = [[] for _ in entries]
    for i, j in touching(contact):
        neighbours[i].append(j)
        neighbours[j].append(i)
    for index, entry in enumerate(entries):
        y = TOP + 0.05 + 0.2 * (index + 1)
        swatch = (left + TABLE["colour"], y - 0.055)
        axes.add_patch(Rectangle(swatch, 0.16, 0.11, fc=COLOURS[entry["colour"]], ec="#777777", lw=0.5))
        for x, text in zip(TABLE.values(), _cells(index, entry, neighbours[index]), strict=True):
            axes.text(left + x, y, text, size=6.5, va="center", color=style.INK)


def _cells(index: int, entry: dict[str, int], neighbours: list[int]) -> list[str]:
    symmetry = " ".join(sign for bit, sign in SYMMETRIES.items() if entry["symmetry"] & bit)
    shown = ", ".join(map(str, neighbours[:6])) + (" …" if len(neighbours) > 6 else "")
    number = str(entry["colour"]) if entry["colour"] < MIXED else "mix"
    return [
        str(index), f"       {number}", f"{entry['top']}, {entry['left']}", f"{entry['height']} × {entry['width']}",
        str(entry["area"]), str(entry["holes"]), str(entry["perimeter"]), symmetry, shown,
    ]  # fmt: skip
