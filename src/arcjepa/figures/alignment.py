"""The alignment scorecard: eight principles by phase, each with what decided it."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arcjepa.figures import style
from arcjepa.figures.palette import canvas
from arcjepa.figures.text_table import FIRST, GAP, LINE, TOP, draw_lines, fill, text

SIGNS = {1.0: "●", 0.5: "◐", 0.0: "○"}
OVERALL = "Overall"
NAME, PHASE, RULE = 1.6, 1.85, 3.3  # widths of the columns
WRAPS = {"evidence": 29, "rule": 60}  # characters


@style.styled()
def draw_alignment(alignment: pd.DataFrame, phases: Sequence[str] = style.PHASES) -> Figure:
    """A row per principle, a column per phase: its score as a sign, what it was read from, and the rule.

    `alignment`: alignment.csv: phase, principle (the last "Overall"), score (0 | 0.5 | 1, overall their mean; NaN where
    the phase was not run), printed (the analysis' own, NaN where it has none), evidence, rule.
    """
    names = [name for name in phases if (alignment["phase"] == name).any()]
    missing = [name for name in names if alignment.loc[alignment["phase"] == name, "score"].isna().all()]
    principles = list(dict.fromkeys(alignment["principle"]))
    cells = {(row["phase"], row["principle"]): row for _, row in alignment.iterrows()}
    width = NAME + PHASE * len(names) + RULE + 0.15
    heights = [_height([cells[name, principle] for name in names]) for principle in principles]
    figure, axes = canvas(width, TOP + 0.6 + sum(heights) + 0.075)
    key = "●  1 · ◐  1/2 · ○  0 · (in brackets: as the analysis prints it for its own run and plan)"
    style.head(figure, "Alignment with the L-JEPA checklist of the analysis", key, missing)
    for place, name in enumerate(names):
        look = style.look(name)
        axes.text(_left(place), TOP + 0.1, look.label, size=8, weight="bold", color=look.colour, va="center")
    axes.text(_left(len(names)), TOP + 0.1, "rule", size=7, weight="bold", color="#444444", va="center")
    y = TOP + 0.25
    for principle, height in zip(principles, heights, strict=True):
        axes.plot([0.15, width - 0.15], [y, y], color=style.FAINT, linewidth=0.8)
        _draw_row(axes, principle, [cells[name, principle] for name in names], y + 0.04)
        y += height
    return figure


def _left(place: int) -> float:
    return NAME + PHASE * place


def _words(row: pd.Series) -> str:
    """What a score was read from, wrapped."""
    return fill(text(row["evidence"]), WRAPS["evidence"])


def _height(rows: Sequence[pd.Series]) -> float:
    rule = fill(text(rows[0]["rule"]), WRAPS["rule"]) if rows else ""
    lines = [1 + _words(row).count("\n") + 1 for row in rows] + [rule.count("\n") + 1]
    return LINE * max(lines) + GAP + 0.05


def _draw_row(axes: Axes, principle: str, rows: Sequence[pd.Series], y: float) -> None:
    whole = principle == OVERALL
    weight = "bold" if whole else "normal"
    draw_lines(axes, fill(principle, 22), (0.15, y), style.INK, weight)
    for place, row in enumerate(rows):
        printed = "" if pd.isna(row["printed"]) else f"({_score(row['printed'], whole)})"
        if pd.notna(row["score"]):
            axes.text(_left(place), y + FIRST, _score(row["score"], whole), size=8, weight=weight, color=style.INK)
            axes.text(_left(place) + (0.62 if whole else 0.2), y + FIRST, printed, size=7, color=style.GREY)
        draw_lines(axes, _words(row), (_left(place), y + LINE), style.INK if whole else style.GREY, weight)
    if rows:
        draw_lines(axes, fill(text(rows[0]["rule"]), WRAPS["rule"]), (_left(len(rows)), y), style.GREY)


def _score(value: float, whole: bool) -> str:
    return f"{100 * value:.4g} %" if whole else SIGNS[float(value)]
