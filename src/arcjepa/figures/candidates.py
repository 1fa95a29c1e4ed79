"""Queries with their candidates in the order in which each encoder ranks them, drawn as ARC grids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from arcjepa.figures import style
from arcjepa.figures.palette import canvas, draw_grid

BOX, STEP, LEFT, TOP = 0.8, 0.98, 1.5, 0.8  # inches: grid, grid to grid, first grid, head of the figure
LINE = BOX + 0.34  # height of a line of grids
SHOWN = 8  # candidates drawn; the true one comes after them where it is ranked later
DEMONSTRATIONS = 3


@dataclass(frozen=True, eq=False)
class Query:
    """One test query: grids (H, W) 0..9, `true` the index of the right candidate, and every encoder's order.

    orders: name -> (n_candidates,) indices into `candidates`, best first.
    """

    label: str
    demonstrations: Sequence[tuple[np.ndarray, np.ndarray]]
    query: np.ndarray
    candidates: Sequence[np.ndarray]
    true: int
    orders: Mapping[str, np.ndarray]


@style.styled()
def draw_ranking(queries: Sequence[Query], phases: Sequence[str] = style.PHASES) -> Figure:
    """Per query: its demonstrations, then for each phase the candidates from first to last, the true one framed."""
    block = 0.3 + (1 + len(phases)) * LINE + 0.2
    width = LEFT + (SHOWN + 1.4) * STEP
    figure, axes = canvas(width, TOP + max(len(queries) * block, 0.5) + 0.3)
    key = "B: among outputs of the same task · C: among near misses · frame: the true output"
    ran = {name for query in queries for name in query.orders}
    style.head(figure, "Candidates in the order in which each encoder ranks them", key, style.absent(phases, ran))
    if not queries:
        axes.text(LEFT, TOP + 0.3, "no examples were recorded", size=8, color=style.GREY)
    for index, query in enumerate(queries):
        top = TOP + index * block
        axes.axhline(top, 0.15 / width, 1 - 0.15 / width, color=style.FAINT, linewidth=0.6)
        axes.text(0.15, top + 0.17, query.label, size=8, weight="bold", color=style.INK, va="center")
        _draw_query(axes, query, top + 0.3)
        for line, name in enumerate(phases, start=1):
            _draw_order(axes, query, name, top + 0.3 + line * LINE)
    return figure


def _draw_query(axes: Axes, query: Query, top: float) -> None:
    """Demonstrations as input, arrow, output; then the query and a question mark."""
    middle = top + BOX / 2
    axes.text(0.15, middle, "demonstrations\nand query", size=7.5, color=style.GREY, va="center")
    shown = list(query.demonstrations[:DEMONSTRATIONS])
    x = LEFT
    for given, wanted in shown:
        draw_grid(axes, given, x, top, BOX)
        axes.text(x + BOX + 0.1, middle, "→", size=9, ha="center", va="center", color=style.GREY)
        draw_grid(axes, wanted, x + BOX + 0.2, top, BOX)
        x += 2 * BOX + 0.45
    x += 0.15
    draw_grid(axes, query.query, x, top, BOX)
    axes.text(x + BOX + 0.1, middle, "→  ?", size=9, va="center", color=style.INK)


def _draw_order(axes: Axes, query: Query, name: str, top: float) -> None:
    colour, _, label = style.look(name)
    middle = top + BOX / 2
    axes.text(0.15, middle - 0.09, label, size=8, weight="bold", color=colour, va="center")
    order = query.orders.get(name)
    if order is None:
        axes.text(0.15, middle + 0.09, style.NOT_RUN, size=7, color=style.GREY, va="center")
        return
    place = int(np.flatnonzero(np.asarray(order) == query.true)[0])
    axes.text(0.15, middle + 0.09, f"true output {place + 1} of {len(order)}", size=6.5, color=style.INK, va="center")
    for rank, candidate in enumerate(order[:SHOWN]):
        _draw_candidate(axes, query, int(candidate), rank, (LEFT + rank * STEP, top))
    x = LEFT + SHOWN * STEP
    if place >= SHOWN:
        axes.text(x + 0.1, middle, "…", size=10, ha="center", va="center", color=style.GREY)
        _draw_candidate(axes, query, query.true, place, (x + 0.3, top))


def _draw_candidate(axes: Axes, query: Query, candidate: int, rank: int, corner: tuple[float, float]) -> None:
    left, top = corner
    draw_grid(axes, query.candidates[candidate], left, top, BOX)
    right = candidate == query.true
    text = f"{rank + 1} true" if right else str(rank + 1)
    axes.text(
        left + BOX / 2, top + BOX + 0.11, text, size=6.5, ha="center", va="center",
        color=style.INK if right else style.GREY, weight="bold" if right else "normal",
    )  # fmt: skip
    if right:
        frame = Rectangle((left - 0.04, top - 0.04), BOX + 0.08, BOX + 0.08, fill=False, ec=style.INK, lw=2, gid="true")
        axes.add_patch(frame)
