"""The yardstick: one question, asked of every frozen encoder alike. Which phase is better, and is it apart?"""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arcjepa.figures import style
from arcjepa.figures.whiskers import draw_dot, order_rows, put_value, read_interval

MEASURES = {
    "val_nce": "own predictor",
    "readout_nce": "ridge read-out, fitted alike",
    "query_only_nce": "the same from the query alone",
}
REFERENCE = "untrained"


@style.styled()
def plot_yardstick(
    metrics: pd.DataFrame,
    chance: float,
    phases: Sequence[str] = style.PHASES,
    controls: Sequence[str] = style.CONTROLS,
) -> Figure:
    """InfoNCE against the fixed pool (nats, lower is better) with 95 % intervals, for phases and controls.

    `metrics`: metrics.csv, one row per name, with seeds, and columns M, M_low and M_high for each measure M.
    `chance`: ln(pool size).
    """
    names = [*phases, *controls]
    metrics = metrics[metrics["seeds"] > 0]
    present = set(metrics["name"])
    layout = style.Layout(1, len(MEASURES), 2.3, 0.26 * len(names) + 0.3, left=1.35, gap_x=0.65, top=1.15)
    key = "nats, lower is better · whisker: 95 %, over tasks and seeds · grey band: interval of the untrained encoder"
    title = "Yardstick: telling the true next frame from the fixed pool"
    figure, grid = style.panels(layout, title, key, style.absent(names, present))
    highest = max([chance, *(read_interval(metrics, n, m).high for n in names for m in MEASURES)], default=chance)
    for index, (measure, label) in enumerate(MEASURES.items()):
        axes = grid[0, index]
        axes.set_xlim(0, highest * 1.05)
        order_rows(axes, names, labelled=index == 0)
        _draw_measure(axes, metrics, measure, names)
        axes.axvline(chance, color=style.INK, linestyle="--", linewidth=0.9, gid="chance")
        axes.set_title(label)
        axes.set_xlabel(f"{measure} (nats); dashed: chance {chance:.2f}", size=7)
    return figure


def _draw_measure(axes: Axes, metrics: pd.DataFrame, measure: str, names: Sequence[str]) -> None:
    reference = read_interval(metrics, REFERENCE, measure)
    if reference.bounded:
        axes.axvspan(reference.low, reference.high, color="#eeeeee", zorder=0)
    for row, name in enumerate(names):
        interval = read_interval(metrics, name, measure)
        if interval.known:
            draw_dot(axes, row, interval, name)
            put_value(axes, row, f"{interval.value:.2f}")
        else:
            put_value(axes, row, "–" if name in set(metrics["name"]) else style.NOT_RUN)
