"""What scenarios change: settings compared leaf by leaf, and what kind of set follows from it.

The workflow asks when it starts, so nothing slow is imported.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from arcjepa.config import resolved
from arcjepa.params import leaves
from arcjepa.settings import Phase

ABSENT = None
"""In place of a value that nothing reads, as its mechanism is off. No setting has it for a value."""
Changes = dict[str, tuple[Any, Any]]
"""Leaf to its values before and after."""


def changes(before: Phase, after: Phase) -> Changes:
    """The leaves that differ between two phases or scenarios, of those that are read."""
    old, new = ({".".join(path): value for path, value in leaves(resolved(phase))} for phase in (before, after))
    both = dict.fromkeys([*old, *new])
    pairs = {leaf: (old.get(leaf, ABSENT), new.get(leaf, ABSENT)) for leaf in both}
    return {leaf: pair for leaf, pair in pairs.items() if pair[0] != pair[1]}


def told(changed: Changes) -> dict[str, str]:
    """Leaf to "leaf before → after", or "leaf = after" where it was not read before.

    Leaves that are read no more are left out: another leaf's choice says so.
    """
    return {
        leaf: f"{leaf} = {_text(new)}" if old is ABSENT else f"{leaf} {_text(old)} → {_text(new)}"
        for leaf, (old, new) in changed.items()
        if new is not ABSENT
    }


def describe(changed: Changes) -> str:
    """The changes in one line."""
    return "; ".join(told(changed).values())


def is_crossed(phases: Sequence[Phase]) -> bool:
    """Whether these are a 2 x 2: a reference, one change, another one of other leaves, and both."""
    if len(phases) != 4:
        return False
    one, other, both = (changes(phases[0], phase) for phase in phases[1:])
    return bool(one) and bool(other) and not one.keys() & other.keys() and both == one | other


def compares_forms(phases: Sequence[Phase]) -> bool:
    """Whether the relational loss is raw in one of them and normalised in another."""
    terms: list[Mapping[str, Any]] = [resolved(phase.loss.relational) for phase in phases]
    return len({term["form"] for term in terms if term["enabled"]}) > 1


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
