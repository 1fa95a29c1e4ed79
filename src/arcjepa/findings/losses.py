"""Faults of the training loss and its terms: a hidden component, a rise."""

from typing import Any

import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import TERMS, Record
from arcjepa.findings.series import SMALLEST, grew, lowest, noise, over, risen, smooth

EARLY = 0.15
"""Share of the run in which embeddings spread from where they started."""
NEAR = 0.01
"""How far above the smallest loss, as a share of it, one may be that a rise begins at."""
STAYS = 0.02
"""Rise of the total up to which it still hides that of a term."""
WORDS = {"train": "training", "val": "validation"}
BY_DESIGN = ("queue_fill", "admitted_share")
"""A queue that fills and a curriculum that admits harder tasks raise the loss."""
_FEWEST = 4


def hidden_component(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """One weighted term rises from its smallest value by hidden_rise of the total, and by half of itself, while
    others fall by as much between the same epochs, so that the total falls or stays.

    The squared error of LeJEPA counts after the first epochs only, in which it grows as embeddings spread.
    """
    tables = {split: _terms(record, split) for split in ("train", "val")}
    if max(map(len, tables.values())) < 2:
        return Skipped(f"lacks two weighted terms of {_FEWEST} epochs")
    found = (_hidden_in(record, limits, split, terms) for split, terms in tables.items() if len(terms) >= 2)
    return next(filter(None, found), None)


def _terms(record: Record, split: str) -> dict[str, pd.Series]:
    by = BY_DESIGN if split == "train" else ()
    terms = {name: comparable(record, record.weighted(split, name), by) for name in TERMS}
    return {name: term for name, term in terms.items() if len(term) >= _FEWEST}


def _hidden_in(record: Record, limits: Thresholds, split: str, terms: dict[str, pd.Series]) -> Finding | None:
    levels = pd.DataFrame({name: smooth(term) for name, term in terms.items()}).dropna()
    if len(levels) < _FEWEST:
        return None
    total, last = levels.sum(axis=1), int(levels.index[-1])
    settled = EARLY * max(last, record.number("training.epochs") or 0)
    for name, term in terms.items():
        spread = name == "prediction" and record.objective == "lejepa"
        level = levels[name].loc[settled if spread else 0 :]
        if not len(level):
            continue
        low = lowest(level)
        change = (levels.loc[last] - levels.loc[low]) / max(total[low], SMALLEST)
        rise, fall = change[name], -change[change < 0].sum()
        if min(rise, fall) < limits.hidden_rise or not grew(level[low], level[last], 1.5, term):
            continue
        if change.sum() <= STAYS:
            return _hidden(record, limits, split, name, levels.loc[[low, last]])
    return None


def comparable(record: Record, losses: pd.Series, by: tuple[str, ...] = BY_DESIGN) -> pd.Series:
    """The epochs with as many negatives as the last one, and as many of the tasks."""
    for column in by:
        state = record.series(column)
        if len(state):
            losses = losses[~(state.reindex(losses.index) < state.iloc[-1])]
    return losses


def _hidden(record: Record, limits: Thresholds, split: str, name: str, ends: pd.DataFrame) -> Finding:
    first, last = (int(epoch) for epoch in ends.index)
    ends = ends.assign(total=ends.sum(axis=1))
    before, after = ({str(term): float(ends[term][epoch]) for term in ends} for epoch in (first, last))
    changes = {f"{term}_change": over(after[term] - before[term], before["total"]) for term in before}
    fallen = min((term for term in before if term != "total"), key=lambda term: after[term] - before[term])
    # The prediction is what the run is for: there, what falls at its cost is held back.
    held, factor = (fallen, 0.5) if name == "prediction" else (name, 2.0)
    return Finding(
        "hidden component",
        "warning",
        f"The {WORDS[split]} total changes by {changes['total_change']:+.1%} while {name} rises from "
        f"{before[name]:#.3g} to {after[name]:#.3g} and {fallen} falls from {before[fallen]:#.3g} to "
        f"{after[fallen]:#.3g}.",
        changes,
        "hidden_rise",
        limits.hidden_rise,
        "Terms that move against each other cancel in the sum; selecting epochs by the total is blind to both.",
        "Look at the terms one by one, select by the prediction term, and "
        + (f"weigh {fallen} less." if name == "prediction" else _measure(name)),
        "epoch",
        first,
        last,
        record.tries(_weighed(record, held, factor)),
    )


def _measure(name: str) -> str:
    return "weigh sigreg more." if name == "sigreg" else f"weigh {name} less, or drop it."


def _weighed(record: Record, term: str, factor: float) -> dict[str, Any]:
    """A change that gives a term another weight: SIGReg by the factor, so that it is kept up; others less."""
    if term == "sigreg" and record.objective == "lejepa":
        return {"lambda_sigreg": record.scaled("lambda_sigreg", factor, 1.0)}
    changes: dict[str, dict[str, Any]] = {
        "sigreg": {"loss.sigreg.weight": record.scaled("loss.sigreg.weight", factor, 0.1)},
        "relational": {"loss.relational.enabled": False},
        "invariance": {"loss.invariance.enabled": False},
        "hard_negatives": {"loss.hard_negatives.weight": record.scaled("loss.hard_negatives.weight", 0.1, 0.3)},
        "commitment": {"quantizer.commitment.weight": record.scaled("quantizer.commitment.weight", 0.1, 0.15)},
    }
    return changes.get(term, {})


def rising_loss(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Final training total >= loss_rise times its smallest, among epochs with as many negatives and tasks.

    The prediction of InfoNCE, or the relative error of LeJEPA, where there is no total: the squared error of LeJEPA
    grows with the embeddings' variance.
    """
    own = {"infonce": ("train_prediction",), "lejepa": ("train_prediction_error",)}
    total = record.total("train")
    every = total if len(total) else record.series(*own.get(record.objective, ()))
    if not len(every):
        return Skipped("lacks train_total")
    losses = comparable(record, every)
    if len(losses) < _FEWEST:
        return None
    level = smooth(losses)
    low = lowest(level)
    if level[low] < 0:
        return Skipped("is negative, so that its smallest value is no measure")
    if not grew(level[low], level.iloc[-1], limits.loss_rise, every):
        return None
    rise, last = over(level.iloc[-1], level[low]), int(losses.index[-1])
    # The last of the epochs that are as low as far as their noise allows to say.
    low = int(level.index[level <= (1 + max(NEAR, 2 * noise(every))) * level[low]][-1])
    terms = {name: record.weighted("train", name) for name in TERMS}
    rises = {name: float(term[last] - term[low]) for name, term in terms.items() if {low, last} <= {*term.index}}
    most = max(rises, key=lambda name: rises[name], default="")
    return Finding(
        "rising training loss",
        "critical",
        f"The training loss ends {risen(rise)} above its smallest value, and rises from epoch {low} on"
        + (f"; of its terms {most} rises most." if most else "."),
        {"smallest": level[low], "final": level.iloc[-1], "final_over_smallest": rise},
        "loss_rise",
        limits.loss_rise,
        "The learning rate is too high for the late loss, or the loss itself moves: a temperature that sharpens, a "
        "teacher that drifts.",
        "Halve the learning rate; under InfoNCE, also try a higher lower bound of the temperature.",
        "epoch",
        low,
        last,
        record.tries({"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)}),
    )


RULES = (
    Rule("hidden component", hidden_component),
    Rule("rising training loss", rising_loss),
)
