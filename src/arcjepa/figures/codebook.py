"""Codebook usage and perplexity by step: does the codebook collapse, and what does a refresh do to it?"""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from arcjepa.figures import style

MEASURES = {"code_usage": "share of codes used", "perplexity": "perplexity (codes)"}


@style.styled()
def plot_codebook(
    steps: pd.DataFrame, phases: Sequence[str] = style.PHASES, analysed: pd.DataFrame | None = None
) -> Figure:
    """Share of codes used and perplexity (codes), one line per phase, with a mark at every refresh.

    `steps`: every run's steps.csv with the columns `name` and `seed` before it.
    `analysed`: steps of the analysed run, whose use of its codes is drawn too.
    """
    ran = [name for name in phases if name in set(steps["name"])]
    without = [name for name in ran if style.curve(steps[steps["name"] == name], "step", "code_usage") is None]
    notes = [f"no codebook: {', '.join(without)}"] if without else []
    if analysed is not None:
        notes.append(f"grey: analysed run, its {analysed['step'].max():,} steps over the same width")
    layout = style.Layout(2, 1, 6.2, 1.9, right=0.9, gap_y=0.45)
    key = "line: mean over seeds, band: their range · dotted vertical line: dead codes were refreshed"
    figure, grid = style.panels(layout, "Codebook", key, style.absent(phases, ran), "  ·  ".join(notes))
    last = max([2.0, *steps["step"]])
    for axes, (column, label) in zip(grid[:, 0], MEASURES.items(), strict=True):
        axes.set_xlim(0, last * 1.02)
        theirs = style.draw_analysed(axes, analysed, "step", column, last) if analysed is not None and ran else []
        _draw_measure(axes, steps, column, ran, theirs)
        _mark(axes, {name: at for name in ran if (at := find_refreshes(steps[steps["name"] == name]))})
        if axes.lines:
            axes.set_ylabel(label)
            style.whole_x(axes, "optimiser step" if column == "perplexity" else None)
    if grid[0, 0].lines:
        grid[0, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def _draw_measure(
    axes: Axes, steps: pd.DataFrame, column: str, names: Sequence[str], ends: list[tuple[float, str, str]]
) -> None:
    """`ends`: labels of what is drawn already."""
    for name in names:
        runs = steps[steps["name"] == name]
        drawn = style.curve(runs, "step", column)
        if drawn is not None:
            style.draw_curve(axes, drawn, name)
            ends.append((float(drawn.mean[-1]), style.look(name).label, style.look(name).colour))
    if not ends:
        style.say(axes, "no codebook in the phases that ran" if names else style.NOT_RUN)
        return
    axes.set_ylim(0, axes.dataLim.y1 * 1.12)
    style.label_ends(axes, ends)


def find_refreshes(runs: pd.DataFrame) -> list[int]:
    """Recorded steps since whose predecessor codes were replaced, in any seed."""
    replaced = pd.to_numeric(runs["refreshed_codes"]) > 0
    return sorted({int(step) for step in runs.loc[replaced, "step"]})


def _mark(axes: Axes, refreshes: Mapping[str, Sequence[int]]) -> None:
    """Vertical lines in the colours of the phases, and above the first one whose they are."""
    for name, steps in refreshes.items():
        for step in steps:
            axes.axvline(step, color=style.look(name).colour, linestyle=":", linewidth=1, gid=f"refresh-{name}")
    if refreshes:
        first = min(refreshes, key=lambda name: refreshes[name][0])
        axes.annotate(
            f"refresh: {', '.join(refreshes)}", (refreshes[first][0], 1), xytext=(0, 2), ha="center", va="bottom",
            xycoords=axes.get_xaxis_transform(), textcoords="offset points", size=6.5, color=style.look(first).colour,
        )  # fmt: skip
