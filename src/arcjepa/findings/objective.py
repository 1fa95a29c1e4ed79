"""Faults of the objective: a contrast that tells nothing, views that are not learned, a temperature at its bound."""

import math

import numpy as np
import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.series import end, last_stretch, smooth

UNRELATED = 2.0
"""Squared distance of unit vectors at right angles."""
AT_BOUND, FEWEST = 0.01, 3
LEARNED = 0.1
"""How far below chance, as a share of it, a loss was that had learned something."""
BEYOND_CHANCE = 1.05
"""Times ln(batch) above which no loss among a batch lies for long."""


def contrastive_off(record: Record) -> str:
    """Why there is no contrastive loss."""
    return "the objective is not contrastive" if record.objective == "lejepa" else ""


def prediction(record: Record, split: str) -> pd.Series:
    """The prediction loss by epoch; its weight is 1 but under GradNorm."""
    return record.series(f"{split}_prediction", f"{split}_prediction_weighted")


def chance_levels(record: Record, split: str) -> pd.Series:
    """ln(candidates) by epoch: the batch's and, in training, those in the queue by then. Empty if unknown.

    Validation has no queue here. Of a run that does not say its validation batch, as ours do, a loss above what the
    batch alone allows was contrasted with one.
    """
    losses, batch = prediction(record, split), record.batch if split == "train" else record.validation_batch
    queue = record.number("loss.infonce.queue")
    if batch is None or (queue is None and split == "train"):
        return pd.Series(dtype=float)
    known = not queue or "validation_batch" in record.summary
    alone = split == "val" and (known or smooth(losses).max() <= BEYOND_CHANCE * math.log(max(batch, 2)))
    fill = record.series("queue_fill").reindex(losses.index).fillna(1.0).clip(0, 1)
    return np.log((batch + (0.0 if alone else queue or 0.0) * fill).clip(lower=2))


def chance(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Contrastive loss at the end >= chance * ln(candidates), in training; or in validation alone, if it never was much
    lower: what was learned and lost there is a plateau."""
    shares = {split: (prediction(record, split) / chance_levels(record, split)).dropna() for split in ("train", "val")}
    if not any(map(len, shares.values())):
        return Skipped("lacks settings.training.batch_size and settings.loss.infonce.queue in run.json")
    if record.assumed:
        # A loss that was above chance had more candidates than are assumed.
        shares = {split: share for split, share in shares.items() if smooth(share).max() <= BEYOND_CHANCE}
    guessing = [s for s, share in shares.items() if len(share) >= FEWEST and end(share) >= limits.chance]
    if not guessing or (guessing == ["val"] and len(prediction(record, "train")) and _learned(shares["val"], limits)):
        return None
    if record.young:
        return Skipped(f"{record.young}, and the loss starts at chance")
    return _guessing(record, limits, guessing[0], shares[guessing[0]])


def _learned(share: pd.Series, limits: Thresholds) -> bool:
    return float(share.min()) < limits.chance - LEARNED


def _guessing(record: Record, limits: Thresholds, split: str, share: pd.Series) -> Finding:
    levels, losses = chance_levels(record, split), prediction(record, split)
    first, best = last_stretch(smooth(share) >= limits.chance), share.min()
    learned = _learned(share, limits)
    alone = split == "val" and len(prediction(record, "train")) > 0
    return Finding(
        "contrastive loss at chance",
        "warning" if alone else "critical",
        f"The contrastive loss {'of validation alone ' if alone else ''}ends at {losses.iloc[-1]:.2f} nats, "
        f"and guessing among {math.exp(levels.iloc[-1]):.0f} candidates has {levels.iloc[-1]:.2f}.",
        {"final": losses.iloc[-1], "chance": levels.iloc[-1], "share_of_chance": end(share), "best_share": best},
        "chance",
        limits.chance,
        "What was learned of the training tasks says nothing of others: they are too few, or too unlike these."
        if alone
        else "It had learned and lost it: the learning rate is too high, or embeddings collapsed."
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


def invariance_off(record: Record) -> str:
    """Why there is no invariance loss."""
    return "the invariance loss is off" if record.setting("loss.invariance.enabled") is False else ""


def invariance(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Invariance loss at the end >= invariance times what embeddings have that share no direction with their views.

    Their squared distance is 2, and each view's weight multiplies it.
    """
    weights = [record.number(f"loss.invariance.{view}") for view in ("colour", "translation", "symmetry")]
    known = [weight for weight in weights if weight is not None]
    losses = record.series("train_invariance", "train_invariance_weighted")
    if len(known) < len(weights):
        return Skipped("lacks settings.loss.invariance in run.json")
    unrelated = UNRELATED * sum(known)
    if unrelated == 0 or len(losses) < FEWEST + 1 or end(losses) < limits.invariance * unrelated:
        return None
    return Finding(
        "invariance not learned",
        "warning",
        f"The invariance loss ends at {end(losses):.3g}, and views that have nothing to do with their frames have "
        f"{unrelated:.3g}.",
        {"final": end(losses), "unrelated": unrelated, "smallest": losses.min()},
        "invariance",
        limits.invariance,
        "Frames and their views get embeddings without a common direction: the views change what the other terms need, "
        "or the weight is too small to matter.",
        "Leave out the view that the tasks are not invariant to, or the whole term.",
        "epoch",
        last_stretch(smooth(losses) >= limits.invariance * unrelated),
        int(losses.index[-1]),
        record.tries({"loss.invariance.enabled": False}, {"loss.invariance.symmetry": 0.0}),
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


RULES = (
    Rule(
        "contrastive loss at chance",
        chance,
        ("|".join(f"{split}_prediction{form}" for split in ("train", "val") for form in ("", "_weighted")),),
        contrastive_off,
    ),
    Rule("invariance not learned", invariance, ("train_invariance|train_invariance_weighted",), invariance_off),
    Rule("temperature at a bound", temperature_bound, ("temperature",), contrastive_off),
)
