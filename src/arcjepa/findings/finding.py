"""A finding, and the rule that can make one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.records import Axis, Record

Severity = Literal["critical", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "note")
Number = float | int | str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run."""

    name: str
    severity: Severity
    """critical: the run is lost or its numbers mislead; warning: it costs quality; note: worth knowing."""
    summary: str
    """What is wrong, in one sentence with its numbers."""
    numbers: Mapping[str, Number]
    threshold: str
    """The key of the threshold that was crossed, without its section `diagnosis`."""
    limit: float
    """Its value."""
    cause: str
    advice: str
    axis: Axis = ""
    """What first and last count; "" where nothing is recorded."""
    first: int | None = None
    last: int | None = None
    experiments: tuple[str, ...] = field(default=())
    """The changes to try, as lines to type."""
    follows: str = ""
    """The finding that it is a consequence of."""

    @property
    def where(self) -> str:
        """ "epochs 30-71", "step 3000" or "throughout"."""
        if not self.axis or self.first is None:
            return "throughout"
        if self.last is None or self.first == self.last:
            return f"{self.axis} {self.first}"
        return f"{self.axis}s {self.first}-{self.last}"


@dataclass(frozen=True)
class Skipped:
    """Why a rule says nothing: what the record lacks, or why the rule does not apply to such a run."""

    reason: str
    applies: bool = True
    """False where the run has no such mechanism."""


@dataclass(frozen=True)
class Rule:
    """Looks for one fault. `needs`: columns that it reads, each with its alternatives parted by a bar."""

    name: str
    judge: Callable[[Record, Thresholds], Finding | Skipped | None]
    needs: tuple[str, ...] = ()
    off: Callable[[Record], str] = lambda record: ""
    """Why it does not apply to such a run, "" where it does or where that is unknown."""

    def apply(self, record: Record, thresholds: Thresholds) -> Finding | Skipped | None:
        """A finding; None where nothing is wrong; Skipped where that cannot be said."""
        if reason := self.off(record):
            return Skipped(reason, applies=False)
        if lacking := [need for need in self.needs if not record.has(*need.split("|"))]:
            return Skipped("lacks " + ", ".join(need.replace("|", " or ") for need in lacking))
        return self.judge(record, thresholds)
