"""Values with 95 % intervals, drawn along horizontal rows: dots and bars that always show their whiskers."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from arcjepa.figures import style


class Interval(NamedTuple):
    """A value and its interval, NaN where unknown."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is a value at all."""
        return math.isfinite(self.value)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval around it."""
        return self.known and math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def errors(self) -> tuple[float, float]:
        """Distances down and up; a bound on the wrong side of the value counts as 0."""
        return max(self.value - self.low, 0), max(self.high - self.value, 0)


UNKNOWN = Interval(math.nan, math.nan, math.nan)


def read_interval(table: pd.DataFrame, name: str, measure: str) -> Interval:
    """Columns `measure`, `measure`_low, `measure`_high of the row `name`; NaN for a row or cell that is absent."""
    rows = table[table["name"] == name]
    if rows.empty:
        return UNKNOWN
    columns = (measure, f"{measure}_low", f"{measure}_high")
    return Interval(*(float(rows[column].iloc[0]) if column in rows else math.nan for column in columns))


def order_rows(axes: Axes, names: Sequence[str], labelled: bool) -> None:
    """One row per name, the first on top; names beside the panel in their colours if `labelled`."""
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [style.look(name).label for name in names] if labelled else [])
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    for label, name in zip(axes.get_yticklabels(), names, strict=False):
        label.set_color(style.look(name).colour if name not in style.CONTROLS else "#444444")


def draw_dot(axes: Axes, row: int, interval: Interval, name: str) -> None:
    """A marker whose whisker caps are taller than itself, so that narrow intervals show too."""
    colour, marker, _ = style.look(name)
    axes.plot(interval.value, row, marker, color=colour, markersize=4)
    _whiskers(axes, [(row, interval)], colour)


def draw_bars(axes: Axes, rows: Sequence[tuple[int, Interval, str]]) -> None:
    """Bars (row, interval, name) from zero, with whiskers in ink, so that the part over the bar shows."""
    if not rows:
        return
    colours = [style.look(name).colour for _, _, name in rows]
    heights, values = [row for row, _, _ in rows], [interval.value for _, interval, _ in rows]
    axes.barh(heights, values, height=0.68, color=colours, alpha=0.75, linewidth=0)
    _whiskers(axes, [(row, interval) for row, interval, _ in rows], style.INK)


def _whiskers(axes: Axes, rows: Sequence[tuple[int, Interval]], colour: str) -> None:
    bounded = [(row, interval) for row, interval in rows if interval.bounded]
    if bounded:
        errors = np.array([interval.errors for _, interval in bounded]).T
        heights, values = [row for row, _ in bounded], [interval.value for _, interval in bounded]
        axes.errorbar(values, heights, xerr=errors, fmt="none", ecolor=colour, elinewidth=1.2, capsize=4.5)


def put_value(axes: Axes, row: int, text: str) -> None:
    """The number in figures, right of the panel."""
    axes.annotate(
        text, (1, row), xytext=(4, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
        size=7, va="center", color=style.INK if text[0].isdigit() else style.GREY,
    )  # fmt: skip
