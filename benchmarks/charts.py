"""Charts of cost against size, in the project's style."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chart:
    """One chart: a measure against a size, a line for each form."""

    name: str
    title: str
    x: str
    y: str
    fixed: dict[str, float] = field(default_factory=dict)
    """Other sizes, where there are several."""
    lacking: str = ""
    """Rows that have this measure are left out: they are of another comparison."""


COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B5529A", "#E69F00", "#56B4E9", "#777777")
MARKERS = "osD^vPX"
Lines = dict[str, list[tuple[float, float]]]


def draw(charts: Sequence[Chart], rows: Sequence[Row], folder: Path, stamp: str) -> list[Path]:
    """Write those charts that have a line of two points, as .svg and .png; returns the .png files."""
    from arcjepa.figures import style

    written = []
    for chart in charts:
        lines = {name: points for name, points in _lines(chart, rows).items() if len(points) > 1}
        if lines:
            written.append(style.save(_drawn(chart, lines), folder / chart.name, stamp)[1])
    return written


def _lines(chart: Chart, rows: Sequence[Row]) -> Lines:
    """Points from small to large by form; what else was varied is as in the most rows."""
    groups: dict[str, dict[tuple[tuple[str, float], ...], list[tuple[float, float]]]] = {}
    for row in rows:
        value = row.values.get(chart.y)
        wanted = chart.x in row.at and chart.fixed.items() <= row.at.items() and chart.lacking not in row.values
        if wanted and isinstance(value, float) and value > 0:
            others = tuple(item for item in row.at.items() if item[0] != chart.x)
            groups.setdefault(row.form, {}).setdefault(others, []).append((row.at[chart.x], value))
    return {form: sorted(max(kinds.values(), key=len)) for form, kinds in groups.items()}


def _drawn(chart: Chart, lines: Lines) -> "Figure":
    from arcjepa.figures import style

    with style.styled():
        fixed = "".join(f", {name} {value:,.0f}" for name, value in chart.fixed.items())
        key = f"{chart.y} against {chart.x}{fixed} · both axes logarithmic · grey: growth in proportion"
        figure, grid = style.panels(style.Layout(1, 1, 4.2, 2.6, right=1.6), chart.title, key)
        axes = grid[0, 0]
        for index, (form, points) in enumerate(lines.items()):
            x, y = zip(*points, strict=True)
            colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
            axes.plot(x, y, color=colour, marker=marker, markersize=4, linewidth=1.4, gid=f"curve-{form}")
        _scale(axes, lines)
        axes.set(xlabel=chart.x, ylabel=chart.y)
        ends = [(points[-1][1], form, COLOURS[i % len(COLOURS)]) for i, (form, points) in enumerate(lines.items())]
        style.label_ends(axes, ends)
    return figure


def _scale(axes: "Axes", lines: Lines) -> None:
    """Log axes, and a grey line of growth in proportion from where the first form begins."""
    from arcjepa.figures import style

    values = [y for points in lines.values() for _, y in points]
    sizes = sorted({x for points in lines.values() for x, _ in points})
    axes.set_xscale("log")
    style.log_y(axes, min(values) / 1.6, max(values) * 1.6)
    start = next(iter(lines.values()))[0]
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.15)
    guide = [start[1] * size / start[0] for size in sizes]
    axes.plot(sizes, guide, color=style.FAINT, linewidth=1.0, linestyle="--", zorder=0)
