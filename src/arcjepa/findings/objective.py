"""Faults of the objective: a regulariser that is saturated, too weak or too strong, a contrast that tells nothing."""

import math

import numpy as np
import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.series import SMALLEST, end, last_stretch, over, smooth
from arcjepa.settings import PRIMARY_SIGREG

GAUSSIAN, COLLAPSED = 1.05, 0.402
"""Epps-Pulley of Gaussian data, and per sequence of embeddings that are all zero."""
NORMALISED = (0.38, 0.42)
"""Around [0.395, 0.409], within which SIGReg of unit-length embeddings stays without its factor N."""
SMALLEST_EPPS_PULLEY = 3.0
"""Below it a small batch tells nothing."""
RANK_MOVED, AT_BOUND, FEWEST = 1.5, 0.01, 3


def contrastive_off(record: Record) -> str:
    """Why there is no contrastive loss."""
    return "the objective is not contrastive" if record.objective == "lejepa" else ""


def lejepa_off(record: Record) -> str:
    """Why there is no lambda_sigreg."""
    return "the objective is not LeJEPA" if record.objective == "infonce" else ""


def sigreg_off(record: Record) -> str:
    """Why there is no SIGReg."""
    off = record.setting("loss.sigreg.enabled") is False and record.objective != "lejepa"
    return "SIGReg is off" if off else ""


def saturated_sigreg(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """(max - min) / median of SIGReg over all epochs < sigreg_motion, where it should have moved.

    It should have where it lies in the band that the normalised form cannot leave, or where ranks changed by half.
    """
    raw, weighted = record.series("train_sigreg"), record.series("train_sigreg_weighted")
    weight = record.number("loss.sigreg.weight") if record.objective == "infonce" else None
    if not len(raw) and weight:
        raw = weighted / weight
    shown = raw if len(raw) else weighted
    if len(shown) < FEWEST + 1:
        return Skipped(f"has {len(shown)} epochs of SIGReg, needs {FEWEST + 1}")
    motion = over(shown.max() - shown.min(), shown.median())
    ranks = [r for side in ("context", "target") if len(r := record.series(f"effective_rank_{side}")) > 1]
    moved = max((over(rank.max(), rank.min()) for rank in ranks), default=float("nan"))
    banded = len(raw) > 0 and NORMALISED[0] <= raw.min() and raw.max() <= NORMALISED[1]
    if motion >= limits.sigreg_motion or not (banded or moved >= RANK_MOVED):
        return None
    numbers = {"motion": motion, "smallest": shown.min(), "largest": shown.max()}
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
        "Tested on unit-length embeddings and without the factor N, the statistic lies in [0.395, 0.409] whatever they "
        "do, and its gradient is nearly zero: a stable value is no sign of health."
        if banded
        else "The term does not respond to the embeddings that it should shape.",
        "Use the published form, on embeddings that are not normalised; or drop the term, which changes nothing.",
        "epoch",
        first,
        last,
        record.tries({"loss.sigreg.form": "published"}, {"loss.sigreg.weight": 0.0}),
    )


