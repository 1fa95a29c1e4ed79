"""Loss components by epoch: which term drives the total, and does validation follow training?"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arcjepa.figures import style

TERMS = {
    "total": "total",
    "prediction": "prediction",
    "sigreg": "SIGReg",
    "invariance": "invariance",
    "relational": "relational",
    "hard_negatives": "hard negatives",
    "commitment": "commitment",
}
# Two objectives, two units: their panels stand side by side and never share a y axis.
UNITS = {"infonce": "nats", "lejepa": "squared error"}
TITLES = {"infonce": "InfoNCE phases (nats)", "lejepa": "LeJEPA phases (squared error)"}


@style.styled()
def plot_losses(epochs: pd.DataFrame, objectives: Mapping[str, str]) -> Figure:
    """One row per term, weighted as in the total; one column per objective; one line per phase.

    `epochs`: every run's epochs.csv with the columns `name` and `seed` before it.
    `objectives`: phase -> "infonce" | "lejepa" for each phase that is expected, missing ones included.
    """
    terms = [term for term in TERMS if term == "total" or _has(epochs, term)]
    missing = style.absent(objectives, set(epochs["name"]))
    layout = style.Layout(len(terms), len(UNITS), 3.0, 1.0, gap_y=0.3)
    key = "thick line with markers: validation · thin dashed line: training · ring: lowest validation prediction"
    figure, grid = style.panels(layout, "Loss components, weighted", key, missing)
    last = max([2.0, *epochs["epoch"]])
    for (row, column), axes in np.ndenumerate(grid):
        objective = list(UNITS)[column]
        phases = {name: epochs[epochs["name"] == name] for name, kind in objectives.items() if kind == objective}
        _draw_term(axes, terms[row], phases)
        axes.set_xlim(1 - 0.03 * last, last * 1.03)
        if axes.lines:
            axes.set_ylabel(f"{TERMS[terms[row]]}\n({_unit(terms[row], objective)})", size=7)
        if row == 0:
            axes.set_title(TITLES[objective])
    for column in grid.T:
        drawn = [axes for axes in column if axes.lines]
        for axes in drawn:
            style.whole_x(axes, "epoch" if axes is drawn[-1] else None)
    return figure


def _unit(term: str, objective: str) -> str:
    """Regularisers have no unit of their own."""
    return UNITS[objective] if term in ("total", "prediction") else "weighted"


def _has(epochs: pd.DataFrame, term: str) -> bool:
    return style.curve(epochs, "epoch", f"train_{term}_weighted") is not None


def _draw_term(axes: Axes, term: str, phases: Mapping[str, pd.DataFrame]) -> None:
    ends = []
    for name, runs in phases.items():
        column = term if term == "total" else f"{term}_weighted"
        train = style.curve(runs, "epoch", f"train_{column}")
        validation = style.curve(runs, "epoch", f"val_{column}")
        for drawn, line, marked in ((train, "--", False), (validation, "-", True)):
            if drawn is not None:
                style.draw_curve(axes, drawn, name, line, marked)
        if term == "prediction" and validation is not None:
            style.draw_ring(axes, validation, name)
        end = validation or train
        if end is not None:
            ends.append((float(end.mean[-1]), style.look(name).label, style.look(name).colour))
    if not ends:
        ran = any(len(runs) for runs in phases.values())
        style.say(axes, "no such term in these phases" if ran else style.NOT_RUN)
        return
    style.scale_y(axes)
    style.label_ends(axes, ends)
