"""Gradient norms before clipping: when is training unstable, and how often does the clip decide the step?"""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from arcjepa.figures import style


@style.styled()
def plot_gradients(
    epochs: pd.DataFrame,
    thresholds: Mapping[str, float | None],
    analysed: tuple[pd.DataFrame, float] | None = None,
) -> Figure:
    """One column per phase: mean and largest norm of each epoch with the clip threshold; share of steps clipped.

    `epochs`: every run's epochs.csv with the columns `name` and `seed` before it.
    `thresholds`: phase -> clip threshold (None: no clipping), for each phase expected.
    `analysed`: epochs and threshold of the analysed run, whose norms stand beside the first phase's where both are
    clipped at the same, so that heights mean the same multiples of it.
    """
    layout = style.Layout(2, len(thresholds), 1.9, 1.6, right=0.3, gap_x=0.2, gap_y=0.25)
    shown = epochs[epochs["name"].isin(list(thresholds))]
    last = max([2.0, *shown["epoch"]])
    first = next((name for name in thresholds if name in set(shown["name"])), "")
    printed = analysed[0] if first and analysed and thresholds[first] == analysed[1] else None
    key = "solid line with markers: mean of the epoch · thin dashed line: its largest · horizontal line: clip threshold"
    note = "" if printed is None else f"grey: analysed run, its {printed['epoch'].max()} epochs over the same width"
    figure, grid = style.panels(layout, "Gradient norms before clipping", key, note=note)
    limits = _limits(shown if printed is None else pd.concat([shown, printed]), thresholds)
    for (upper, lower), (name, threshold) in zip(grid.T, thresholds.items(), strict=True):
        runs = shown[shown["name"] == name]
        upper.set_title(name, color=style.look(name).colour)
        if runs.empty:
            style.say(upper, style.NOT_RUN)
            style.say(lower, style.NOT_RUN)
            continue
        _draw_norms(upper, runs, name)
        if name == first and printed is not None:
            style.draw_analysed(upper, printed, "epoch", "grad_norm_max", last, marked=False)
            style.draw_analysed(upper, printed, "epoch", "grad_norm_mean", last)
        _draw_threshold(upper, name, threshold)
        style.log_y(upper, *limits)
        _draw_clipped(lower, runs, name)
        for axes in (upper, lower):
            axes.set_xlim((1 if printed is None else 0) - 0.04 * last, last * 1.04)
            axes.tick_params(labelleft=name == first)
        style.whole_x(upper, None, 5)
        style.whole_x(lower, "epoch", 5)
        if name == first:
            upper.set_ylabel("gradient norm (log)")
            lower.set_ylabel("steps clipped")
    return figure


def _limits(epochs: pd.DataFrame, thresholds: Mapping[str, float | None]) -> tuple[float, float]:
    norms = epochs[["grad_norm_mean", "grad_norm_max"]].apply(pd.to_numeric).to_numpy().ravel()
    values = [*norms[(norms > 0) & (norms < float("inf"))], *(t for t in thresholds.values() if t)]
    return (min(values) / 2, max(values) * 2) if values else (0.1, 10)


def _draw_norms(axes: Axes, runs: pd.DataFrame, name: str) -> None:
    for column, line, marked in (("grad_norm_max", "--", False), ("grad_norm_mean", "-", True)):
        drawn = style.curve(runs, "epoch", column)
        if drawn is not None:
            style.draw_curve(axes, drawn, name, line, marked)


def _draw_threshold(axes: Axes, name: str, threshold: float | None) -> None:
    if threshold is not None:
        axes.axhline(threshold, color=style.INK, linewidth=0.8, gid=f"clip-{name}")
    text = "no clipping" if threshold is None else f"clip {threshold:g}"
    axes.set_title(text, loc="right", size=7, weight="normal", color=style.INK)


def _draw_clipped(axes: Axes, runs: pd.DataFrame, name: str) -> None:
    drawn = style.curve(runs, "epoch", "clipped_share")
    if drawn is None:
        style.say(axes, "not recorded")
        return
    style.draw_curve(axes, drawn, name)
    axes.set_ylim(-0.05, 1.05)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
