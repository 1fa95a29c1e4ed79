"""Collapse of the embeddings: complete, to a point, or dimensional, to a few directions."""

import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.regulariser import COLLAPSED
from arcjepa.findings.series import SMALLEST, end, last_stretch, longest_stretch, smooth

SIDES = ("context", "target")
START = 0.1
"""First share of the steps, in which ranks leave where they started: untrained, they may be high."""
PASSING = 3
"""Rows that make a collapse one that passed."""
DIRECTIONS = 2.0
"""Effective rank from which on embeddings that shrink still differ in direction."""


def remedies(record: Record) -> tuple[str, ...]:
    """A stronger push away from collapse."""
    if record.objective == "lejepa":
        return record.tries({"lambda_sigreg": record.scaled("lambda_sigreg", 2, 1.0)}, {"loss.teacher.enabled": True})
    published = {"loss.sigreg.enabled": True, "loss.sigreg.form": "published", "loss.sigreg.weight": 1.0}
    return record.tries(published, {"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)})


def complete_collapse(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Variance at the end < collapse_variance, or shrunk_variance of what it was or should be, on either side.

    A warning where it was so for some rows and recovered. InfoNCE leaves the variance free, so that only a fall counts.
    """
    sides = {side: record.series(f"variance_{side}") for side in SIDES}
    for side, variance in sides.items():
        limit, key = _lowest_variance(record, limits, side)
        if len(variance) and end(variance) < limit:
            if record.young and smooth(variance).max() < limit:
                return Skipped(f"{record.young}, and embeddings start near zero")
            return _collapsed(record, side, limit, (key, getattr(limits, key)))
    passing = (_passing(record, limits, side) for side in SIDES if len(sides[side]))
    return next(filter(None, passing), None)


def _lowest_variance(record: Record, limits: Thresholds, side: str) -> tuple[float, str]:
    """What the variance may end at, and the threshold that says so."""
    variance = smooth(record.series(f"variance_{side}"))
    wanted = float(variance.max()) if len(variance) else 0.0
    if record.objective == "lejepa" and not _other_unit(record, side):
        wanted = 1.0
    shrunk = limits.shrunk_variance * wanted
    return (
        (shrunk, "shrunk_variance")
        if shrunk > limits.collapse_variance
        else (limits.collapse_variance, "collapse_variance")
    )


def _other_unit(record: Record, side: str) -> bool:
    """Whether the Epps-Pulley statistic says that the variance is not small: it would be that of zeros."""
    statistic = record.series(f"epps_pulley_{side}")
    return len(statistic) > 0 and record.batch is not None and end(statistic) < COLLAPSED * record.batch / 2


def _collapsed(record: Record, side: str, limit: float, threshold: tuple[str, float]) -> Finding:
    variance, rank = record.series(f"variance_{side}"), record.series(f"effective_rank_{side}", f"rankme_{side}")
    apart = len(rank) > 0 and end(rank) >= DIRECTIONS
    what = (
        f"they shrink, though effective rank {end(rank):.1f} says that directions differ"
        if apart
        else "all inputs give one output"
    )
    return Finding(
        "complete collapse",
        "critical",
        f"The variance of {side} embeddings ends at {end(variance):.2g}: {what}.",
        {"side": side, "final_variance": end(variance), "largest_variance": variance.max(), "limit": limit},
        *threshold,
        "A constant embedding is predicted without error; nothing in the loss was strong enough against it.",
        "Strengthen SIGReg; do not read the prediction loss of this run.",
        "step",
        last_stretch(smooth(variance) < limit),
        int(variance.index[-1]),
        remedies(record),
    )


def _passing(record: Record, limits: Thresholds, side: str) -> Finding | None:
    """A collapse that was over at the end, after rows that had none."""
    variance = record.series(f"variance_{side}")
    low = variance < _lowest_variance(record, limits, side)[0]
    stretch = longest_stretch(low[(~low).cummax()])
    if len(stretch) < PASSING:
        return None
    lowest = float(variance[stretch].min())
    return Finding(
        "complete collapse",
        "warning",
        f"The variance of {side} embeddings falls to {lowest:.2g} for {len(stretch)} rows and recovers.",
        {"side": side, "smallest_variance": lowest, "final_variance": end(variance), "rows": len(stretch)},
        "shrunk_variance",
        limits.shrunk_variance,
        "The run came near a constant embedding and left it: what it learned before is lost.",
        "Strengthen SIGReg, or lower the learning rate.",
        "step",
        stretch[0],
        stretch[-1],
        remedies(record),
    )


def dimensional_collapse(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Effective rank at the end / min(dimensions, batch - 1) < collapse_rank, or < rank_fall of what it was.

    The latter needs no settings, and is a warning. Ranks start low, so that a run that just began is judged by a fall
    alone.
    """
    dimensions = record.number("model.embedding")
    possible = min(dimensions or float("nan"), (record.batch or float("inf")) - 1)
    reasons = [record.young, "" if dimensions else "lacks settings.model.embedding in run.json"]
    for side in SIDES:
        rank = record.series(f"effective_rank_{side}", f"rankme_{side}")
        if not len(rank):
            continue
        absolute = 0.0 if any(reasons) else limits.collapse_rank * possible
        limit = max(absolute, limits.rank_fall * _largest(rank))
        if end(rank) < limit:
            key = "collapse_rank" if end(rank) < absolute else "rank_fall"
            return _few_directions(record, limits, (side, key), (rank, limit, possible))
    return Skipped(next(filter(None, reasons))) if any(reasons) else None


def _largest(rank: pd.Series) -> float:
    """The level that a rank had once it left its start; that of all rows where these are few."""
    settled = rank[rank.index > START * rank.index[-1]]
    return float(smooth(settled if len(settled) > PASSING else rank).max())


def _few_directions(
    record: Record, limits: Thresholds, told: tuple[str, str], measured: tuple[pd.Series, float, float]
) -> Finding:
    """`told`: the side, and the threshold that was crossed. `measured`: the ranks, the limit that they end below, and
    how many directions there can be, NaN if unknown."""
    (side, key), (rank, limit, possible) = told, measured
    known = possible == possible
    fell = end(rank) < limits.rank_fall * _largest(rank)
    return Finding(
        "dimensional collapse",
        "critical" if key == "collapse_rank" or end(rank) < DIRECTIONS else "warning",
        f"The effective rank of {side} embeddings ends at {end(rank):.1f}"
        + (f" of {possible:.0f}" if known else "")
        + (f", from {_largest(rank):.1f}." if fell else "."),
        {"side": side, "final_rank": end(rank), "largest_rank": rank.max(), "limit": limit}
        | ({"possible_rank": possible} if known else {}),
        key,
        getattr(limits, key),
        "Embeddings vary along a few directions only: the regulariser is too weak, or blind to it.",
        "Strengthen SIGReg, in its published form.",
        "step",
        last_stretch(smooth(rank) < max(limit, SMALLEST)),
        int(rank.index[-1]),
        remedies(record),
    )


RULES = (
    Rule("complete collapse", complete_collapse, ("variance_context|variance_target",)),
    Rule(
        "dimensional collapse",
        dimensional_collapse,
        ("effective_rank_context|effective_rank_target|rankme_context|rankme_target",),
    ),
)
