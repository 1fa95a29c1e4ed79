"""What all figures share: one look per phase and control, panels in inches, direct labels, and saving.

Lengths are inches. A figure is laid out by hand (no layout engine), so equal data give equal bytes.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import style as mpl_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

STYLE = Path(__file__).parent.parent / "style.mplstyle"
PHASES = ("baseline", "phase1", "phase2", "phase3")
CONTROLS = ("untrained", "tokens", "copy")
GREY, FAINT, INK = "#777777", "#bbbbbb", "#222222"
ANALYSED = "analysed"
"""The run that the analysis is about: it has no name of a phase."""
NOT_RUN = "not run"
NARROWEST = 6.5  # inches: the key of a figure with a single panel needs them


class Look(NamedTuple):
    """How a phase or control is drawn in every figure: told apart by colour, by marker and by its label."""

    colour: str
    marker: str
    label: str


# Okabe and Ito's palette, safe for colour-blind readers; controls are greys.
LOOKS = {
    "baseline": Look("#0072B2", "o", "baseline"),
    "phase1": Look("#D55E00", "s", "phase1"),
    "phase2": Look("#009E73", "^", "phase2"),
    "phase3": Look("#B5529A", "D", "phase3"),
    "untrained": Look("#444444", "X", "untrained encoder"),
    "tokens": Look("#808080", "P", "hand-made tokens"),
    "copy": Look("#AAAAAA", "v", "copy of the query"),
    ANALYSED: Look("#777777", "x", "analysed run"),
}
_FURTHER = (("#56B4E9", "<"), ("#E69F00", ">"), ("#8C6D1F", "p"), ("#332288", "h"))


def look(name: str) -> Look:
    """The look of `name`; a phase that is not one of the four gets one that depends on its name alone."""
    if name in LOOKS:
        return LOOKS[name]
    colour, marker = _FURTHER[zlib.crc32(name.encode()) % len(_FURTHER)]
    return Look(colour, marker, name)


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib's defaults plus style.mplstyle, whatever the user's own matplotlibrc says. Also a decorator."""
    with mpl_style.context(["default", STYLE]):
        yield


@dataclass(frozen=True)
class Layout:
    """A grid of `rows` x `columns` equal panels, each `width` x `height`, with these margins and gaps between."""

    rows: int
    columns: int
    width: float
    height: float
    left: float = 0.75
    right: float = 0.85
    top: float = 1.0
    bottom: float = 0.8
    gap_x: float = 1.3
    gap_y: float = 0.4

    @property
    def size(self) -> tuple[float, float]:
        """Of the whole figure."""
        across = self.columns * self.width + (self.columns - 1) * self.gap_x
        down = self.rows * self.height + (self.rows - 1) * self.gap_y
        return self.left + across + self.right, self.top + down + self.bottom


def panels(
    layout: Layout, title: str, key: str, missing: Sequence[str] = (), note: str = ""
) -> tuple[Figure, np.ndarray]:
    """A titled figure and its axes (rows, columns). `key` says how to read it; `missing` and `note` lie beneath."""
    if not missing and not note:
        layout = replace(layout, top=layout.top - 0.17)
    layout = replace(layout, right=layout.right + max(0, NARROWEST - layout.size[0]))
    figure = Figure(figsize=layout.size)
    head(figure, title, key, missing, note)
    width, height = layout.size
    axes = np.empty((layout.rows, layout.columns), object)
    for row, column in np.ndindex(axes.shape):
        x = layout.left + column * (layout.width + layout.gap_x)
        y = height - layout.top - row * (layout.height + layout.gap_y) - layout.height
        axes[row, column] = figure.add_axes((x / width, y / height, layout.width / width, layout.height / height))
    return figure, axes


