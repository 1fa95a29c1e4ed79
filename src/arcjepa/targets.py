"""Every target of the analysis against what was reached: its success metrics, the ultimate ones, its criteria.

Rows come from success_metrics.csv and success_criteria.csv with their numbers; METRICS and CRITERIA say by which
formula a row is judged. The ultimate targets are judged on the last phase.
"""

import math
from functools import partial
from typing import Any

import pandas as pd

from arcjepa import judges
from arcjepa.claims import Tables
from arcjepa.errors import UserError
from arcjepa.evidence import NOT_RUN
from arcjepa.judges import NOT_COMPARABLE, Context, Goal, Judge, Verdict

COLUMNS = ("phase", "part", "target", "baseline", "wanted", "reached", "low", "high", "verdict", "why")
ALL = "all"
"""Phase of the ultimate targets."""
PARTS = ("success metrics", "ultimate success", "success criteria")

Row = dict[Any, Any]
Key = tuple[str, str]
"""Phase, and the metric, or the quantity of a criterion, else its words."""
METRICS: dict[Key, Judge] = {
    ("phase1", "Best Val Loss"): judges.validation_loss,
    ("phase1", "Relational Loss (Epoch 80)"): judges.relational_loss,
    ("phase1", "VQ Usage Variance"): judges.usage_spread,
    ("phase1", "Training Stability"): judges.stability,
    ("phase2", "Best Val Loss"): judges.validation_loss,
    ("phase2", "Hyperparameter Count"): judges.hyperparameters,
    ("phase2", "Loss Components"): judges.loss_components,
    ("phase2", "L-JEPA Alignment"): judges.grade,
    ("phase3", "Best Val Loss"): judges.validation_loss,
    ("phase3", "VQ Usage"): judges.usage_above,
    ("phase3", "Effective Rank (Target)"): partial(judges.effective_rank, side="target"),
    (ALL, "Best Val Loss"): judges.validation_loss,
    (ALL, "Hyperparameters"): judges.hyperparameters,
    (ALL, "Training Stability"): judges.stability,
    (ALL, "L-JEPA Alignment"): judges.grade,
    (ALL, "VQ Codebook Quality"): partial(judges.usage_above, stable=True),
}
CRITERIA: dict[Key, Judge] = {
    ("phase1", "val loss"): judges.validation_loss,
    ("phase1", "No relational explosion"): judges.no_explosion,
    ("phase1", "VQ usage"): judges.usage_within,
    ("phase1", "epochs"): judges.completed,
    ("phase2", "val loss"): judges.validation_loss,
    ("phase2", "hyperparameters"): judges.hyperparameters,
    ("phase2", "No multi-loss balancing issues"): judges.balanced,
    ("phase2", "Training stable without heuristics"): judges.without_heuristics,
    ("phase3", "val loss"): judges.validation_loss,
    ("phase3", "VQ usage"): partial(judges.usage_above, stable=True),
    ("phase3", "effective rank, context"): partial(judges.effective_rank, side="context"),
    ("phase3", "effective rank, target"): partial(judges.effective_rank, side="target"),
    ("phase3", "No loss explosions or instability"): judges.no_instability,
}


def goals(tables: Tables) -> dict[Goal, Judge]:
    """Every target with its formula, phase by phase. Errors: UserError for a row that no formula judges."""
    found: dict[Goal, Judge] = {}
    for table, known, make in (("success_metrics", METRICS, _metric), ("success_criteria", CRITERIA, _criterion)):
        texts = tables.text(table).to_dict("records")
        for row, printed in zip(tables.table(table).to_dict("records"), texts, strict=True):
            key = row["phase"], row.get("metric") or row["quantity"] or row["criterion"]
            if key not in known:
                allowed = ", ".join(name for phase, name in known if phase == key[0])
                raise UserError(f"{table}.csv: {key[1]!r} of {key[0]} has no formula; allowed: {allowed}")
            found[make(row, printed)] = known[key]
    order = [*dict.fromkeys(goal.phase for goal in found if goal.phase != ALL), ALL]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0].phase)))


def _metric(row: Row, printed: Row) -> Goal:
    words = (row["metric"], printed["baseline_words"], printed["target_words"])
    ends = (row["target_low"], row["target_high"], row["target_spread"])
    return Goal(row["phase"], PARTS[row["phase"] == ALL], *words, row["relation"], *ends)


def _criterion(row: Row, printed: Row) -> Goal:
    low, high, relation = row["low"], row["high"], row["relation"]
    span = printed["low"] if low == high else f"{printed['low']}-{printed['high']}"
    wanted = span if relation == "within" else f"{relation} {printed['low']}".strip()
    return Goal(row["phase"], PARTS[2], row["criterion"], printed["baseline"], wanted, relation, low, high, math.nan)


def targets_table(context: Context) -> pd.DataFrame:
    """One row per target of the analysis; "not comparable" with the reason where ours measures something else."""
    asked = goals(context.evidence.tables)
    last = [goal.phase for goal in asked if goal.phase != ALL][-1]
    rows = []
    for goal, judge in asked.items():
        run = context.evidence.trained.get(last if goal.phase == ALL else goal.phase)
        found = Verdict("", NOT_COMPARABLE, NOT_RUN) if run is None else judge(run, goal, context)
        rows.append(
            (goal.phase, goal.part, goal.name, goal.baseline, goal.wanted, found.reached, *found.interval[1:],
             found.verdict, found.why)
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
