"""A set of scenarios on every headline measure, and where it is a 2 x 2, what its two changes do together."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from arcjepa.figures import style
from arcjepa.figures.whiskers import Interval, put_value, read_interval

NATS = {"val_nce": "own predictor", "readout_nce": "ridge read-out"}
MEASURES = {
    **NATS,
    "effective_rank_target": "effective rank, targets",
    "code_usage": "codebook usage",
    "ranking_a": "A: other tasks' outputs",
    "ranking_b": "B: its own task's outputs",
    "ranking_c": "C: near misses",
    "retrieval_rearc": "same task, RE-ARC",
}
UNITS = {"val_nce": "val_nce (nats, lower is better)", "readout_nce": "readout_nce (nats, lower is better)"}
UNITS |= {"effective_rank_target": "dimensions", "code_usage": "share of codes"}
CROSSED = {
    "val_nce": "own predictor (nats)",
    "readout_nce": "ridge read-out (nats)",
    "relational_growth": "growth of the relational loss",
    "grad_norm_max": "largest gradient norm",
}
INTERACTION = "interaction"
CONTROL = "untrained"
COLUMNS = 4
WRAP = 46  # characters of a change beneath its name
NO_BREAK = "\N{NO-BREAK SPACE}"
PLAIN = StrMethodFormatter("{x:.4g}")  # no power of ten beside the axis, where it would lie over other text


@style.styled()
def plot_ablation(name: str, table: pd.DataFrame, effects: pd.DataFrame | None = None) -> Figure:
    """One row per member in every panel; a 2 x 2 has a third row of panels with a line before and one after its second
    change.

    `table`: the set's table, its reference first (arcjepa.ablations.ablation_table). `effects`: that of a 2 x 2.
    """
    names = [str(member) for member in table["name"]]
    missing = [str(member) for member in table.loc[table["seeds"] == 0, "name"]]
    rows = 2 if effects is None else 3
    layout = style.Layout(
        rows, COLUMNS, 1.55, max(0.9, 0.36 * len(names)), left=2.75, right=0.6, gap_x=0.75, gap_y=0.85, top=1.1,
        bottom=0.85,
    )  # fmt: skip
    key = (
        "whisker: 95 % interval · line and band: the reference, on top · open: not apart from it by task"
        " (rank, codes: not tested) · triangle: beyond the axis"
    )
    figure, grid = style.panels(layout, f"Ablation {name}", key, missing)
    for axes, measure in zip(grid[:2].flat, MEASURES, strict=True):
        first = axes in (grid[0, 0], grid[1, 0])
        _label_rows(axes, table if first else None, len(names))
        _draw_measure(axes, table, measure)
    if effects is not None:
        _draw_crossed(grid[2], table[table["name"] != CONTROL], effects)
    return figure


def _label_rows(axes: Axes, table: pd.DataFrame | None, count: int) -> None:
    """One row per member, the first on top, with what it changes in small type beneath its name if `table`."""
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_yticks([])
    axes.grid(False, axis="y")
    members = [] if table is None else [str(name) for name in table["name"]]
    for row, (_, member) in enumerate([] if table is None else table.iterrows()):
        told = _wrapped(told_change(member, row, members))
        look = style.look(str(member["name"]))
        colour = look.colour if member["name"] in style.LOOKS else style.INK
        _write(axes, (row, 5 * len(told) - 2), look.label, 7, colour)
        for number, line in enumerate(told):
            _write(axes, (row, 5 * len(told) - 9.5 - 7 * number), line, 5.5, style.GREY)


def _wrapped(told: str) -> list[str]:
    """Two lines at most, broken between changes, or before the value of one that is too long for a line."""
    changes = [change if len(change) > WRAP else change.replace(" ", NO_BREAK) for change in told.split("; ")]
    kept = "; ".join(changes).replace(" → ", f"{NO_BREAK}→{NO_BREAK}")
    return textwrap.wrap(kept, WRAP, max_lines=2, placeholder=" …")


def _write(axes: Axes, place: tuple[int, float], text: str, size: float, colour: str) -> None:
    """A text left of the panel, its foot some points above a row: (row, points)."""
    axes.annotate(
        text, (0, place[0]), xytext=(-6, place[1]), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
        ha="right", va="baseline", size=size, color=colour,
    )  # fmt: skip


def told_change(member: pd.Series, row: int, members: Sequence[str] = ()) -> str:
    """What differs from the reference, or from the row above ("then ...") or the parent where that is less.

    Of those that change as much it is the one that brings fewest values with it ("name = value"); the parent then has
    to be one of `members`.
    """
    changes, step, over = (
        "" if pd.isna(member[column]) else str(member[column]) for column in ("changes", "step", "over")
    )
    if row == 0:
        return "reference"
    if member["name"] == CONTROL:
        return "control"
    told = [changes, f"then {step}", *filter(None, [over])]
    least = min(text.count("→") for text in told)
    equal = [text for text in told if text.count("→") == least]
    shown = [text for text in equal if text != over or over.partition(": ")[0] in members] or equal
    return min(shown, key=lambda text: text.count(" = "))


def _draw_measure(axes: Axes, table: pd.DataFrame, measure: str) -> None:
    names = [str(name) for name in table["name"]]
    intervals = [read_interval(table, name, measure) for name in names]
    axes.set_title(MEASURES[measure])
    axes.set_xlabel(UNITS.get(measure, "share at the first place"), size=7)
    _draw_reference(axes, intervals[0])
    _limit(axes, [interval for name, interval in zip(names, intervals, strict=True) if name != CONTROL])
    for row, (name, interval) in enumerate(zip(names, intervals, strict=True)):
        if interval.known:
            _draw_dot(axes, row, interval, name, row == 0 or _apart(table, name, measure))
            put_value(axes, row, _digits(interval.value))
        else:
            put_value(axes, row, style.NOT_RUN if table["seeds"].iloc[row] == 0 else "–")


def _digits(value: float) -> str:
    """Three decimals below 1, three digits from there on."""
    return f"{value:.3f}" if abs(value) < 1 else f"{value:#.3g}".rstrip(".")


def _draw_reference(axes: Axes, interval: Interval) -> None:
    if interval.bounded:
        axes.axvspan(interval.low, interval.high, color="#eeeeee", zorder=0)
    if interval.known:
        axes.axvline(interval.value, color=style.FAINT, linewidth=0.9, zorder=1, gid="reference")


def _limit(axes: Axes, intervals: Sequence[Interval]) -> None:
    """An axis that spans all intervals, with few ticks."""
    ends = np.array([end for interval in intervals for end in interval if np.isfinite(end)])
    if len(ends):
        margin = 0.08 * (ends.max() - ends.min()) or 0.05 * abs(ends.max()) or 0.05
        axes.set_xlim(ends.min() - margin, ends.max() + margin)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(PLAIN)


def _apart(table: pd.DataFrame, name: str, measure: str) -> bool:
    """Whether the paired difference from the reference leaves zero out; so for measures that have none."""
    change = read_interval(table, name, f"{measure}_change")
    return not change.bounded or change.low > 0 or change.high < 0


def _draw_dot(axes: Axes, row: int, interval: Interval, name: str, filled: bool) -> None:
    """A marker with whiskers, or one at the edge: phases and controls look as everywhere, scenarios are in ink."""
    colour, marker, _ = style.look(name) if name in style.LOOKS else (style.INK, "o", name)
    low, high = axes.get_xlim()
    if not low <= interval.value <= high:  # a control would squeeze the members, which differ by less
        edge, marker = (low, "<") if interval.value < low else (high, ">")
        axes.plot(edge, row, marker, color=colour, markersize=4, clip_on=False)
        return
    errors = np.array([interval.errors]).T if interval.bounded else None
    axes.errorbar(
        interval.value, row, xerr=errors, fmt=marker, color=colour, markersize=4, capsize=4.5, elinewidth=1.2,
        markerfacecolor=colour if filled else "white",
    )  # fmt: skip


def _draw_crossed(row: Sequence[Axes], table: pd.DataFrame, effects: pd.DataFrame) -> None:
    """Two lines a panel: along x the first change is made, the dashed line has made the second."""
    for axes, (quantity, title) in zip(row, CROSSED.items(), strict=True):
        axes.set_title(title)
        cells = [read_interval(table, str(name), quantity) for name in table["name"]]
        if all(cell.known for cell in cells):
            _draw_quantity(axes, quantity, cells)
            axes.set_xlabel(_interaction(effects, quantity), size=7)
        else:
            style.say(axes, "not recorded in all four")
    first, second = (str(change) for change in table["changes"].iloc[1:3])
    told = ["2 x 2, along x:", first, "dashed line changed, solid unchanged:", second]
    row[0].annotate(
        "\n".join(line for text in told for line in textwrap.wrap(text, WRAP)), (0, 0.5), xytext=(-46, 0), size=6,
        xycoords="axes fraction", textcoords="offset points", ha="right", va="center", color=style.INK,
    )  # fmt: skip


def _draw_quantity(axes: Axes, quantity: str, cells: Sequence[Interval]) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(PLAIN)
    for second_made, pair in ((False, cells[:2]), (True, cells[2:])):
        _draw_line(axes, pair, second_made)
    if quantity not in NATS:
        style.scale_y(axes)
    axes.set_xlim(-0.25, 1.25)
    axes.set_xticks([0, 1], ["unchanged", "changed"])


def _draw_line(axes: Axes, pair: Sequence[Interval], second_made: bool) -> None:
    """From before to after the first change."""
    colour, line = (style.LOOKS["phase1"].colour, "--") if second_made else (style.INK, "-")
    x = np.arange(2) + (0.03 if second_made else -0.03)  # so that whiskers stand side by side
    values = [cell.value for cell in pair]
    errors = np.array([cell.errors for cell in pair]).T if all(cell.bounded for cell in pair) else None
    drawn = axes.errorbar(
        x, values, yerr=errors, color=colour, linestyle=line, marker="o", markersize=4, capsize=3, elinewidth=1.0
    )
    drawn.lines[0].set_gid("changed" if second_made else "unchanged")


def _interaction(effects: pd.DataFrame, quantity: str) -> str:
    found = effects[(effects["quantity"] == quantity) & (effects["effect"] == INTERACTION)]
    if found.empty:
        return "interaction: –"
    value, low, high = (float(found[column].iloc[0]) for column in ("value", "low", "high"))
    bounds = f"\n[{low:+.2g}, {high:+.2g}]" if np.isfinite(low) else ""
    return f"interaction {value:+.2g}{bounds}"
