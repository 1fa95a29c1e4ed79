"""Faults of the regulariser: a SIGReg that is saturated, or too weak or too strong for the prediction."""

import math

import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.series import SMALLEST, end, last_stretch, over, smooth
from arcjepa.settings import PRIMARY_SIGREG

GAUSSIAN, COLLAPSED = 1.05, 0.402
"""Epps-Pulley of Gaussian data, and per sequence of embeddings that are all zero."""
NORMALISED = (0.38, 0.42)
"""Around 0.402, near which SIGReg of unit-length embeddings stays without its factor N."""
USUAL_WEIGHT = 0.1
"""That of the analysed run: a weighted SIGReg of 0.04 is the normalised form at this weight."""
SETTLED = 0.1
"""First share of the epochs in which SIGReg may move, as embeddings leave where they started."""
SMALLEST_EPPS_PULLEY = 3.0
"""Below it a small batch tells nothing."""
RANK_MOVED, FEWEST = 1.5, 3
LEARNED, START = 1.1, 0.02
"""Change of the prediction that no embeddings make that stay as they are; first share of the epochs, which shows it."""


def lejepa_off(record: Record) -> str:
    """Why there is no lambda_sigreg."""
    return "the objective is not LeJEPA" if record.objective == "infonce" else ""


def sigreg_off(record: Record) -> str:
    """Why there is no SIGReg."""
    off = record.setting("loss.sigreg.enabled") is False and record.objective != "lejepa"
    return "SIGReg is off" if off else ""


