"""What validation says beside training: memorisation, and views that break the relation to learn."""

import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Number, Rule, Skipped
from arcjepa.findings.objective import FEWEST, chance_levels, prediction
from arcjepa.findings.records import Record
from arcjepa.findings.series import SMALLEST, end, grew, last_stretch, noise, over, smooth, times

LATE, STILL = 2 / 3, 0.02
"""Validation improves no more where it fell by less than this share, or than its noise, since two thirds of the run."""
WORSE = 1.1
"""Validation gets worse where it ends so many times above its best."""
NEAR_CHANCE = 0.8
"""Share of ln(candidates) above which a contrastive loss has learned next to nothing."""
GAP_GROWTH = 1.5
"""A gap that was there from the start is one of data, not of memory."""
_ERRORS = "train_prediction_error and val_prediction_error, or both prediction losses with settings in run.json"


def error_pairs(record: Record) -> dict[str, pd.DataFrame]:
    """Training and validation error by epoch (columns train, val), comparable with each other, by what they measure.

    Relative squared errors; under InfoNCE, whose loss sees directions only, also the loss over ln(candidates), as
    validation has fewer candidates; under LeJEPA without relative errors, the prediction losses.
    """
    errors = [record.series(f"{split}_prediction_error") for split in ("train", "val")]
    losses = [prediction(record, split) for split in ("train", "val")]
    pairs = {"prediction_error": errors}
    if record.objective == "infonce":
        shares = [loss / chance_levels(record, split) for loss, split in zip(losses, ("train", "val"), strict=True)]
        pairs["share_of_chance"] = shares
    if record.objective == "lejepa":
        pairs["prediction"] = losses
    tables = {name: pd.DataFrame({"train": train, "val": val}).dropna() for name, (train, val) in pairs.items()}
    # An error of exactly zero was not computed.
    tables = {name: table[(table > 0).all(axis=1)] for name, table in tables.items()}
    return {name: table for name, table in tables.items() if len(table) >= FEWEST}


def memorisation(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """validation / training error at the end >= memorisation where validation improves no more, twice that where it
    does, three quarters where it gets worse; and 1.5 times the smallest such ratio before."""
    pairs = error_pairs(record)
    for measure, pair in pairs.items():
        ratio = pair["val"] / pair["train"].clip(lower=SMALLEST)
        level, val = smooth(ratio), smooth(pair["val"])
        improves = val.iloc[-1] < (1 - max(STILL, noise(pair["val"]))) * val.iloc[round(LATE * (len(val) - 1))]
        worsens = grew(val.min(), val.iloc[-1], WORSE, pair["val"])
        limit = limits.memorisation * (2 if improves else 0.75 if worsens else 1)
        if level.iloc[-1] < limit or not grew(level.min(), level.iloc[-1], GAP_GROWTH, ratio):
            continue
        first, last = last_stretch(level >= min(limit, limits.memorisation)), int(ratio.index[-1])
        return Finding(
            "memorisation",
            "warning",
            f"The validation error is {times(level.iloc[-1])} the training error at the end, and was "
            f"{level.min():.1f} times at least.",
            {"measure": measure, "final_training": end(pair["train"]), "final_validation": end(pair["val"]),
             "final_ratio": level.iloc[-1], "smallest_ratio": level.min(), "best_validation": pair["val"].min()},
            "memorisation",
            limits.memorisation,
            "The model learns its tasks by heart: they are too few for its size and for so many epochs.",
            "Show more different tasks; else a smaller model, more dropout, or an early stop.",
            "epoch",
            first,
            last,
            _more_tasks(record),
        )  # fmt: skip
    return None if pairs else Skipped(f"lacks {_ERRORS}")


def _more_tasks(record: Record) -> tuple[str, ...]:
    return record.tries(
        {"data.synthetic.tasks": int(record.scaled("data.synthetic.tasks", 4, 50000))},
        {"sequence.synthetic_share": round((1 + record.scaled("sequence.synthetic_share", 1, 0.6)) / 2, 3)},
        {"model.dropout": min(0.5, record.scaled("model.dropout", 2, 0.1))},
        {"stopping.enabled": True, "stopping.patience": 5},
    )


def broken_relation(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Training error / validation error at the end >= view_gap, or a prediction no better than the mean.

    Training sequences are seen under views, validation as they are. Views drawn apart for context and target hide
    their relation in training alone; where nothing is left of it, the error stays at the target's variance (under
    InfoNCE also the loss near chance, since its error alone says little).
    It cannot tell broken views from a target that its context does not determine. And it is blind where the encoder
    became blind: one that ignores whatever the views change predicts well, and only the yardstick shows what was lost.
    """
    pairs = {name: pair for name, pair in error_pairs(record).items() if len(pair) >= FEWEST + 2}
    if not pairs:
        return Skipped(f"lacks {FEWEST + 2} epochs with {_ERRORS}")
    gaps = {name: over(end(pair["train"]), end(pair["val"])) for name, pair in pairs.items()}
    widest = max(gaps, key=lambda name: gaps[name])
    unpredicted = _unpredicted(pairs, record.objective, limits)
    if gaps[widest] < limits.view_gap and not unpredicted:
        return None
    if record.young:
        return Skipped(f"{record.young}, and predictions start at the mean")
    key, measure = ("unpredicted", "prediction_error") if unpredicted else ("view_gap", widest)
    pair = pairs[measure]
    train, val = end(pair["train"]), end(pair["val"])
    numbers: dict[str, Number] = {"measure": measure, "final_training": train, "final_validation": val}
    if record.has("train_invariance"):
        numbers["final_invariance"] = end(record.series("train_invariance"))
    return Finding(
        "broken relation",
        "critical" if unpredicted else "warning",
        f"The prediction ends no better than the mean of the targets: relative error {train:.2f}."
        if unpredicted
        else f"Training, which sees views, ends at {gaps[measure]:.1f} times the error of validation, which sees none.",
        numbers | {"training_over_validation": over(train, val)},
        key,
        getattr(limits, key),
        "An augmentation breaks the relation of context and target, as when each frame draws its own; or the context "
        "does not show the rule.",
        "Draw one view per sequence, target included; switch the invariance loss off; show demonstrations.",
        "epoch",
        int(pair.index[0]),
        int(pair.index[-1]),
        record.tries(
            *([] if record.setting("loss.invariance.enabled") is False else [{"loss.invariance.enabled": False}]),
            {"sequence.framing": "demonstrations"},
            {"sequence.window": 5},
        ),
    )


def _unpredicted(pairs: dict[str, pd.DataFrame], objective: str, limits: Thresholds) -> bool:
    """Whether the prediction ends no better than the mean, so that under InfoNCE the loss ends near chance too."""
    needed = {"lejepa": {"prediction_error"}, "infonce": {"prediction_error", "share_of_chance"}}.get(objective)
    levels = {"prediction_error": limits.unpredicted, "share_of_chance": NEAR_CHANCE}
    return needed is not None and all(name in pairs and end(pairs[name]["train"]) >= levels[name] for name in needed)


RULES = (
    Rule("memorisation", memorisation),
    Rule("broken relation", broken_relation),
)
