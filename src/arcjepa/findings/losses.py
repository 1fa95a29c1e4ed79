"""Faults of the training loss and its terms: explosion, share of the total, a hidden component, a rise."""

from typing import Any

import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import TERMS, Record
from arcjepa.findings.series import SMALLEST, grew, highest, lowest, over, smooth

MATERIAL = 0.01
"""Share of the total below which a term is too small to matter."""
RELATIONAL = "train_relational_weighted|train_relational|val_relational_weighted|val_relational"
EARLY = 0.15
"""Share of the run in which embeddings spread from where they started."""
WORDS = {"train": "training", "val": "validation"}
_FEWEST = 4


def relational_off(record: Record) -> str:
    """Why there is no relational loss."""
    off = record.setting("loss.relational.enabled") is False or record.number("loss.relational.weight") == 0
    return "the relational loss is off" if off else ""


def relational_tries(record: Record) -> tuple[str, ...]:
    """The options of the analysis: remove it, normalise it, a tenth of its weight."""
    return record.tries(
        {"loss.relational.enabled": False},
        {"loss.relational.form": "normalised"},
        {"loss.relational.weight": record.scaled("loss.relational.weight", 0.1, 0.025)},
    )


def relational_explosion(record: Record, limits: Thresholds) -> Finding | None:
    """max over epochs of term / (its smallest value so far) >= explosion, where the term is no trifle.

    From the first epoch after that smallest value at which the ratio passes `explosion_start`, to the peak. Stricter
    than `formulas.relational_growth`: of the smoothed loss and the whole run, as one jump of an epoch is no fault.
    """
    term = record.series(*RELATIONAL.split("|"))
    level = smooth(term)
    ratio = level / level.cummin().clip(lower=SMALLEST)
    peak = highest(ratio)
    low = lowest(level.loc[:peak])
    if not grew(level[low], level[peak], limits.explosion, term) or _trifling(record, peak):
        return None
    after = ratio.loc[low:]
    first = int(after.index[after >= limits.explosion_start][0])
    last = highest(term.loc[first:])
    growth = over(term[last], level[low])
    return Finding(
        "relational explosion",
        "critical",
        f"The relational loss grows {growth:.1f}-fold, from {level[low]:#.3g} to {term[last]:#.3g}.",
        {"smallest": level[low], "smallest_epoch": low, "at_start": term[first], "peak": term[last],
         "peak_over_smallest": growth, "final": term.iloc[-1]},
        "explosion",
        limits.explosion,
        "Unnormalised distances between objects grow with the fourth power of the embeddings' scale, so the term rises "
        "as embeddings spread, whatever they learn.",
        "Remove the relational loss; else normalise it, or reduce its weight tenfold.",
        "epoch",
        first,
        last,
        relational_tries(record),
    )  # fmt: skip


def _trifling(record: Record, epoch: int) -> bool:
    """Whether the weighted term is below a hundredth of the total there; False where that is unknown."""
    share = _share(record)
    return epoch in share.index and share[epoch] < MATERIAL


def _share(record: Record) -> pd.Series:
    term, total = record.series("train_relational_weighted"), record.series("train_total")
    return (term / total[total > 0]).dropna()


