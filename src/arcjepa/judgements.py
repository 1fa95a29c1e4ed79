"""Answers about the runs, with the numbers that they rest on: what gates and risks have in common.

Phases are compared by paired differences of `val_nce`: an interval that leaves zero out decides.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from arcjepa.evidence import MEASURE, NOT_RUN, Evidence, changes, mechanisms, nats, worse

YES, NO, UNKNOWN = "yes", "no", "cannot be judged"


@dataclass(frozen=True)
class Judgement:
    """An answer."""

    state: str
    """YES, NO or UNKNOWN."""
    numbers: str
    """What it was judged by, with what is allowed."""
    why: str = ""
    """Why it cannot be judged, or what else may be the cause."""


Condition = Callable[[Evidence], Judgement]
Pair = tuple[str, str]
"""Names of the phases before and after a change."""


def of(*names: str) -> Callable[[Callable[..., Judgement]], Condition]:
    """Give a condition the runs of these phases; it cannot be judged where one was not run."""

    def given(judge: Callable[..., Judgement]) -> Condition:
        def condition(evidence: Evidence) -> Judgement:
            if absent := [name for name in names if name not in evidence.trained]:
                return Judgement(UNKNOWN, "", f"{', '.join(absent)}: {NOT_RUN}")
            return judge(evidence, *(evidence.trained[name] for name in names))

        condition.__doc__, condition.__name__ = judge.__doc__, judge.__name__
        return condition

    return given


def comparison(evidence: Evidence, pair: Pair) -> str:
    """ "phase1 on baseline: val_nce -0.02 [-0.08, 0.04] nats"; says so where one was not measured."""
    before, after = pair
    gap = evidence.paired(before, after)
    if math.isnan(gap[0]):
        return f"{after} on {before}: {MEASURE} was not measured"
    return f"{after} on {before}: {MEASURE} {nats(gap, '+')}"


def harm(evidence: Evidence, pair: Pair, part: str) -> Judgement:
    """Whether the second of a pair is worse, and which mechanisms other than `part` changed too."""
    harmed = worse(evidence.paired(*pair))
    before, after = (evidence.trained[name] for name in pair)
    others = mechanisms(changes(before, after, part)) if part else []
    why = f"changed too: {', '.join(others)}" if others else ""
    if harmed is None:
        return Judgement(UNKNOWN, "", comparison(evidence, pair))
    return Judgement(YES if harmed else NO, comparison(evidence, pair), why)


def answer(found: bool) -> str:
    return YES if found else NO


def listed(found: Sequence[str]) -> str:
    """ "findings: plateau, memorisation", or that there are none."""
    return f"findings: {', '.join(dict.fromkeys(found)) or 'none'}"
