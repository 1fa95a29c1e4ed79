"""Faults of the relational loss: it explodes, or takes a share of the total that nobody gave it."""

import math

import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Severity, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.series import NOISE_LIMITS, SMALLEST, grew, highest, lowest, noise, over, smooth, times

MATERIAL = 0.01
"""Share of the total below which a term is too small to matter."""
DOMINANT = 2
"""Times `relational_share` that a share may not be throughout, however steady."""
TRAIN, VAL = ("train_relational_weighted", "train_relational"), ("val_relational_weighted", "val_relational")
RELATIONAL = "|".join(TRAIN + VAL)


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
    than `formulas.relational_growth`: of the smoothed loss and the whole run. A warning where it came back, as one
    epoch far beyond the noise does, or where training shows none and validation does.
    """
    for split, columns in (("train", TRAIN), ("val", VAL)):
        term = record.series(*columns)
        level = smooth(term)
        for values, factor in ((level, 1.0), (term, 2.0)):
            found = _explosion(record, limits, split, (term, values, factor))
            if found:
                return found
    return None


def _explosion(
    record: Record, limits: Thresholds, split: str, series: tuple[pd.Series, pd.Series, float]
) -> Finding | None:
    """`series`: the term, its values as they are judged, and how much further than usual they must leave the noise."""
    term, level, factor = series
    if not len(level):
        return None
    ratio = level / smooth(term).cummin().clip(lower=SMALLEST)
    peak = highest(ratio)
    low = lowest(smooth(term).loc[:peak])
    smallest = float(smooth(term)[low])
    noisy = math.exp(factor * NOISE_LIMITS * noise(term))
    if ratio[peak] < noisy or not grew(smallest, level[peak], limits.explosion, term):
        return None
    if _trifling(record, split, peak):
        return None
    after = ratio.loc[low:]
    first = int(after.index[after >= limits.explosion_start][0])
    last = highest(term.loc[first:])
    growth = over(term[last], smallest)
    back = over(smooth(term).iloc[-1], smallest) < limits.explosion_start
    severity: Severity = "warning" if back or split == "val" else "critical"
    where = " in validation alone" if split == "val" and record.has(*TRAIN) else ""
    return Finding(
        "relational explosion",
        severity,
        f"The relational loss grows {times(growth).removesuffix(' times')}-fold{where}, from {smallest:#.3g} to "
        f"{term[last]:#.3g}" + (", and falls back." if back else "."),
        {"smallest": smallest, "smallest_epoch": low, "at_start": term[first], "peak": term[last],
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


def _trifling(record: Record, split: str, epoch: int) -> bool:
    """Whether the weighted term is below a hundredth of the total there; False where that is unknown."""
    share = _share(record, split)
    return epoch in share.index and share[epoch] < MATERIAL


def _share(record: Record, split: str = "train") -> pd.Series:
    term, total = record.weighted(split, "relational"), record.total(split)
    return (term / total[total > 0]).dropna()


def relational_share(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """max of relational / total >= relational_share, and twice the first, while the term itself grew by half; or twice
    relational_share throughout.

    The condition on the term is for a share that grows because everything else is learned.
    """
    share, term = _share(record), record.weighted("train", "relational")
    if not len(share):
        return Skipped("no epoch has both train_relational_weighted and train_total")
    level = smooth(share)
    peak, first = highest(level), int(share.index[0])
    low = smooth(term).loc[:peak].min()
    grown = grew(level[first], level[peak], 2, share) and grew(low, smooth(term)[peak], 1.5, term)
    throughout = level.min() >= DOMINANT * limits.relational_share and not record.young
    if level[peak] < limits.relational_share or not (grown or throughout):
        return None
    return Finding(
        "relational share",
        "warning",
        f"The relational loss grows from {share[first]:.1%} to {share[peak]:.1%} of the total."
        if grown
        else f"The relational loss is {level.min():.1%} of the total or more in every epoch.",
        {"first_share": share[first], "smallest_share": share.min(), "largest_share": share[peak],
         "final_share": share.iloc[-1]},
        "relational_share",
        limits.relational_share,
        "The weight is fixed and the term is not, so an auxiliary loss comes to decide where the encoder goes."
        if grown
        else "The weight makes an auxiliary loss one of the main ones.",
        "Remove or normalise the relational loss, or set its weight by the share that it should have.",
        "epoch",
        first,
        peak if grown else int(share.index[-1]),
        relational_tries(record),
    )  # fmt: skip


RULES = (
    Rule("relational explosion", relational_explosion, (RELATIONAL,), relational_off),
    Rule("relational share", relational_share, ("|".join(TRAIN),), relational_off),
)
