"""One page that says of every phase what was run, what it changed, what that bought, what is wrong, and against what.

Self-contained HTML: no script, no picture, nothing from the network.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.comparison import HEADLINE, Runs, difference, interval
from arcjepa.config import Params
from arcjepa.errors import UserError
from arcjepa.intervals import Interval
from arcjepa.scenarios import changes, told

MEASURES = {"val_nce": -1, "readout_nce": -1, "ranking_a": 1, "ranking_b": 1, "ranking_c": 1, "retrieval_rearc": 1}
"""What a phase may buy, and whether more of it is better."""
COLUMNS = ("phase", "what was run", "what it changed", "what that bought", "what is wrong", "targets of the analysis")
SEVERITIES = ("critical", "warning", "note")
STYLE = """
body { font: 13px/1.45 "DejaVu Sans", Verdana, sans-serif; margin: 24px; color: #222; }
h1 { font-size: 19px; margin: 0 0 4px; } p { color: #666; margin: 0 0 16px; max-width: 75em; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; border-bottom: 2px solid #222; padding: 6px 14px 6px 0; }
td { vertical-align: top; border-bottom: 1px solid #ccc; padding: 8px 14px 8px 0; }
ul { margin: 0; padding-left: 1.1em; } td:first-child { font-weight: bold; }
.good { color: #00734f; } .bad { color: #b3261e; } .none { color: #777; } .critical { font-weight: bold; }
"""


@dataclass(frozen=True, eq=False)
class Account:
    """What is known of one phase."""

    name: str
    parent: str
    """ "" where it has none."""
    changed: list[str]
    """Settings over its parent's, one a line."""
    runs: Runs
    summaries: list[dict[str, Any]]
    """run.json of each seed."""
    diagnoses: list[dict[str, Any]]
    """diagnosis.json of each seed."""


def load_accounts(params: Params, runs: Mapping[str, Runs], folders: Mapping[str, Sequence[Path]]) -> list[Account]:
    """Of all phases. `folders`: of each seed, by phase. Errors: UserError for a file that is not JSON."""
    accounts = []
    for name in params.names:
        lineage = params.lineage(name)
        parent = lineage[-2] if len(lineage) > 1 else ""
        changed = changes(params.phase_settings(parent), params.phase_settings(name)) if parent else {}
        gone = [f"{leaf} gone" for leaf, (_, new) in changed.items() if new is None]
        accounts.append(
            Account(
                name,
                parent,
                [*told(changed).values(), *_shortened(gone)],
                runs[name],
                *([_read(folder / file) for folder in folders[name]] for file in ("run.json", "diagnosis.json")),
            )
        )
    return accounts


def _shortened(gone: list[str]) -> list[str]:
    return [f"{len(gone)} leaves of what is off now"] if gone else []


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run the workflow") from None
    return content


def page(params: Params, accounts: Sequence[Account], targets: pd.DataFrame) -> str:
    """The page. `targets`: targets.csv."""
    runs = {account.name: account.runs for account in accounts}
    rows = [
        (
            escape(account.name),
            _listed(_ran(account)),
            _listed([f"over {account.parent}", *account.changed]) if account.parent else "the root of all phases",
            _listed(_bought(params, account, runs.get(account.parent))),
            _listed(_wrong(account)),
            _listed(_against(targets[targets["phase"] == account.name])),
        )
        for account in accounts
    ]
    head = "".join(f"<th>{escape(title)}</th>" for title in COLUMNS)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    about = (
        "Differences are paired by task against the phase above in its lineage, with 95 % intervals over tasks and "
        "seeds; nats fall where a phase is better. Faults are read from the record alone, by the rules and thresholds "
        "of <code>arcjepa diagnose</code>."
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Phases at scale {escape(params.scale)}'
        f"</title><style>{STYLE}</style></head><body>\n<h1>The phases at scale {escape(params.scale)}, on one page</h1>"
        f"\n<p>{about}</p>\n<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>\n</body></html>\n"
    )


def _ran(account: Account) -> list[str]:
    first = account.summaries[0]
    return [
        f"{len(account.summaries)} seed{'s' * (len(account.summaries) > 1)}, {first['epochs']} epochs, "
        f"{first['steps']} steps on {escape(first['device'])}",
        f"{np.mean([s['seconds'] for s in account.summaries]):.0f} s a seed, "
        f"{np.mean([s['sequences_per_second'] for s in account.summaries]):.0f} sequences/s",
        f"{len(first['hyperparameters'])} hyperparameters, {first['encoder_parameters']:,} parameters in the encoder",
    ]


def _bought(params: Params, account: Account, parent: Runs | None) -> list[str]:
    lines = []
    for measure, better in MEASURES.items():
        value = interval(account.runs, *HEADLINE[measure], params.evaluation)
        if np.isnan(value[0]):
            continue
        line = f"{measure} {value[0]:.2f}"
        if parent is not None:
            gap = difference(account.runs, parent, *HEADLINE[measure], params.evaluation)
            line += f" ({_told(gap, better)})"
        lines.append(line)
    return lines


def _told(gap: Interval, better: int) -> str:
    value, low, high = gap
    text = f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
    if low <= 0 <= high or np.isnan(low):
        return f'<span class="none">{text}, not apart</span>'
    good = (value > 0) == (better > 0)
    return f'<span class="{"good" if good else "bad"}">{text}, {"better" if good else "worse"}</span>'


def _wrong(account: Account) -> list[str]:
    """Findings of all seeds, the same ones joined, the most severe first."""
    found = [finding for diagnosis in account.diagnoses for finding in diagnosis["findings"]]
    seeds = Counter(finding["name"] for finding in found)
    first = {finding["name"]: finding for finding in reversed(found)}
    ordered = sorted(first.values(), key=lambda finding: SEVERITIES.index(finding["severity"]))
    of = len(account.diagnoses)
    return [
        f'<span class="{finding["severity"]}">{finding["severity"]}: {escape(finding["name"])}.</span> '
        f"{escape(finding['summary'])}" + (f" ({seeds[finding['name']]} of {of} seeds)" if of > 1 else "")
        for finding in ordered
    ] or ['<span class="none">nothing found</span>']


def _against(targets: pd.DataFrame) -> list[str]:
    """What was missed or met, named; what cannot be compared, counted."""
    marks = {"met": "good", "missed": "bad"}
    ordered = targets.sort_values("verdict", key=lambda column: column != "missed").to_dict("records")
    lines = [
        f'<span class="{marks[row["verdict"]]}">{row["verdict"]}</span> {escape(str(row["target"]))}: '
        f"{escape(str(row['reached']))}" + (f" (wanted {escape(str(row['wanted']))})" if row["wanted"] else "")
        for row in ordered
        if row["verdict"] in marks
    ]
    others = int((~targets["verdict"].isin(list(marks))).sum())
    return lines + ([f'<span class="none">{others} not comparable, see targets</span>'] if others else [])


def _listed(lines: Iterable[str]) -> str:
    """Lines of HTML as a list."""
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"
