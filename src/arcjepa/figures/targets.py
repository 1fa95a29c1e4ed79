"""The phases against the targets of the analysis, as a table."""

import math
import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arcjepa.figures import style
from arcjepa.figures.palette import canvas

MET, MISSED, NOT_COMPARABLE = "met", "missed", "not comparable"
SIGNS = {MET: ("●", style.INK), MISSED: ("○", style.INK), NOT_COMPARABLE: ("–", style.GREY)}
HEADINGS = {"target": 0.95, "baseline": 2.85, "wanted": 4.3, "reached": 5.55, "verdict": 7.2, "why": 8.45}  # inches
TITLES = {"baseline": "analysed run"}
WRAP = {"target": 33, "baseline": 25, "wanted": 21, "reached": 28, "verdict": 18, "why": 46}  # characters
WIDTH, TOP = 11.2, 0.8
LINE, FIRST = 0.135, 0.12  # line to line, and the first baseline below the top of a row


@style.styled()
def draw_targets(targets: pd.DataFrame, phases: Sequence[str] = style.PHASES) -> Figure:
    """One block per phase, one row per target, with what was wanted, what was reached and the verdict.

    `targets`: targets.csv: phase, target, baseline, wanted, reached, low, high (bounds of reached, NaN where there
    are none), verdict ("met" | "missed" | "not comparable"), why ("not run": the phase has not run). Phases that
    the table does not name have no targets, and no block; those that only the table names come last.
    """
    order = [*phases, *(name for name in dict.fromkeys(targets["phase"]) if name not in phases)]
    missing = [name for name in order if (targets.loc[targets["phase"] == name, "why"] == style.NOT_RUN).any()]
    blocks = {name: [_cells(row) for _, row in targets[targets["phase"] == name].iterrows()] for name in order}
    blocks = {name: [] if name in missing else rows for name, rows in blocks.items() if rows}
    height = TOP + 0.3 + sum(_height(row) for rows in blocks.values() for row in rows or [{}]) + 0.15 * len(blocks)
    figure, axes = canvas(WIDTH, height + 0.35)
    key = "●  met · ○  missed · –  not comparable: the analysed run measured something else"
    style.head(figure, "Phases against the targets of the analysis", key, missing)
    for heading, x in HEADINGS.items():
        axes.text(x, TOP + 0.1, TITLES.get(heading, heading), size=7, weight="bold", color="#444444", va="center")
    y = TOP + 0.25
    for name, rows in blocks.items():
        y = _draw_block(axes, name, rows, y)
    return figure


def _cells(row: pd.Series) -> dict[str, str]:
    """The row's texts, wrapped."""
    texts = {heading: _text(row.get(heading)) for heading in HEADINGS}
    low, high = (row.get(bound, math.nan) for bound in ("low", "high"))
    if pd.notna(low) and pd.notna(high) and low < high:  # a single seed has no interval
        texts["reached"] += f" [{_text(low)}, {_text(high)}]"
    return {heading: textwrap.fill(text, WRAP[heading]) for heading, text in texts.items()}


def _text(value: str | float | None) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or math.isnan(value) else f"{value:.3g}"


def _height(row: dict[str, str]) -> float:
    return LINE * max([1, *(text.count("\n") + 1 for text in row.values())]) + 0.09


def _draw_block(axes: Axes, name: str, rows: list[dict[str, str]], y: float) -> float:
    """Draw a phase's rows from `y` down; returns where the next block starts."""
    axes.plot([0.15, WIDTH - 0.15], [y, y], color=style.FAINT, linewidth=0.8)
    y += 0.075
    axes.text(0.15, y + FIRST, name, size=8, weight="bold", color=style.look(name).colour)
    if not rows:
        axes.text(HEADINGS["target"], y + FIRST, style.NOT_RUN, size=7, color=style.GREY)
    for row in rows:
        _draw_row(axes, row, y)
        y += _height(row)
    return y + (0.075 if rows else _height({}) + 0.075)


def _draw_row(axes: Axes, row: dict[str, str], y: float) -> None:
    verdict = row["verdict"].replace("\n", " ")
    sign, colour = SIGNS.get(verdict, ("?", style.GREY))
    for heading, x in HEADINGS.items():
        shown = f"{sign}  {verdict}" if heading == "verdict" else row[heading]
        weight = "bold" if heading == "verdict" and verdict == MISSED else "normal"
        shade = colour if heading == "verdict" else style.GREY if heading == "why" else style.INK
        for number, line in enumerate(shown.splitlines()):
            axes.text(x, y + FIRST + LINE * number, line, size=7, va="baseline", color=shade, weight=weight)
