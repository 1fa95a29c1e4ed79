"""One page that says of every phase what was run, what it changed, what that bought, and what is wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.comparison import HEADLINE, UNTRAINED, Runs, chance, difference, interval
from arcjepa.config import Params
from arcjepa.intervals import Interval
from arcjepa.pages import document
from arcjepa.run_folders import read_object
from arcjepa.scenarios import changes, told

MEASURES = {"val_nce": -1, "readout_nce": -1, "ranking_a": 1, "ranking_b": 1, "ranking_c": 1, "retrieval_rearc": 1}
"""What a phase may buy, and whether more of it is better."""
COLUMNS = ("phase", "what was run", "what it changed", "what that bought", "what is wrong", "targets of the analysis")
ROOT = "the root of all phases, compared with the untrained encoder"
CONTROLS = {
    "untrained": ("untrained encoder", "the architecture of the first phase, not trained"),
    "tokens": ("hand-made tokens", "features of the tokens by hand; predicts f(x) + mean(f(y) - f(x))"),
    "copy": ("copy of the query", "the same features; predicts f(x)"),
}
"""Name: heading, and what it is."""
SEVERITIES = ("critical", "warning", "note")


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
                *([read_object(folder / file) for folder in folders[name]] for file in ("run.json", "diagnosis.json")),
            )
        )
    return accounts


def _shortened(gone: list[str]) -> list[str]:
    return [f"{len(gone)} settings of what is switched off now"] if gone else []


def page(params: Params, accounts: Sequence[Account], targets: pd.DataFrame, controls: Mapping[str, Runs]) -> str:
    """The page. `targets`: targets.csv; `controls` by name, the untrained one beside the root of all phases."""
    untrained = controls[UNTRAINED]
    runs = {account.name: account.runs for account in accounts}
    rows = [
        (
            escape(account.name),
            _listed(_ran(account)),
            _listed([f"over {account.parent}", *account.changed] if account.parent else [ROOT]),
            _listed(_bought(params, account.runs, runs.get(account.parent, untrained))),
            _listed(_wrong(account)),
            _listed(_against(targets[targets["phase"] == account.name])),
        )
        for account in accounts
    ]
    for name, control in controls.items():
        heading, what = CONTROLS[name]
        rows.append((heading, f"control: {what}", "", _listed(_bought(params, control, None)), "", ""))
    head = "".join(f"<th>{escape(title)}</th>" for title in COLUMNS)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    about = (
        "Differences are paired by task and seed against the phase above in its lineage, with 95 % intervals. "
        f"val_nce and readout_nce are nats, which fall where a phase is better; {_chance(untrained)}ranking_a, "
        "ranking_b, ranking_c and retrieval_rearc are shares of queries with the right answer first, and rise"
        f"{_guessed(untrained)}. What is better than the untrained encoder can still be no better than chance, or than "
        "the hand-made tokens below. Faults are read from the record alone, by the rules and thresholds of "
        "<code>arcjepa diagnose</code>."
    )
    return document(
        f"Phases at scale {params.scale}",
        f"<h1>The phases at scale {escape(params.scale)}, on one page</h1>\n<p>{about}</p>\n"
        f'<table class="wide"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>\n',
    )


def _ran(account: Account) -> list[str]:
    first = account.summaries[0]
    return [
        f"{len(account.summaries)} seed{'s' * (len(account.summaries) > 1)}, {_span(account, 'epochs')} epochs, "
        f"{_span(account, 'steps')} steps on {escape(first['device'])}",
        f"{np.mean([s['seconds'] for s in account.summaries]):.0f} s a seed, "
        f"{np.mean([s['sequences_per_second'] for s in account.summaries]):.0f} sequences/s",
        f"{len(first['hyperparameters'])} hyperparameters, {first['encoder_parameters']:,} parameters in the encoder",
    ]


def _span(account: Account, count: str) -> str:
    """A count of all seeds, which stop early at different ones."""
    counts = [summary[count] for summary in account.summaries]
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"


def _chance(runs: Runs) -> str:
    return f"chance is {np.log(runs.pool):.2f}; " if runs.pool else ""


def _guessed(runs: Runs) -> str:
    """What a random order gets of every share."""
    known = {measure: chance(runs, *HEADLINE[measure]) for measure, better in MEASURES.items() if better > 0}
    told = [f"{measure} {value:.2f}" for measure, value in known.items() if not np.isnan(value)]
    return f" (chance: {', '.join(told)})" if told else ""


def _bought(params: Params, runs: Runs, parent: Runs | None) -> list[str]:
    """Each measure, and how far it is from that of the parent where there is one."""
    lines = []
    for measure, better in MEASURES.items():
        value = interval(runs, *HEADLINE[measure], params.evaluation)
        if np.isnan(value[0]):
            continue
        line = f"{measure} {value[0]:.2f}"
        if parent is not None:
            gap = difference(runs, parent, *HEADLINE[measure], params.evaluation)
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
        f"{escape(str(row['reached']))}"
        + (f" (wanted {escape(str(row['wanted']))})" if row["wanted"] else "")
        + (f": {escape(str(row['why']))}" if row["why"] else "")
        for row in ordered
        if row["verdict"] in marks
    ]
    others = int((~targets["verdict"].isin(list(marks))).sum())
    none = ["the analysis sets none"] if not len(targets) else []
    none += [f"{others} not comparable, see targets"] if others else []
    return lines + [f'<span class="none">{text}</span>' for text in none]


def _listed(lines: Iterable[str]) -> str:
    """Lines of HTML as a list."""
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"
