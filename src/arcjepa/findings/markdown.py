"""A diagnosis to read: a table of the findings, then each with its numbers, then what could not be judged."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from arcjepa.findings.finding import Finding, Number

if TYPE_CHECKING:
    from arcjepa.diagnosis import Report


def as_markdown(report: "Report", settings: str) -> str:
    """The content of diagnosis.md. `settings`: where the settings come from."""
    record = report.record
    parts = [
        f"# Diagnosis of {record.name}",
        f"Read: {_recorded(record.epochs.index, 'epoch')}; {_recorded(record.steps.index, 'step')}. "
        f"Settings: {settings}.",
        overview(report.findings),
        *(_section(place, finding) for place, finding in enumerate(report.findings, start=1)),
        _reasons("Not judged", report.not_judged),
        _reasons("Does not apply", report.not_applicable),
        f"## Nothing found\n\nJudged without a finding: {', '.join(report.clean)}." if report.clean else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def overview(findings: list[Finding]) -> str:
    """The table of findings, or that there are none."""
    if not findings:
        return "**No findings.** Every rule that could judge this record found it healthy."
    rows = [f"| {f.severity} | {f.name}{_after(f)} | {f.where} | {_cell(f.summary)} |" for f in findings]
    return "\n".join(["| severity | finding | where | what |", "|---|---|---|---|", *rows])


def _after(finding: Finding) -> str:
    return f" (after {finding.follows})" if finding.follows else ""


def _recorded(index: Iterable[object], name: str) -> str:
    values = list(index)
    if not values:
        return f"no {name}s"
    return f"{len(values)} rows by {name}, {values[0]} to {values[-1]}"


def _section(place: int, finding: Finding) -> str:
    parts = [
        f"## {place}. {finding.name[0].upper()}{finding.name[1:]}",
        f"*{finding.severity}, {finding.where}.* {finding.summary}",
        "\n".join(["| | |", "|---|---|", *(f"| {_words(n)} | {_shown(v)} |" for n, v in finding.numbers.items())]),
        f"Threshold: `diagnosis.{finding.threshold}` = {finding.limit:g}.",
        f"**Likely cause.** {finding.cause}",
        f"It may be a consequence of: {finding.follows}." if finding.follows else "",
        f"**Try.** {finding.advice}",
        "\n".join(["```", *finding.experiments, "```"]) if finding.experiments else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _reasons(title: str, reasons: Mapping[str, str]) -> str:
    if not reasons:
        return ""
    rows = [f"| {name} | {_cell(reason)} |" for name, reason in reasons.items()]
    return "\n".join([f"## {title}", "", "| rule | why |", "|---|---|", *rows])


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Number) -> str:
    if isinstance(value, str) or not math.isfinite(value):
        return str(value)
    return f"{int(value)}" if value == int(value) and abs(value) < 1e6 else f"{float(value):.4g}"


def _cell(text: str) -> str:
    """A bar would end the cell of a table."""
    return text.replace("|", "\\|")