def relational_share(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """max of relational / total >= relational_share, and twice the first, while the term itself grew by half.

    The last condition is for a share that grows because everything else is learned.
    """
    share, term = _share(record), record.series("train_relational_weighted")
    if not len(share):
        return Skipped("no epoch has both train_relational_weighted and train_total")
    level = smooth(share)
    peak, first = highest(level), int(share.index[0])
    low = smooth(term).loc[:peak].min()
    if level[peak] < limits.relational_share or not grew(level[first], level[peak], 2, share):
        return None
    if not grew(low, smooth(term)[peak], 1.5, term):
        return None
    return Finding(
        "relational share",
        "warning",
        f"The relational loss grows from {share[first]:.1%} to {share[peak]:.1%} of the total.",
        {"first_share": share[first], "smallest_share": share.min(), "largest_share": share[peak],
         "final_share": share.iloc[-1]},
        "relational_share",
        limits.relational_share,
        "The weight is fixed and the term is not, so an auxiliary loss comes to decide where the encoder goes.",
        "Remove or normalise the relational loss, or set its weight by the share that it should have.",
        "epoch",
        first,
        peak,
        relational_tries(record),
    )  # fmt: skip


def hidden_component(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """One weighted term rises from its smallest value by hidden_rise of the total, and by half of itself, while
    others fall by as much between the same epochs: the total shows neither.

    The squared error of LeJEPA counts after the first epochs only, in which it grows as embeddings spread.
    """
    tables = {split: _terms(record, split) for split in ("train", "val")}
    if max(map(len, tables.values())) < 2:
        return Skipped(f"lacks two weighted terms of {_FEWEST} epochs")
    found = (_hidden_in(record, limits, split, terms) for split, terms in tables.items() if len(terms) >= 2)
    return next(filter(None, found), None)


def _terms(record: Record, split: str) -> dict[str, pd.Series]:
    terms = {name: comparable(record, record.series(f"{split}_{name}_weighted")) for name in TERMS}
    return {name: term for name, term in terms.items() if len(term) >= _FEWEST}


def _hidden_in(record: Record, limits: Thresholds, split: str, terms: dict[str, pd.Series]) -> Finding | None:
    levels = pd.DataFrame({name: smooth(term) for name, term in terms.items()}).dropna()
    if len(levels) < _FEWEST:
        return None
    total, last = levels.sum(axis=1), int(levels.index[-1])
    for name, term in terms.items():
        spread = name == "prediction" and record.objective == "lejepa"
        level = levels[name].loc[EARLY * last if spread else 0 :]
        low = lowest(level)
        change = (levels.loc[last] - levels.loc[low]) / max(total[low], SMALLEST)
        rise, fall = change[name], -change[change < 0].sum()
        if min(rise, fall) < limits.hidden_rise or not grew(level[low], level[last], 1.5, term):
            continue
        return _hidden(record, limits, split, name, levels.loc[[low, last]])
    return None


def comparable(record: Record, losses: pd.Series, by: tuple[str, ...] = ("queue_fill",)) -> pd.Series:
    """The epochs with as many negatives as the last one, or as many of the tasks.

    A queue that fills and a curriculum that admits harder tasks raise the loss by design.
    """
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
    tries: dict[str, dict[str, Any]] = {
        "relational": {"loss.relational.enabled": False},
        "invariance": {"loss.invariance.enabled": False},
        "commitment": {"quantizer.commitment.weight": record.scaled("quantizer.commitment.weight", 0.1, 0.15)},
        "sigreg": {"lambda_sigreg": record.scaled("lambda_sigreg", 2, 1.0)}
        if record.objective == "lejepa"
        else {"loss.sigreg.weight": record.scaled("loss.sigreg.weight", 2, 0.1)},
        "prediction": {"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)},
    }
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
        f"Look at the terms one by one, select by the prediction term, and hold {name} back.",
        "epoch",
        first,
        last,
        record.tries(tries[name]),
    )


def watched(record: Record, split: str) -> tuple[str, ...]:
    """What should fall over all of training. The squared error of LeJEPA grows with the embeddings' variance, so that
    only the relative one tells."""
    own = {"infonce": ("prediction",), "lejepa": ("prediction_error",)}
    return tuple(f"{split}_{name}" for name in ("total", *own.get(record.objective, ())))


def rising_loss(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Final training total >= loss_rise times its smallest, among epochs with as many negatives and tasks."""
    every = record.series(*watched(record, "train"))
    if not len(every):
        return Skipped("lacks train_total")
    total = comparable(record, every, ("queue_fill", "admitted_share"))
    if len(total) < _FEWEST:
        return None
    level = smooth(total)
    low = lowest(level)
    if not grew(level[low], level.iloc[-1], limits.loss_rise, every):
        return None
    rise = over(level.iloc[-1], level[low])
    return Finding(
        "rising training loss",
        "critical",
        f"The training loss rises by {rise - 1:.0%} from its smallest value in epoch {low}.",
        {"smallest": level[low], "final": level.iloc[-1], "final_over_smallest": rise},
        "loss_rise",
        limits.loss_rise,
        "The learning rate is too high for the late loss, or the loss itself moves: a temperature that sharpens, a "
        "teacher that drifts.",
        "Halve the learning rate; under InfoNCE, also try a higher lower bound of the temperature.",
        "epoch",
        low,
        int(total.index[-1]),
        record.tries({"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)}),
    )


RULES = (
    Rule("relational explosion", relational_explosion, (RELATIONAL,), relational_off),
    Rule("relational share", relational_share, ("train_relational_weighted", "train_total"), relational_off),
    Rule("hidden component", hidden_component),
    Rule("rising training loss", rising_loss),
)
