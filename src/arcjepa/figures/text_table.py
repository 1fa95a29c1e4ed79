"""Tables of words as figures: rows of wrapped texts, in blocks. Lengths are inches."""

import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arcjepa.figures import style
from arcjepa.figures.palette import canvas

TOP, LABEL = 0.8, 0.15  # where headings begin, and the names of blocks
LINE, FIRST, GAP = 0.135, 0.12, 0.09  # line to line, the first baseline below the top of a row, and between rows
_WHOLE = re.compile(r"\[[-+.\d]+, [-+.\d]+\]|(?:allowed|needed|findings): \S+|-S | %")
Cells = Mapping[str, str]
Ink = Callable[[str, Cells], tuple[str, str]]
"""Colour and weight of a cell, by the name of its column and its row."""


@dataclass(frozen=True)
class Column:
    """A column of the table: where it begins, and how many characters fit."""

    name: str
    left: float
    wrap: int
    title: str = ""


@dataclass(frozen=True)
class Layout:
    """A table's columns, its width, how its cells are inked, and labels of blocks that are no phases."""

    columns: Sequence[Column]
    width: float
    ink: Ink
    labels: Mapping[str, str] = field(default_factory=dict)


def text(value: str | float | None) -> str:
    """A cell's value as words: numbers with three digits, "" for NaN."""
    if isinstance(value, str):
        return value
    number = float("nan") if value is None else value
    return "" if math.isnan(number) else f"{number:.3g}"


def cells(row: pd.Series, columns: Sequence[Column]) -> dict[str, str]:
    """A row's texts by column, not yet wrapped."""
    return {column.name: text(row.get(column.name)) for column in columns}


def draw_blocks(
    layout: Layout, blocks: Mapping[str, Sequence[Cells]], title: str, key: str, missing: Sequence[str] = ()
) -> Figure:
    """One block of rows per name, in its colour; a block without rows was not run."""
    wrapped = {name: [_wrapped(row, layout.columns) for row in rows] for name, rows in blocks.items()}
    rows = [row for block in wrapped.values() for row in block or [{}]]
    height = TOP + 0.65 + sum(map(_height, rows)) + 0.15 * len(blocks)
    figure, axes = canvas(layout.width, height)
    style.head(figure, title, key, missing)
    for column in layout.columns:
        heading = column.title or column.name
        axes.text(column.left, TOP + 0.1, heading, size=7, weight="bold", color="#444444", va="center")
    y = TOP + 0.25
    for name, block in wrapped.items():
        y = _draw_block(axes, layout, name, block, y)
    return figure


def fill(words: str, width: int) -> str:
    """Words wrapped; an option of a command (-S key=value), an interval, a limit and a percentage keep to one line."""
    whole = _WHOLE.sub(lambda found: found[0].replace(" ", "\u00a0"), words)
    return textwrap.fill(whole, width, break_on_hyphens=False)


def _wrapped(row: Cells, columns: Sequence[Column]) -> dict[str, str]:
    return {
        column.name: "\n".join(fill(part, column.wrap) for part in row.get(column.name, "").split("\n"))
        for column in columns
    } | {name: value for name, value in row.items() if name not in {column.name for column in columns}}


def _height(row: Cells) -> float:
    return LINE * max([1, *(value.count("\n") + 1 for value in row.values())]) + GAP


def _draw_block(axes: Axes, layout: Layout, name: str, rows: Sequence[Cells], y: float) -> float:
    """Draw the rows of a name from `y` down; returns where the next block starts."""
    axes.plot([LABEL, layout.width - LABEL], [y, y], color=style.FAINT, linewidth=0.8)
    y += 0.075
    colour = style.look(name).colour if name in style.LOOKS else style.INK
    axes.text(LABEL, y + FIRST, layout.labels.get(name, style.look(name).label), size=8, weight="bold", color=colour)
    if not rows:
        axes.text(layout.columns[0].left, y + FIRST, style.NOT_RUN, size=7, color=style.GREY)
    for row in rows:
        for column in layout.columns:
            colour, weight = layout.ink(column.name, row)
            draw_lines(axes, row[column.name], (column.left, y), colour, weight)
        y += _height(row)
    return y + (0.075 if rows else _height({}) + 0.075)


def draw_lines(axes: Axes, words: str, place: tuple[float, float], colour: str, weight: str = "normal") -> None:
    """Lines of text from a place (x, y) down."""
    x, y = place
    for number, line in enumerate(words.splitlines()):
        axes.text(x, y + FIRST + LINE * number, line, size=7, va="baseline", color=colour, weight=weight)
