"""What is wrong with a run, read from its record: `diagnose` lists the findings, `examine` also what was not judged.

diagnosis.json holds an object:
  run: name of the run; settings: where its settings come from; recorded: {epochs, steps}: number of rows;
  findings: list, the most severe first, of {name, severity (critical | warning | note), axis (epoch | step | ""),
    first, last (null where nothing is recorded), summary, numbers {name: value}, threshold {key, value}, cause,
    advice, experiments [line to type], follows (the finding that it is a consequence of, "" for none)}; the key of a
    threshold is one of params.yaml;
  not_judged: list of {rule, reason}: the record lacks what the rule reads;
  not_applicable: list of {rule, reason}: the run has no such mechanism;
  nothing_found: list of rules that judged the record and found nothing.
diagnosis.md says the same for reading.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.errors import UserError
from arcjepa.files import write_atomic
from arcjepa.findings import (
    codebook,
    collapse,
    completeness,
    generalisation,
    gradients,
    losses,
    objective,
    plateau,
    regulariser,
    relational,
    schedules,
)
from arcjepa.findings.causes import arranged, without_consequences
from arcjepa.findings.finding import Finding, Number, Rule, Skipped
from arcjepa.findings.markdown import as_markdown
from arcjepa.findings.records import Record

RULES: tuple[Rule, ...] = (
    *completeness.RULES,
    *schedules.RULES,
    *collapse.RULES,
    *regulariser.RULES,
    *objective.RULES,
    *relational.RULES,
    *losses.RULES,
    *plateau.RULES,
    *generalisation.RULES,
    *codebook.RULES,
    *gradients.RULES,
)
FILES = ("diagnosis.json", "diagnosis.md")


@dataclass(frozen=True)
class Report:
    """All that was looked for."""

    record: Record
    findings: list[Finding]
    """The most severe first."""
    skipped: dict[str, Skipped]
    """By rule."""
    clean: list[str]
    """Rules that found nothing."""

    @property
    def not_judged(self) -> dict[str, str]:
        """Rule to what the record lacks."""
        return {name: skip.reason for name, skip in self.skipped.items() if skip.applies}

    @property
    def not_applicable(self) -> dict[str, str]:
        """Rule to why it says nothing of such a run."""
        return {name: skip.reason for name, skip in self.skipped.items() if not skip.applies}


def diagnose(record: Record, thresholds: Thresholds, rules: Sequence[Rule] = RULES) -> list[Finding]:
    """The findings, the most severe first."""
    return examine(record, thresholds, rules).findings


def examine(record: Record, thresholds: Thresholds, rules: Sequence[Rule] = RULES) -> Report:
    """The findings, and what every other rule says."""
    outcomes = without_consequences({rule.name: rule.apply(record, thresholds) for rule in rules})
    findings = [outcome for outcome in outcomes.values() if isinstance(outcome, Finding)]
    return Report(
        record,
        arranged(findings),
        {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Skipped)},
        [name for name, outcome in outcomes.items() if outcome is None],
    )


def as_json(report: Report) -> dict[str, Any]:
    """The content of diagnosis.json."""
    return {
        "run": report.record.name,
        "settings": settings_source(report.record),
        "recorded": {"epochs": len(report.record.epochs), "steps": len(report.record.steps)},
        "findings": [_finding(finding) for finding in report.findings],
        "not_judged": _listed(report.not_judged),
        "not_applicable": _listed(report.not_applicable),
        "nothing_found": report.clean,
    }


def settings_source(record: Record) -> str:
    """Where the settings come from that thresholds are compared with."""
    plan = record.experiments
    other = f"; params.yaml does not know {plan.unknown}: lines to try are for {plan.phase} at scale {plan.scale}"
    source = "run.json" if record.settings else "unknown"
    if record.assumed:
        source = f"assumed: {record.assumed}, as run.json holds none"
    return source + (other if plan.unknown else "")


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "severity": finding.severity,
        "axis": finding.axis,
        "first": finding.first,
        "last": finding.last,
        "summary": finding.summary,
        "numbers": {name: _plain(value) for name, value in finding.numbers.items()},
        "threshold": {"key": f"diagnosis.{finding.threshold}", "value": finding.limit},
        "cause": finding.cause,
        "advice": finding.advice,
        "experiments": list(finding.experiments),
        "follows": finding.follows,
    }


def _plain(value: Number) -> Number:
    """Six significant digits are what the record holds; JSON has no infinity."""
    if isinstance(value, str) or not math.isfinite(value):
        return str(value)
    number = float(f"{float(value):.6g}")
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def _listed(reasons: dict[str, str]) -> list[dict[str, str]]:
    return [{"rule": name, "reason": reason} for name, reason in reasons.items()]


def write_report(report: Report, folder: Path) -> None:
    """diagnosis.json and diagnosis.md. Errors: UserError where the folder cannot be written."""
    texts = (json.dumps(as_json(report), indent=1) + "\n", as_markdown(report, settings_source(report.record)))
    for name, text in zip(FILES, texts, strict=True):
        try:
            write_atomic(folder / name, text.encode())
        except OSError as error:
            raise UserError(f"{folder / name}: cannot be written: {error.strerror}; choose another --output") from None
