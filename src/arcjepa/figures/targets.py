"""The phases against the targets of the analysis, its gates and its risks, as tables."""

import math
import re
from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.figure import Figure

from arcjepa.figures import style
from arcjepa.figures.text_table import Cells, Column, Layout, cells, draw_blocks, text

SIGNS = {
    **{"met": "●", "missed": "○", "not comparable": "–"},
    **{"fired": "●", "not fired": "○", "cannot be judged": "–"},
    **{"yes": "●", "no": "○"},
}
VERDICTS = {"verdict", "outcome", "occurred"}
"""Columns that hold one."""
OPEN = ("not comparable", "cannot be judged")
TARGETS = (
    Column("target", 0.95, 34),
    Column("baseline", 3.0, 25, "before"),
    Column("wanted", 4.75, 21),
    Column("reached", 6.0, 28),
    Column("verdict", 7.7, 18),
    Column("why", 8.95, 58),
)
GATES = (
    Column("condition", 0.95, 34, "if"),
    Column("then", 3.0, 30),
    Column("outcome", 4.75, 22),
    Column("numbers", 6.15, 48, "judged by"),
    Column("next", 8.95, 58, "to run next"),
)
RISKS = (
    Column("risk", 0.95, 34, "risk, as the analysis expected it"),
    Column("occurred", 3.0, 22),
    Column("evidence", 4.4, 48),
    Column("mitigation", 7.2, 30),
    Column("mitigated", 8.95, 58, "what the mitigation did"),
)
WIDTH = 12.4


def ink(name: str, row: Cells) -> tuple[str, str]:
    """Reasons and open verdicts are grey, what was missed, fired or occurred is bold."""
    verdict = row.get("state", "")
    if name in VERDICTS:
        bold = verdict in ("missed", "fired", "yes")
        return (style.GREY if verdict in OPEN else style.INK), ("bold" if bold else "normal")
    return (style.GREY if name in ("why", "next", "mitigated") or row.get("part") else style.INK), "normal"


@style.styled()
def draw_targets(targets: pd.DataFrame, phases: Sequence[str] = style.PHASES) -> Figure:
    """One block per phase, one row per target, with what was wanted, what was reached and the verdict.

    `targets`: targets.csv: phase ("all": the ultimate targets, judged on the last one), part, target, baseline,
    wanted, reached, low, high (bounds of reached, NaN where there are none), verdict ("met" | "missed" | "not
    comparable"), why ("not run": the phase has not run). Phases that the table does not name have no block.
    """
    blocks: dict[str, list[Cells]] = {}
    missing: list[str] = []
    for name in _order(targets["phase"], phases):
        own = targets[targets["phase"] == name]
        if (own["why"] == style.NOT_RUN).any():
            blocks[name], missing = [], [*missing, *([name] if name in phases else [])]
        else:
            blocks[name] = _parted(own)
    key = "●  met · ○  missed · –  not comparable: the analysed run measured something else"
    layout = Layout(TARGETS, WIDTH, ink, {"all": "all phases"})
    return draw_blocks(layout, blocks, "Phases against the targets of the analysis", key, missing)


def _order(named: pd.Series, phases: Sequence[str]) -> list[str]:
    """The names in the order of the phases, others last."""
    found = list(dict.fromkeys(named))
    return [*(name for name in phases if name in found), *(name for name in found if name not in phases)]


def _parted(own: pd.DataFrame) -> list[Cells]:
    """A phase's rows, each part below its name."""
    rows: list[Cells] = []
    for part in dict.fromkeys(own["part"]):
        rows.append({"target": part, "part": part})
        rows += [_target(row) for _, row in own[own["part"] == part].iterrows()]
    return rows


def _target(row: pd.Series) -> Cells:
    found = cells(row, TARGETS)
    low, high = (row.get(bound, math.nan) for bound in ("low", "high"))
    if pd.notna(low) and pd.notna(high) and low < high:  # a single seed has no interval
        found["reached"] += f" {_interval(low, high)}"
    return _signed(found, "verdict")


def _interval(low: float, high: float) -> str:
    """Both ends with as many decimals as three digits of the larger one take."""
    decimals = max(0, 2 - math.floor(math.log10(max(abs(low), abs(high)))))
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]"


def _signed(row: dict[str, str], column: str) -> Cells:
    """The row with the sign of its verdict before it, and the verdict alone as its state."""
    state = row[column]
    return row | {column: f"{SIGNS.get(state, '?')}  {state}", "state": state}


@style.styled()
def draw_gates(gates: pd.DataFrame, phases: Sequence[str] = style.PHASES) -> Figure:
    """One row per gate of the roadmap: the condition, whether it is fired and by what numbers, and the line to run.

    `gates`: gates.csv: phase, source, condition, then, outcome ("fired" | "not fired" | "cannot be judged"), numbers,
    why, next.
    """

    def told(row: pd.Series) -> dict[str, str]:
        return {"condition": f"{row['condition']}\n({row['source']})", "numbers": _joined(row, "numbers")}

    key = "●  fired: the line on the right is next · ○  not fired · –  cannot be judged"
    title = "If ... then ...: the gates and fallbacks of the analysis"
    return draw_blocks(Layout(GATES, WIDTH, ink), _told(gates, phases, GATES, told), title, key, _absent(gates, phases))


@style.styled()
def draw_risks(risks: pd.DataFrame, phases: Sequence[str] = style.PHASES) -> Figure:
    """One row per risk of the analysis: its probability and impact, whether it occurred, and what mitigation did.

    `risks`: risks.csv: phase, risk, probability (per cent), impact, mitigation, occurred ("yes" | "no" | "cannot be
    judged"), evidence, why, mitigated.
    """

    def told(row: pd.Series) -> dict[str, str]:
        risk = f"{row['risk']} ({text(row['probability'])} %, impact\u00a0{row['impact'].lower()})"
        return {"risk": risk, "evidence": _joined(row, "evidence")}

    key = "●  occurred in these runs · ○  did not · –  cannot be judged"
    title = "The risks of the analysis, and what became of them"
    return draw_blocks(Layout(RISKS, WIDTH, ink), _told(risks, phases, RISKS, told), title, key, _absent(risks, phases))


def _joined(row: pd.Series, column: str) -> str:
    """Numbers, and below them why."""
    return "\n".join(filter(None, (text(row[column]), text(row["why"]))))


def _told(
    table: pd.DataFrame, phases: Sequence[str], columns: Sequence[Column], told: Callable[[pd.Series], dict[str, str]]
) -> dict[str, list[Cells]]:
    """The rows of each phase: their cells, with what `told` makes of some of them, and a sign before the verdict."""
    (verdict,) = VERDICTS & {column.name for column in columns}
    return {
        phase: [
            _signed(cells(row, columns) | told(row), verdict) for _, row in table[table["phase"] == phase].iterrows()
        ]
        for phase in _order(table["phase"], phases)
    }


def _absent(table: pd.DataFrame, phases: Sequence[str]) -> list[str]:
    """The phases that a reason says were not run."""
    reasons = [text(why) for why in table["why"] if text(why).endswith(f": {style.NOT_RUN}")]
    named = {name for why in reasons for name in re.split(r"[:,] ", why)}
    return [name for name in phases if name in named]