def head(figure: Figure, title: str, key: str, missing: Sequence[str] = (), note: str = "") -> None:
    """Title, key, and the phases that have no data with a further note: one line each, from the top left corner."""
    figure.text(*_corner(figure, 0.24), title, size=11, weight="bold", color=INK, va="center")
    figure.text(*_corner(figure, 0.46), key, size=7.5, color=GREY, va="center")
    names = f"{NOT_RUN}: {', '.join(look(name).label for name in missing)}" if missing else ""
    figure.text(*_corner(figure, 0.65), "  ·  ".join(filter(None, (names, note))), size=7.5, color=INK, va="center")


def _corner(figure: Figure, down: float) -> tuple[float, float]:
    return 0.15 / figure.get_figwidth(), 1 - down / figure.get_figheight()


def absent(expected: Iterable[str], present: Collection[str]) -> list[str]:
    """The expected names that are not present, in order."""
    return [name for name in expected if name not in present]


def say(axes: Axes, text: str) -> None:
    """An empty panel that says why it is empty."""
    axes.grid(False)
    axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
    axes.spines[:].set_visible(False)
    axes.patch.set_visible(False)  # else it would hide the label of the panel above
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, size=7.5)


@dataclass(frozen=True)
class Curve:
    """A column over epochs or steps, for one name: mean over seeds, with the range of the seeds."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def curve(frame: pd.DataFrame, x: str, column: str) -> Curve | None:
    """The finite part of `column` against `x` over all seeds in `frame`; None where there is nothing to draw."""
    if column not in frame:
        return None
    at, values = frame[x].to_numpy(float), frame[column].to_numpy(float)
    finite = np.isfinite(values)
    if not finite.any():
        return None
    at, values = at[finite], values[finite]
    order = np.argsort(at, kind="stable")
    places, starts, counts = np.unique(at[order], return_index=True, return_counts=True)
    values = values[order]
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    return Curve(places, np.add.reduceat(values, starts) / counts, low, high)


def draw_curve(axes: Axes, drawn: Curve, name: str, line: str = "-", marked: bool = True) -> None:
    """A line in the colour of `name` with a band over seeds; few markers, but a lone point is always marked."""
    colour, marker, _ = look(name)
    every = max(1, len(drawn.x) // 8)
    # Each look starts its markers elsewhere, so that lines that lie on one another show theirs in turn.
    first = list(LOOKS).index(name) % every if name in LOOKS else 0
    single = len(drawn.x) == 1
    axes.plot(
        drawn.x, drawn.mean, color=colour, linestyle=line, marker=marker if marked or single else "",
        markevery=(first, every), markersize=4 if marked else 2.5, linewidth=1.4 if marked else 1.0,
        gid=f"curve-{name}",
    )  # fmt: skip
    if (drawn.high > drawn.low).any():
        axes.fill_between(drawn.x, drawn.low, drawn.high, color=colour, alpha=0.15, linewidth=0)


def draw_ring(axes: Axes, drawn: Curve, name: str) -> None:
    """A ring around the lowest value."""
    best = int(drawn.mean.argmin())
    axes.plot(drawn.x[best], drawn.mean[best], "o", ms=9, mfc="none", mec=look(name).colour, gid=f"best-{name}")


def draw_analysed(
    axes: Axes, printed: pd.DataFrame, x: str, column: str, last: float, marked: bool = True
) -> list[tuple[float, str, str]]:
    """What the analysis prints of its run, stretched so that its training ends at `last`; the label of its end.

    `printed`: its epochs or steps by column `x`, up to the last one of the run. No label where nothing is printed.
    """
    drawn = curve(printed.assign(**{x: printed[x] * last / printed[x].max()}), x, column)
    if drawn is None:
        return []
    draw_curve(axes, drawn, ANALYSED, "--" if marked else ":", marked)
    return [(float(drawn.mean[-1]), look(ANALYSED).label, look(ANALYSED).colour)]


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Labels (y, text, colour) right of the panel at the height of the lines' ends, moved apart if too close."""
    if not ends:
        return
    height = axes.get_position().height * inches(axes)[1] * 72  # points
    to_axes = axes.transData + axes.transAxes.inverted()
    x = axes.get_xlim()[1]
    wanted = np.array([to_axes.transform((x, y))[1] for y, _, _ in ends])
    placed = spread(np.clip(wanted, 0, 1), 8.5 / height)
    for (_, text, colour), y in zip(ends, placed, strict=True):
        axes.annotate(
            text, (1, y), xytext=(4, 0), xycoords="axes fraction", textcoords="offset points",
            size=7, color=colour, va="center", annotation_clip=False,
        )  # fmt: skip


