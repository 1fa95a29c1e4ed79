"""The table of primitives: every rule by name, with its parameters and the scenes that show it.

A *step* is a primitive with parameters, written `recolour(3>5)` or `flip_rows`; a *program* is one to three
steps joined by `|`. Parameters belong to the rule: all pairs of a task share them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np

from arcjepa import grid_rules as g
from arcjepa import line_rules as li
from arcjepa import object_rules as o
from arcjepa import size_rules as s
from arcjepa.dice import Dice
from arcjepa.grid_rules import WAYS
from arcjepa.selection import SELECTORS

Values = tuple[int | str, ...]
OLD, NEW = "old", "new"  # kinds of colour: one that every input has, and any other
NEAR = tuple(v for v in product(range(-3, 4), repeat=2) if v != (0, 0))
KINDS: dict[str, tuple[Values, ...]] = {
    "way": tuple((way,) for way in WAYS),
    "axis": (("rows",), ("cols",)),
    "rank": (("commonest",), ("rarest",)),
    "selector": tuple((name,) for name in SELECTORS),
    "offset": NEAR,
    "degrees": ((90,), (180,), (270,)),
    "factor": ((2,), (3,)),
    "step": ((1,), (-1,)),
    "tiles": tuple(v for v in product((1, 2, 3), repeat=2) if v != (1, 1)),
    "lines": ((1,), (2,)),
    "degree": ((0,), (1,), (2,), (3,), (4,)),
    "size": tuple((n,) for n in range(1, 10)),
    "quarter": tuple(product(("up", "down"), ("left", "right"))),
    "operation": (("and",), ("or",), ("xor",), ("nor",)),
    "ring": (("sides",), ("corners",), ("ring",)),
    "growth": (("sides",), ("ring",)),
    "order": (("fullest",), ("emptiest",)),
    "up_down": (("up",), ("down",)),
    "key": tuple((name,) for name in o.KEYS),
}


@dataclass(frozen=True, eq=False)
class Primitive:
    """One kind of rule."""

    function: Callable[..., np.ndarray | None]
    """(grid, *values) -> grid, or None where it does not apply."""
    kinds: tuple[str, ...] = ()
    """Parameters: `KINDS`, or the colours OLD and NEW."""
    styles: tuple[str, ...] = ()
    """Styles of grid that show the rule; () for any."""
    weight: float = 1.0
    """How often it is drawn: more for those with many parameters."""
    colours: int = 10
    """Most colours that its input may have."""
    growth: int = 1
    """Factor by which a side may grow, where the parameters do not say."""
    summary: bool = False
    """Whether the output may be of one colour; such a step can only be the last."""
    family: str = ""
    """Steps of one family in a row would only be another name for a single step of it."""

    @cached_property
    def name(self) -> str:
        """Name of the function."""
        return self.function.__name__

    @cached_property
    def options(self) -> tuple[tuple[Values, ...], ...]:
        """What each parameter may be; () for a colour."""
        return tuple(KINDS.get(kind, ()) for kind in self.kinds)


@dataclass(frozen=True, eq=False)
class Step:
    """A primitive with its parameters; there is one of each, made by `step_of`, so that comparing them is fast."""

    primitive: Primitive
    values: Values
    needs: tuple[int, ...] = ()
    """Colours that its input must have."""
    paints: tuple[int, ...] = ()
    """Colours that it paints with, which its input need not have."""

    @property
    def growth(self) -> int:
        """Factor by which the longer side may grow."""
        scaled = {"factor", "tiles"} & set(self.primitive.kinds)
        grows = scaled and self.primitive.name not in ("downscale", "subsample")
        return max(int(v) for v in self.values if not isinstance(v, str)) if grows else self.primitive.growth

    def apply(self, grid: np.ndarray) -> np.ndarray | None:
        """A C-contiguous grid, or None where the rule does not apply or the output is not 1..30 cells a side."""
        out = self.primitive.function(grid, *self.values)
        if out is None:
            return None
        height, width = out.shape
        return np.ascontiguousarray(out) if 1 <= height <= 30 and 1 <= width <= 30 else None

    def __str__(self) -> str:
        separator = ">" if self.primitive.family == "colours" else ","
        return self.primitive.name + (f"({separator.join(map(str, self.values))})" if self.values else "")


FIGURES = ("objects", "copies", "boxes", "lines", "specks", "walks")
FILLED = ("objects", "boxes", "nested", "specks", "blocks")
ENCLOSED = ("boxes", "boxes", "nested", "panels", "walks")
POINTS = ("dots", "dots", "specks")
SPARSE = (*FIGURES, "dots", "bars", "seeds")
SMALL = ("objects", "copies", "boxes", "specks")


def _of(function: Callable[..., Any], *kinds: str, **options: Any) -> Primitive:
    return Primitive(function, kinds, **options)


_BASE = (  # of the kinds that the analysed run had
    _of(g.flip_rows, family="symmetry"),
    _of(g.flip_cols, family="symmetry"),
    _of(g.rotate, "degrees", family="symmetry"),
    _of(g.translate, "offset", weight=2, styles=SPARSE, family="shift"),
    _of(g.recolour, OLD, NEW, weight=3, family="colours"),
    _of(s.upscale, "factor"),
    _of(s.tile, "tiles"),
    _of(s.crop, styles=SPARSE),
    _of(li.fill, NEW, styles=ENCLOSED),
    _of(li.extend, "way", styles=(*POINTS, "objects", "seeds")),
)
_GRID = (
    _of(g.transpose, family="symmetry"),
    _of(g.antitranspose, family="symmetry"),
    _of(g.wrap, "offset", weight=2, family="shift"),
    _of(g.shear, "axis", "step", styles=("lines", "objects", "bars", "stripes", "tiling")),
    _of(g.swap, OLD, OLD, weight=2, family="colours"),
    _of(g.cycle, OLD, OLD, OLD, weight=2, family="colours"),
    _of(g.recolour_background, NEW, styles=SPARSE),
    _of(g.flatten, NEW),
    _of(g.invert, colours=2),
    _of(g.recolour_ranked, "rank", NEW, weight=2),
    _of(g.keep_ranked, "rank", styles=SPARSE),
    _of(g.drop_ranked, "rank", styles=SPARSE),
    _of(g.keep_colour, OLD, styles=SPARSE),
    _of(g.drop_colour, OLD, styles=SPARSE),
    _of(g.output_ranked, "rank", summary=True),
    _of(g.colour_strip, "axis", summary=True),
    _of(g.checkerboard, NEW, styles=SPARSE),
    _of(g.stripe_background, "axis", "factor", NEW, styles=SPARSE),
    _of(g.alternate, "axis", NEW, styles=(*FIGURES, "bars", "blocks")),
    _of(g.recolour_half, "way", NEW, weight=2, styles=SPARSE),
    _of(g.paint_rows, "axis", styles=POINTS),
    _of(g.midline, "axis", NEW),
    _of(g.frame, NEW),
    _of(g.mirror_half, "way"),
    _of(g.overlay_mirror, "axis", styles=("seeds", "seeds", *FIGURES)),
    _of(g.repair_symmetry, OLD, "axis", styles=("masked_mirror",)),
    _of(g.repair_tiling, OLD, styles=("masked_tiling",)),
    _of(g.swap_halves, "axis"),
    _of(g.sort_lines, "axis", "up_down", styles=("bars", "lines", "objects", "dots")),
)
_SIZE = (
    _of(s.stretch, "axis", "factor"),
    _of(s.upscale_by_colours, growth=2),
    _of(s.downscale, "factor", styles=("blocks",)),
    _of(s.subsample, "axis", "factor"),
    _of(s.join_mirrored, "way", growth=2),
    _of(s.join_turned, "way", growth=2),
    _of(s.kaleidoscope, growth=2),
    _of(s.pinwheel, growth=2),
    _of(s.crop_colour, OLD),
    _of(s.crop_ranked, "rank", styles=SPARSE),
    _of(s.keep_half, "way"),
    _of(s.keep_quarter, "quarter"),
    _of(s.keep_edge, "way", "factor"),
    _of(s.pad, NEW),
    _of(s.pad_edge),
    _of(s.peel, "lines"),
    _of(s.underline, "way", NEW),
    _of(s.squeeze, styles=SPARSE),
    _of(s.merge_equal, styles=("blocks", "stripes", "boxes", "lines")),
    _of(s.overlay_halves, "operation", NEW, weight=3, styles=("halves",)),
    _of(s.stack_halves, "axis", styles=("halves",)),
    _of(s.pick_panel, "order", styles=("panels",)),
    _of(s.odd_panel, styles=("panels",)),
    _of(s.shrink_panels, styles=("panels",)),
    _of(s.fill_panels, styles=("panels",)),
)
_LINES = (
    _of(li.extend_colour, OLD, "way", weight=2, styles=(*POINTS, "objects")),
    _of(li.extend_lines, styles=("lines", "copies", "objects")),
    _of(li.cross, styles=POINTS),
    _of(li.draw_line, "axis", styles=POINTS),
    _of(li.diagonals, styles=("dots",)),
    _of(li.surround, OLD, NEW, "ring", weight=3, styles=POINTS),
    _of(li.connect, "axis", styles=POINTS),
    _of(li.connect_both, styles=POINTS),
    _of(li.gravity, "way", styles=(*SPARSE, "tiling")),
    _of(li.outline, NEW, weight=2, styles=FIGURES),
    _of(li.grow, "growth", styles=(*POINTS, "objects", "walks")),
    _of(li.erode, styles=FILLED),
    _of(li.hollow, styles=FILLED),
    _of(li.recolour_inside, NEW, styles=FILLED),
    _of(li.recolour_rim, NEW, styles=FILLED),
    _of(li.recolour_degree, "degree", NEW, weight=2, styles=(*FIGURES, "bars")),
    _of(li.flood, NEW, styles=ENCLOSED),
    _of(li.fill_own, styles=ENCLOSED),
    _of(li.drop_specks, styles=("specks",)),
    _of(li.fill_boxes, NEW, styles=SMALL),
    _of(li.edge_lines, "way", styles=("seeds", "lines", "dots")),
)
_OBJECTS = (
    _of(o.recolour_objects, "selector", NEW, weight=6, styles=FIGURES),
    _of(o.delete_objects, "selector", weight=2, styles=FIGURES),
    _of(o.keep_objects, "selector", weight=2, styles=FIGURES),
    _of(o.crop_object, "selector", weight=2, styles=SMALL),
    _of(o.outline_objects, "selector", NEW, weight=4, styles=FIGURES),
    _of(o.box_objects, "selector", NEW, weight=3, styles=FIGURES),
    _of(o.hollow_objects, "selector", weight=2, styles=FILLED),
    _of(o.fill_objects, "selector", NEW, weight=3, styles=SMALL),
    _of(o.flip_objects, "selector", "axis", weight=3, styles=("objects", "copies", "walks")),
    _of(o.move_objects, "selector", "offset", weight=5, styles=FIGURES),
    _of(o.copy_objects, "selector", "offset", weight=5, styles=FIGURES),
    _of(o.slide_objects, "selector", "way", weight=4, styles=FIGURES),
    _of(o.mark_centres, "selector", NEW, weight=2, styles=("boxes", "specks", "objects")),
    _of(o.colour_like, "selector", weight=2, styles=FIGURES),
    _of(o.rank_objects, "key", NEW, NEW, NEW, weight=2, styles=FIGURES),
    _of(o.size_classes, "size", NEW, weight=2, styles=FIGURES),
    _of(o.touching, OLD, NEW, weight=2, styles=("lines", "walks", "stripes")),
    _of(o.count_objects, "selector", "axis", NEW, weight=2, styles=FIGURES, summary=True),
    _of(o.chart_objects, "axis", styles=(*FIGURES, "dots"), summary=True),
)
PRIMITIVES: dict[str, Primitive] = {p.name: p for p in _BASE + _GRID + _SIZE + _LINES + _OBJECTS}
ROUNDS = ("swap", "cycle")  # their colours may start with any
BASE: tuple[str, ...] = tuple(p.name for p in _BASE)


def draw_step(dice: Dice, primitive: Primitive) -> Step:
    """The primitive with random parameters; its colours differ from one another."""
    colours: list[int] = []
    values: list[int | str] = []
    for options in primitive.options:
        if options:
            values += dice.pick(options)
            continue
        colour = dice.below(10)
        while colour in colours:
            colour = dice.below(10)
        colours.append(colour)
        values.append(colour)
    return step_of(primitive, tuple(values))


@cache
def step_of(primitive: Primitive, values: Values) -> Step:
    """The step with these values, and the colours that it needs and paints with."""
    if primitive.name in ROUNDS:  # one name for one rule
        start = values.index(min(values))
        if start:
            return step_of(primitive, values[start:] + values[:start])
    colours: dict[str, list[int]] = {OLD: [], NEW: []}
    rest = list(values)
    for kind in primitive.kinds:
        taken = [rest.pop(0) for _ in range(width_of(kind))]
        if kind in colours:
            colours[kind] += [int(value) for value in taken]
    return Step(primitive, values, tuple(colours[OLD]), tuple(colours[NEW]))


def width_of(kind: str) -> int:
    """How many values a kind of parameter has."""
    return 1 if kind in (OLD, NEW) else len(KINDS[kind][0])
