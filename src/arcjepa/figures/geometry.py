"""Geometry of the embeddings by step: do they spread, or collapse as a whole or in some dimensions?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arcjepa.figures import style

MEASURES = {
    "effective_rank": "effective rank\n(of eigenvalues)",
    "rankme": "RankMe\n(of singular values)",
    "variance": "variance",
    "isotropy": "isotropy\n(smallest / largest)",
    "epps_pulley": "Epps-Pulley\n(dashed: Gaussian)",
}
GAUSSIAN = 1.05  # Epps-Pulley of standard normal samples
COMPARABLE = ("effective_rank",)  # of the analysed run; its variance and isotropy are of other embeddings
LOGARITHMIC = ("variance", "isotropy", "epps_pulley")
SIDES = {"context": "context frames", "target": "target frames"}


@style.styled()
def plot_geometry(
    steps: pd.DataFrame, phases: Sequence[str] = style.PHASES, analysed: pd.DataFrame | None = None
) -> Figure:
    """One row per measure, one column per side (y shared), one line per phase.

    `steps`: every run's steps.csv with the columns `name` and `seed` before it.
    `analysed`: steps of the analysed run, of which what is COMPARABLE is drawn too.
    """
    missing = style.absent(phases, set(steps["name"]))
    layout = style.Layout(len(MEASURES), len(SIDES), 3.0, 1.05, left=1.05, gap_x=1.15, gap_y=0.25)
    key = "line: mean over seeds, band: their range · both columns of a row have the same y axis"
    note = "" if analysed is None else f"grey: analysed run, its {analysed['step'].max():,} steps over the same width"
    figure, grid = style.panels(layout, "Geometry of the embeddings", key, missing, note)
    last = max([2.0, *steps["step"]])
    for row, (measure, label) in enumerate(MEASURES.items()):
        ends = [_draw_side(grid[row, i], steps, f"{measure}_{side}", phases) for i, side in enumerate(SIDES)]
        if analysed is not None and measure in COMPARABLE:
            for axes, side, labels in zip(grid[row], SIDES, ends, strict=True):
                labels += style.draw_analysed(axes, analysed, "step", f"{measure}_{side}", last) if labels else []
        _share_scale(grid[row], measure)
        for axes, labels in zip(grid[row], ends, strict=True):
            axes.set_xlim(0, last * 1.02)
            if labels:
                style.whole_x(axes, "optimiser step" if row == len(MEASURES) - 1 else None, 5)
                style.label_ends(axes, labels)
            else:
                style.say(axes, "not recorded" if len(steps) else style.NOT_RUN)
        grid[row, 0].set_ylabel(label, size=7)
    for axes, title in zip(grid[0], SIDES.values(), strict=True):
        axes.set_title(title)
    return figure


def _draw_side(axes: Axes, steps: pd.DataFrame, column: str, phases: Sequence[str]) -> list[tuple[float, str, str]]:
    ends = []
    for name in phases:
        drawn = style.curve(steps[steps["name"] == name], "step", column)
        if drawn is not None:
            style.draw_curve(axes, drawn, name)
            ends.append((float(drawn.mean[-1]), style.look(name).label, style.look(name).colour))
    if ends and column.startswith("epps_pulley"):
        axes.axhline(GAUSSIAN, color=style.INK, linestyle="--", linewidth=0.9)
    return ends


def _share_scale(row: np.ndarray, measure: str) -> None:
    lines = [np.asarray(line.get_ydata(), float) for axes in row for line in axes.lines]
    if not lines:
        return
    values = np.concatenate(lines)
    positive = values[values > 0]
    for axes in row:
        if measure in LOGARITHMIC and len(positive):
            style.log_y(axes, positive.min() / 1.5, positive.max() * 1.5)
        else:
            axes.set_ylim(0, values.max() * 1.12 or 1)
