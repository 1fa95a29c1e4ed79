"""Rules as text, and which of them are held out.

A rule is written as its steps joined by `|`: `recolour(3>5)|flip_rows`. Training sequences are seen in permuted colours
and in all symmetries of the square, so a rule held out by its text would be seen in other colours or directions. What
is held out is its *kin*: all rules that a view could make of it, and some more.
"""

import re
from functools import cache
from hashlib import blake2b
from operator import itemgetter
from typing import NamedTuple

from arcjepa.primitives import NEW, OLD, PRIMITIVES, ROUNDS, Step, Values, step_of, width_of

BUCKETS = 10  # so that a tenth of the kin are held out
TURNED = {"flip_rows": "flip", "flip_cols": "flip", "transpose": "transpose", "antitranspose": "transpose"}
"""Primitives that are one another's views, by a common name."""
SIDED = dict.fromkeys(("top", "bottom", "left", "right"), "outermost") | {
    "tallest": "longest",
    "widest": "longest",
    "upright": "oblong",
    "flat": "oblong",
    "height": "side",
    "width": "side",
}
"""Selectors and keys that are one another's views, by a common name."""
SYNONYMS: dict[tuple[str, int | str | None], tuple[str, int | str | None]] = {
    ("hollow", None): ("hollow_objects", "all"),
    ("outline", None): ("outline_objects", "all"),
    ("flatten", None): ("recolour_objects", "all"),
    ("fill_boxes", None): ("fill_objects", "all"),
    ("drop_specks", None): ("delete_objects", "single"),
    ("recolour_inside", None): ("recolour_degree", 4),
    ("size_classes", 1): ("recolour_objects", "single"),
    ("box_objects", "single"): ("outline_objects", "single"),
    ("box_objects", "straight"): ("outline_objects", "straight"),
    ("keep_objects", "inner"): ("delete_objects", "border"),
    ("keep_objects", "border"): ("delete_objects", "inner"),
    ("keep_objects", "plural"): ("delete_objects", "single"),
    ("keep_objects", "single"): ("delete_objects", "plural"),
    ("keep_objects", "symmetric"): ("delete_objects", "asymmetric"),
    ("keep_objects", "asymmetric"): ("delete_objects", "symmetric"),
    ("move_objects", "all"): ("translate", None),
}
"""Two names of one rule: a primitive, with the first of its values or any, and the other name with its first value,
or with the rest of the values alone. Where one applies and the other does not, they are one rule all the same."""
Program = tuple[Step, ...]


def rule_text(program: Program) -> str:
    """The canonical text of a program."""
    return "|".join(map(str, program))


def parse_program(rule: str) -> Program:
    """The steps of a rule's text; ValueError names a step that is not in the table."""
    return tuple(_parse_step(text) for text in rule.split("|"))


def _parse_step(text: str) -> Step:
    match = re.fullmatch(r"(\w+)(?:\(([^()]+)\))?", text)
    if match is None or match[1] not in PRIMITIVES:
        raise ValueError(f"step {text!r}: not a primitive; allowed: {', '.join(PRIMITIVES)}")
    words = re.split("[,>]", match[2]) if match[2] else []
    values: Values = tuple(int(word) if re.fullmatch(r"-?\d+", word) else word for word in words)
    return step_of(PRIMITIVES[match[1]], values)


def kin(program: Program) -> str:
    """One text for a rule and all that its views show, coarser than need be: which rules are told apart.

    Steps in the order of their names, colours numbered as they come, directions and axes without a sense: rules that
    commute, or differ by a turn, a mirror or the names of colours, have one kin. Swaps and cycles come last, as the
    order of their own colours says nothing.
    """
    if len(program) == 1:
        return _kin_of_one(program[0])
    return _joined(sorted(map(_outline, program), key=_PLACE))


@cache
def _kin_of_one(step: Step) -> str:
    return _joined([_outline(step)])


def _joined(steps: "list[_Outline]") -> str:
    colours: dict[str, int] = {}
    return "|".join([step.text or f"{step.name}({_numbered(step, colours)})" for step in steps])


def independent(task_id: str, rule: str) -> str:
    """What a task is an independent draw of: the kin of its rule, or the task itself where the rule is unknown ("").

    Tasks of one kin are no independent draws: they stand on one side of a split, and intervals resample them as one.
    """
    return kin(parse_program(rule)) if rule else task_id


def bucket(kin: str) -> int:
    """A stable hash of a kin, 0..9."""
    return int.from_bytes(blake2b(kin.encode(), digest_size=8).digest(), "big") % BUCKETS


def is_held_out(program: Program) -> bool:
    """Whether a rule is kept for evaluation, with all its kin."""
    return bucket(kin(program)) == 0


def plain(step: Step) -> Step:
    """The step by the one of its names that others share."""
    for first, rest in ((None, step.values), (next(iter(step.values), None), step.values[1:])):
        if (step.primitive.name, first) in SYNONYMS:
            name, value = SYNONYMS[step.primitive.name, first]
            return step_of(PRIMITIVES[name], tuple(rest) if value is None else (value, *rest))
    return step


class _Outline(NamedTuple):
    """What the views leave of a step."""

    place: tuple[bool, str, tuple[str, ...]]
    """Where it stands among the steps of its kin, the same whatever the colours: whether the order of its colours says
    nothing, name, values without the colours."""
    text: str
    """What stands for it where it has no colours, else ""."""
    values: tuple[str, ...]
    """Its values, colours among them."""
    coloured: tuple[bool, ...]
    """Which of the values are colours."""

    @property
    def name(self) -> str:
        return self.place[1]


_PLACE = itemgetter(0)


@cache
def _outline(step: Step) -> _Outline:
    step = plain(step)
    found = list(_unturned(step))
    name = step.primitive.name
    coloured = tuple(kind in (OLD, NEW) for _, kind in found)
    fixed = tuple(value for value, kind in found if kind not in (OLD, NEW))
    place = (name in ROUNDS, TURNED.get(name, name), fixed)
    text = "" if any(coloured) else f"{place[1]}({','.join(fixed)})"
    return _Outline(place, text, tuple(value for value, _ in found), coloured)


def _numbered(step: _Outline, colours: dict[str, int]) -> str:
    """Its values, colours numbered as they come; `colours` grows by those that it names."""
    if step.place[0]:
        return ",".join(sorted(str(colours.get(value, "*")) for value in step.values))
    pairs = zip(step.values, step.coloured, strict=True)
    return ",".join(str(colours.setdefault(v, len(colours))) if coloured else v for v, coloured in pairs)


def _unturned(step: Step) -> list[tuple[str, str]]:
    """What turns and mirrors leave of each value, with its kind."""
    rest, found = list(step.values), []
    for kind in step.primitive.kinds:
        values = [rest.pop(0) for _ in range(width_of(kind))]
        if kind in ("way", "axis", "step", "quarter", "up_down"):
            left = kind
        elif kind in ("offset", "tiles"):
            left = "x".join(str(size) for size in sorted(abs(int(value)) for value in values))
        elif kind == "degrees":
            left = str(min(int(values[0]), 360 - int(values[0])))
        else:
            left = SIDED.get(str(values[0]), str(values[0]))
        found.append((left, kind))
    return found
