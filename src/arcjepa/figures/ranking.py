"""Candidate ranking and same-task retrieval on every test set, with controls, intervals and chance."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arcjepa.figures import style
from arcjepa.figures.whiskers import Interval, draw_bars, order_rows, put_value

MEASURES = {
    "ranking_a": "A: among other tasks' outputs",
    "ranking_b": "B: among its own task's outputs",
    "ranking_c": "C: among near misses",
    "retrieval_augmented": "same task, other view",
    "retrieval_rearc": "same task, RE-ARC",
}


@style.styled()
def plot_ranking(
    scores: pd.DataFrame,
    phases: Sequence[str] = style.PHASES,
    controls: Sequence[str] = style.CONTROLS,
) -> Figure:
    """One row of panels per test set, one column per measure: share right at the first place (top-1, R@1).

    `scores`: ranking.csv, long: name, set, measure, value, low, high, chance (the last NaN where unknown).
    """
    names = [*phases, *controls]
    scores = scores[scores["measure"].isin(list(MEASURES))]
    rows = panels_by_set(scores) or {"no test set yet": list(MEASURES)[:3]}
    layout = style.Layout(
        len(rows), max(map(len, rows.values())), 1.6, 0.17 * len(names) + 0.1,
        left=1.35, right=0.6, gap_x=0.55, gap_y=0.85, top=1.35,
    )  # fmt: skip
    key = "share of queries with the right answer first · whisker: 95 %, over tasks and seeds · dashed line: chance"
    missing = style.absent(names, set(scores["name"]))
    figure, grid = style.panels(layout, "Candidate ranking and same-task retrieval", key, missing)
    for axes_row, (test_set, measures) in zip(grid, rows.items(), strict=True):
        heading = {"size": 9, "weight": "bold", "color": style.INK, "textcoords": "offset points"}
        axes_row[0].annotate(test_set, (0, 1), xytext=(0, 20), xycoords="axes fraction", **heading)
        for axes in axes_row[len(measures) :]:
            axes.set_axis_off()
        for column, measure in enumerate(measures):
            chosen = scores[(scores["set"] == test_set) & (scores["measure"] == measure)]
            _draw_panel(axes_row[column], chosen, names, labelled=column == 0)
            axes_row[column].set_title(MEASURES[measure], size=7)
    return figure


def panels_by_set(scores: pd.DataFrame) -> dict[str, list[str]]:
    """Test set -> the measures taken on it, in the order of MEASURES; sets in order of appearance."""
    taken = set(zip(scores["set"], scores["measure"], strict=True))
    return {name: [m for m in MEASURES if (name, m) in taken] for name in dict.fromkeys(scores["set"])}


def _draw_panel(axes: Axes, chosen: pd.DataFrame, names: Sequence[str], labelled: bool) -> None:
    axes.set_xlim(0, 1.03)  # room for the cap of a whisker that ends at 1
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    order_rows(axes, names, labelled)
    present = set(chosen["name"])
    bounds = chosen[["value", "low", "high"]].to_numpy(float)
    intervals = {str(name): Interval(*map(float, row)) for name, row in zip(chosen["name"], bounds, strict=True)}
    known = [
        (row, intervals[name], name) for row, name in enumerate(names) if name in present and intervals[name].known
    ]
    draw_bars(axes, known)
    for row, name in enumerate(names):
        shown = [f"{interval.value:.2f}" for at, interval, _ in known if at == row]
        put_value(axes, row, shown[0] if shown else "–" if name in present else style.NOT_RUN)
    for value in chosen["chance"].dropna().unique()[:1]:
        axes.axvline(value, color=style.INK, linestyle="--", linewidth=0.9, gid="chance")