def lambda_range(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """lambda_sigreg outside [lambda_min, lambda_max]: as set, else weighted over raw SIGReg times N / 12.8."""
    strength = record.number("loss.lambda_sigreg")
    if strength is None:
        strength = record.number("lambda_sigreg")
    if strength is None:
        raw, weighted = record.series("train_sigreg"), record.series("train_sigreg_weighted")
        if record.objective != "lejepa" or record.batch is None or not len(raw) or not len(weighted):
            return Skipped("lacks settings.loss.lambda_sigreg in run.json")
        strength = float((weighted / raw.clip(lower=SMALLEST)).median()) * record.batch / PRIMARY_SIGREG
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
        experiments=record.tries({"lambda_sigreg": 1.0}),
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


def prediction(record: Record, split: str) -> pd.Series:
    """The prediction loss by epoch; its weight is 1 but under GradNorm."""
    return record.series(f"{split}_prediction", f"{split}_prediction_weighted")


def chance_levels(record: Record, split: str) -> pd.Series:
    """ln(candidates) by epoch: the batch's and, in training, those in the queue by then. Empty if unknown."""
    losses, batch = prediction(record, split), record.batch
    queue = record.number("loss.infonce.queue") if split == "train" else 0.0
    if batch is None or queue is None:
        return pd.Series(dtype=float)
    fill = record.series("queue_fill").reindex(losses.index)
    return np.log((batch + queue * fill.fillna(1.0).clip(0, 1)).clip(lower=2))


def chance(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Contrastive loss at the end >= chance * ln(batch + filled queue), or ln(batch) in validation."""
    split = "train" if len(prediction(record, "train")) else "val"
    levels, losses = chance_levels(record, split), prediction(record, split)
    if not len(levels):
        return Skipped("lacks settings.training.batch_size and settings.loss.infonce.queue in run.json")
    share = losses / levels
    if len(share) < FEWEST or end(share) < limits.chance:
        return None
    first, best = last_stretch(smooth(share) >= limits.chance), share.min()
    learned = best < limits.chance - 0.1
    return Finding(
        "contrastive loss at chance",
        "critical",
        f"The contrastive loss ends at {losses.iloc[-1]:.2f} nats, and guessing among {math.exp(levels.iloc[-1]):.0f} "
        f"candidates has {levels.iloc[-1]:.2f}.",
        {"final": losses.iloc[-1], "chance": levels.iloc[-1], "share_of_chance": end(share), "best_share": best},
        "chance",
        limits.chance,
        "It had learned and lost it: the learning rate is too high, or embeddings collapsed."
        if learned
        else "Nothing was learned: the context does not determine the target, embeddings collapsed, or the learning "
        "rate is far off.",
        "Check rank and variance, then that the context shows the rule; then change the learning rate.",
        "epoch",
        first,
        int(losses.index[-1]),
        record.tries(
            {"sequence.framing": "demonstrations"},
            {"optimizer.lr": record.scaled("optimizer.lr", 0.5 if learned else 2, 5e-4)},
            {"quantizer.kind": "none"},
        ),
    )


def temperature_bound(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """The learned temperature spends temperature_share of the epochs, up to the last, within 1 % of a bound."""
    temperature = record.series("temperature")
    leaf = "loss.infonce.temperature"
    bounds = {name: record.number(f"{leaf}_{name}") for name in ("min", "max")}
    if None in bounds.values():
        return Skipped("lacks settings.loss.infonce.temperature_min and _max in run.json")
    for name, bound in bounds.items():
        assert bound is not None
        first = last_stretch((temperature - bound).abs() <= AT_BOUND * bound)
        rows = 0 if first is None else len(temperature.loc[first:])
        if bounds["min"] == bounds["max"] or rows < 2 or rows < limits.temperature_share * len(temperature):
            continue
        return Finding(
            "temperature at a bound",
            "note",
            f"The temperature sits at its {'lower' if name == 'min' else 'upper'} bound of {bound:g} in the last "
            f"{rows} of {len(temperature)} recorded epochs.",
            {"bound": bound, "epochs_at_bound": rows, "epochs": len(temperature)},
            "temperature_share",
            limits.temperature_share,
            "The loss asks for a sharper softmax than is allowed." if name == "min"
            else "The loss asks for a flatter softmax than is allowed: positives do not stand out.",
            "Widen the bound, or fix the temperature on purpose.",
            "epoch",
            first,
            int(temperature.index[-1]),
            record.tries({f"{leaf}_{name}": record.scaled(f"{leaf}_{name}", 0.5 if name == "min" else 2, bound)}),
        )  # fmt: skip
    return None


SIGREG = ("train_sigreg|train_sigreg_weighted",)
EPPS_PULLEY = ("epps_pulley_context|epps_pulley_target",)
RULES = (
    Rule("saturated SIGReg", saturated_sigreg, SIGREG, sigreg_off),
    Rule("lambda out of range", lambda_range, off=lejepa_off),
    Rule("embeddings far from Gaussian", epps_pulley, EPPS_PULLEY, lejepa_off),
    Rule(
        "contrastive loss at chance",
        chance,
        ("|".join(f"{split}_prediction{form}" for split in ("train", "val") for form in ("", "_weighted")),),
        contrastive_off,
    ),
    Rule("temperature at a bound", temperature_bound, ("temperature",), contrastive_off),
)