def saturated_sigreg(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """(max - min) / median of SIGReg over all epochs, or all but the first tenth, < sigreg_motion, where it should have
    moved.

    It should have where it lies in the band that the normalised form cannot leave, or where ranks changed by half;
    where no rank is recorded, since the first epoch, where the prediction changed by a tenth.
    """
    raw, weighted = record.series("train_sigreg"), record.series("train_sigreg_weighted")
    weight = record.number("loss.sigreg.weight") if record.objective == "infonce" else None
    if not len(raw) and len(weighted) and record.objective != "lejepa":
        weight = weight or USUAL_WEIGHT
        raw = weighted / weight if weight == record.number("loss.sigreg.weight") or _banded(weighted / weight) else raw
    every = raw if len(raw) else weighted
    if len(every) < FEWEST + 1:
        return Skipped(f"has {len(every)} epochs of SIGReg, needs {FEWEST + 1}")
    ranks = [r for side in ("context", "target") if len(r := record.series(f"effective_rank_{side}")) > 1]
    moved = max((over(rank.max(), rank.min()) for rank in ranks), default=float("nan"))
    settled = every[every.index > SETTLED * every.index[-1]]
    for shown in (every, settled):
        still = len(shown) > FEWEST and over(shown.max() - shown.min(), shown.median()) < limits.sigreg_motion
        banded = len(raw) > 0 and _banded(shown)
        learned = not ranks and shown is every and _learned(record, every)
        if still and (banded or moved >= RANK_MOVED or learned):
            return _saturated(record, limits, shown, moved, banded)
    return None


def _learned(record: Record, sigreg: pd.Series) -> bool:
    """Whether the embeddings must have changed since the first epochs, which are recorded: the prediction did."""
    settled = record.objective == "lejepa" and sigreg.median() <= SMALLEST_EPPS_PULLEY
    error = record.series("train_prediction_error", "train_prediction", "train_prediction_weighted")
    early = sigreg.index[0] <= max(1, START * sigreg.index[-1])
    level = smooth(error)
    return early and not settled and len(error) > 1 and over(level.max(), level.min()) >= LEARNED


def _banded(values: pd.Series) -> bool:
    return len(values) > 0 and NORMALISED[0] <= values.min() and values.max() <= NORMALISED[1]


def _saturated(record: Record, limits: Thresholds, shown: pd.Series, moved: float, banded: bool) -> Finding:
    weighted = record.series("train_sigreg_weighted")
    numbers = {"motion": over(shown.max() - shown.min(), shown.median())}
    numbers |= {"smallest": shown.min(), "largest": shown.max()}
    numbers |= {"weighted": weighted.median()} if len(weighted) else {}
    numbers |= {"rank_change": moved} if math.isfinite(moved) else {}
    first, last = int(shown.index[0]), int(shown.index[-1])
    return Finding(
        "saturated SIGReg",
        "warning",
        f"SIGReg stays within [{shown.min():.3f}, {shown.max():.3f}] from epoch {first} to {last}"
        + (f" while effective ranks change {moved:.1f}-fold: it regularises nothing." if moved >= RANK_MOVED else "."),
        numbers,
        "sigreg_motion",
        limits.sigreg_motion,
        "Tested on unit-length embeddings and without the factor N, the statistic stays near 0.402, its value for "
        "zeros, whatever they do, and its gradient is nearly zero: a stable value is no sign of health."
        if banded
        else "The term does not respond to the embeddings that it should shape.",
        "Raise lambda_sigreg, and see whether its gradient reaches the encoder."
        if record.objective == "lejepa"
        else "Use the published form, on embeddings that are not normalised; or drop the term, which changes nothing.",
        "epoch",
        first,
        last,
        record.tries({"lambda_sigreg": record.scaled("lambda_sigreg", 2, 1.0)})
        if record.objective == "lejepa"
        else record.tries({"loss.sigreg.form": "published"}, {"loss.sigreg.weight": 0.0}),
    )


def lambda_range(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """lambda_sigreg outside [lambda_min, lambda_max]: as set, else weighted over raw SIGReg times N / 12.8."""
    strength = record.own("loss.lambda_sigreg")
    if strength is None:
        strength = record.own("lambda_sigreg")
    if strength is None:
        raw, weighted = record.series("train_sigreg"), record.series("train_sigreg_weighted")
        if record.objective != "lejepa" or record.own_batch is None or not len(raw) or not len(weighted):
            return Skipped("lacks settings.loss.lambda_sigreg in run.json")
        strength = float((weighted / raw.clip(lower=SMALLEST)).median()) * record.own_batch / PRIMARY_SIGREG
    if limits.lambda_min <= strength <= limits.lambda_max:
        return None
    low = strength < limits.lambda_min
    product, batch = PRIMARY_SIGREG * strength, record.batch
    # The same trade-off in the form (1 - lambda) * prediction + lambda * SIGReg.
    published = {"published_lambda": over(product, batch + product)} if batch else {}
    return Finding(
        "lambda out of range",
        "warning",
        f"lambda_sigreg = {strength:g} is {'below' if low else 'above'} what works: lambda * N is "
        f"{product:.3g}, and published recipes have 5 to 26.",
        {"lambda_sigreg": strength, "lambda_times_n": product, **published},
        "lambda_min" if low else "lambda_max",
        limits.lambda_min if low else limits.lambda_max,
        "Too weak a SIGReg lets embeddings collapse." if low else "Too strong a SIGReg drowns the prediction.",
        "Go back into the range; 1.0 is its middle.",
        *record.span,
        record.tries({"lambda_sigreg": 1.0}),
    )


def epps_pulley(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Epps-Pulley at the end > 1.05 + epps_pulley_excess * N, and at least 3, on either side; LeJEPA only."""
    batch = record.batch
    if batch is None:
        return Skipped("lacks settings.training.batch_size in run.json: the statistic grows with it")
    limit = max(SMALLEST_EPPS_PULLEY, GAUSSIAN + limits.epps_pulley_excess * batch)
    sides = {side: record.series(f"epps_pulley_{side}") for side in ("context", "target")}
    worst = max((side for side in sides if len(sides[side])), key=lambda side: end(sides[side]))
    statistic = sides[worst]
    if end(statistic) <= limit:
        return None
    if record.young:
        return Skipped(f"{record.young}, and embeddings start far from Gaussian")
    return Finding(
        "embeddings far from Gaussian",
        "warning",
        f"The Epps-Pulley statistic of {worst} embeddings ends at {end(statistic):.1f}; Gaussian data have {GAUSSIAN}.",
        {"side": worst, "final": end(statistic), "smallest": statistic.min(), "limit": limit,
         "share_of_collapse": over(end(statistic), COLLAPSED * batch)},
        "epps_pulley_excess",
        limits.epps_pulley_excess,
        "SIGReg is too weak, its gradient vanished near zero variance, or training ended before it worked.",
        "Raise lambda_sigreg, or the learning rate, so that embeddings leave the collapse they start in.",
        "step",
        last_stretch(smooth(statistic) > limit),
        int(statistic.index[-1]),
        record.tries(
            {"lambda_sigreg": record.scaled("lambda_sigreg", 2, 1.0)},
            {"optimizer.lr": record.scaled("optimizer.lr", 2, 5e-4)},
        ),
    )  # fmt: skip


SIGREG = ("train_sigreg|train_sigreg_weighted",)
EPPS_PULLEY = ("epps_pulley_context|epps_pulley_target",)
RULES = (
    Rule("saturated SIGReg", saturated_sigreg, SIGREG, sigreg_off),
    Rule("lambda out of range", lambda_range, off=lejepa_off),
    Rule("embeddings far from Gaussian", epps_pulley, EPPS_PULLEY, lejepa_off),
)
