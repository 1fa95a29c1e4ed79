"""Which findings follow from which, so that a cause comes before its consequences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from arcjepa.findings.finding import SEVERITIES, Finding, Skipped

_COLLAPSES = ("complete collapse", "dimensional collapse")
CAUSES: dict[str, tuple[str, ...]] = {
    "vanished gradient": ("learning rate off its schedule", "complete collapse"),
    "complete collapse": ("learning rate off its schedule", "lambda out of range"),
    "dimensional collapse": ("learning rate off its schedule", "lambda out of range", "complete collapse"),
    "embeddings far from Gaussian": ("learning rate off its schedule", "lambda out of range", *_COLLAPSES),
    "contrastive loss at chance": ("learning rate off its schedule", *_COLLAPSES, "vanished gradient"),
    "codebook collapse": _COLLAPSES,
    "saturated SIGReg": ("vanished gradient", "learning rate off its schedule"),
    "rising training loss": ("values that are not finite", "complete collapse", "lambda out of range"),
    "relational share": ("relational explosion",),
    "plateau": (
        *("learning rate off its schedule", "vanished gradient", "contrastive loss at chance"),
        "rising training loss",
    ),
    "growing gradients": ("rising training loss",),
}
"""What a finding may be a consequence of, the likeliest first."""
HIDDEN: dict[str, tuple[str, ...]] = {
    "broken relation": (
        *("learning rate off its schedule", "lambda out of range", *_COLLAPSES),
        *("rising training loss", "vanished gradient", "queue not filled"),
    ),
}
"""What cannot be told from another finding, and is not named beside it."""

Outcome = Finding | Skipped | None


def without_consequences(outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """The same, less findings that another one explains as well: these are not judged."""
    return {name: _judged(name, outcome, outcomes) for name, outcome in outcomes.items()}


def _judged(name: str, outcome: Outcome, outcomes: Mapping[str, Outcome]) -> Outcome:
    causes = [cause for cause in HIDDEN.get(name, ()) if _weighty(outcomes.get(cause))]
    if not isinstance(outcome, Finding) or not causes:
        return outcome
    return Skipped(f"cannot be told from the consequences of: {', '.join(causes)}")


def _weighty(outcome: Outcome) -> bool:
    return isinstance(outcome, Finding) and outcome.severity != "note"


def arranged(findings: Sequence[Finding]) -> list[Finding]:
    """The most severe first, each after what it follows from. A cause is as severe as the worst that follows."""
    present = {finding.name: finding for finding in findings}
    for name, finding in present.items():
        cause = next((c for c in CAUSES.get(name, ()) if c in present and _weighty(present[c])), "")
        present[name] = replace(finding, follows=cause)
    for finding in list(present.values()):
        worst = SEVERITIES.index(finding.severity)
        for cause in _line(finding, present)[1:]:
            known = present[cause]
            present[cause] = replace(known, severity=SEVERITIES[min(worst, SEVERITIES.index(known.severity))])
    return sorted(
        present.values(), key=lambda finding: (SEVERITIES.index(finding.severity), len(_line(finding, present)))
    )


def _line(finding: Finding, present: Mapping[str, Finding]) -> list[str]:
    """The finding, its cause and so on."""
    line = [finding.name]
    while present[line[-1]].follows:
        line.append(present[line[-1]].follows)
    return line