def inches(axes: Axes) -> tuple[float, float]:
    """Width and height of the figure that holds `axes`."""
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes belong to a figure"
    return figure.get_figwidth(), figure.get_figheight()


def spread(positions: np.ndarray, gap: float) -> np.ndarray:
    """Positions at least `gap` apart, in the same order and with the same mean in every run that had to move.

    Shape: positions (n,) -> (n,). Pool-adjacent-violators on the gaps: the least total movement.
    """
    order = np.argsort(positions, kind="stable")
    groups: list[tuple[float, int]] = []  # mean of (position - index * gap), count
    for index, position in enumerate(positions[order]):
        mean, count = position - index * gap, 1
        while groups and groups[-1][0] > mean:
            before, number = groups.pop()
            mean, count = (before * number + mean * count) / (number + count), number + count
        groups.append((mean, count))
    placed = np.empty(len(positions))
    placed[order] = np.repeat([mean for mean, _ in groups], [n for _, n in groups]) + gap * np.arange(len(order))
    return placed


def scale_y(axes: Axes, wide: float = 30) -> None:
    """A log axis where what is drawn is positive and spans more than a factor `wide`, else a linear one.

    A linear axis spans at least half of the largest value, so that noise about a constant looks like a constant.
    """
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines] or [np.empty(0)])
    if len(values) and values.min() > 0 and values.max() > wide * values.min():
        log_y(axes, values.min() / 1.5, values.max() * 1.5)
    elif len(values):
        middle, span = (values.max() + values.min()) / 2, values.max() - values.min()
        reach = 0.6 * max(span, np.abs(values).max() / 2, 1e-12)
        axes.set_ylim(middle - reach, middle + reach)
        axes.yaxis.set_major_locator(MaxNLocator(4))


def log_y(axes: Axes, low: float, high: float) -> None:
    """A log axis from `low` to `high`, with few labels but always several: 1, 2 and 5 where decades are scarce."""
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    decades = np.log10(high / low)
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if decades > 2 else (1, 2, 5), numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
    if decades <= 2:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def whole_x(axes: Axes, label: str | None, ticks: int = 6) -> None:
    """Whole numbers on the x axis; labels only where `label` is given (the bottom row)."""
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    if label is None:
        axes.tick_params(labelbottom=False)
    else:
        axes.set_xlabel(label)


def save(figure: Figure, path: Path | str, stamp: str) -> tuple[Path, Path]:
    """Write `path` as .svg and .png with `stamp` (commit and params hash) in small grey type at the foot.

    Equal figures give equal bytes: no date, no version, salted ids. The figure itself is left as it was.
    """
    path = Path(path)
    outputs = path.with_suffix(".svg"), path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        foot = 0.12 / figure.get_figheight()
        text = figure.text(0.15 / figure.get_figwidth(), foot, stamp, size=5.5, color=FAINT, va="center")
        figure.savefig(outputs[0], metadata={"Date": None, "Creator": None})
        figure.savefig(outputs[1], metadata={"Software": None})
        text.remove()
    return outputs


def stamp(commit: str, params_hash: str) -> str:
    """The foot of a figure: which code and which settings made it."""
    return f"arcjepa  ·  commit {commit[:12]}  ·  params {params_hash[:12]}"
