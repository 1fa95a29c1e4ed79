"""What validation says beside training: a plateau, memorisation, and views that break the relation to learn."""

import itertools
import math

import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Number, Rule, Skipped
from arcjepa.findings.losses import watched
from arcjepa.findings.objective import FEWEST, chance_levels, prediction
from arcjepa.findings.records import Record
from arcjepa.findings.series import (
    SMALLEST,
    end,
    grew,
    is_even,
    last_stretch,
    lowest,
    noise,
    over,
    running_median,
    scatter,
    smooth,
)

LATE, STILL = 2 / 3, 0.98
"""Validation improves no more where, since two thirds of the run, it fell to no less than this share."""
NEAR_CHANCE = 0.8
"""Share of ln(candidates) above which a contrastive loss has learned next to nothing."""
UNKNOWN_NOISE = 1.5
"""How much further validation has to rise where epochs are too few or too uneven to tell its noise well."""
SCATTERS = 3.8
"""There it also has to rise by so many standard deviations: of healthy records with 3 % noise below 2 % do."""
FEW = 12
"""Below so many of such epochs a running median would hide the end; instead no earlier rise may be like the last."""
LAST_RISE = 1.25
"""How much the last rise has to exceed each earlier one."""
GAP_GROWTH = 1.5
"""A gap that was there from the start is one of data, not of memory."""
_ERRORS = "train_prediction_error and val_prediction_error, or both prediction losses with settings in run.json"


def plateau(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """final / best - 1 >= plateau, at least three epochs after the best, of the validation total or the prediction;
    and beyond their noise.

    A note where early stopping ended the run: the best weights were kept.
    """
    for name in watched(record, "val"):
        losses = record.series(name)
        if len(losses) < FEWEST:
            continue
        best, last = lowest(losses), int(losses.index[-1])
        if last - best < FEWEST or not _ends_above(losses, limits.plateau):
            continue
        worse = over(losses.iloc[-1], losses[best]) - 1
        stopped = record.setting("stopping.enabled") is True and last - best >= (
            record.number("stopping.patience") or float("inf")
        )
        return Finding(
            "plateau",
            "note" if stopped else "warning",
            f"Validation is best in epoch {best} ({losses[best]:#.4g}) and ends {worse:.1%} worse "
            f"({losses.iloc[-1]:#.4g}).",
            {"best": losses[best], "best_epoch": best, "final": losses.iloc[-1], "final_over_best": 1 + worse,
             "column": name},
            "plateau",
            limits.plateau,
            "Training went on past its best epoch: what it still learned does not generalise, or another term took "
            "over.",
            f"Stop here: at epoch {best}, by early stopping, and keep its weights; any patience below {last - best} "
            "epochs would have ended this run before its last epoch.",
            "epoch",
            best,
            last,
            record.tries({"stopping.enabled": True, "stopping.patience": _patience(losses, best)}),
        )  # fmt: skip
    enough = any(len(record.series(name)) >= FEWEST for name in watched(record, "val"))
    return None if enough else Skipped(f"lacks {FEWEST} epochs of val_total")


def _ends_above(losses: pd.Series, share: float) -> bool:
    """Whether losses end above their best by more than a share of it, and by more than noise explains."""
    if noise(losses) and is_even(losses):
        level = smooth(losses)
        return grew(level.min(), level.iloc[-1], 1 + share, losses)
    level = running_median(losses) if len(losses) >= FEW else losses
    until, since = losses.loc[: lowest(losses)], losses.loc[lowest(losses) :]
    if len(losses) < FEW and losses.iloc[-1] < since.max():
        return False
    earlier = math.log(over((until / until.cummin()).max(), 1.0)) if len(losses) < FEW else 0.0
    needed = max(math.log1p(UNKNOWN_NOISE * share), SCATTERS * scatter(losses), LAST_RISE * earlier)
    return math.log(over(level.iloc[-1], level.min())) >= needed


def _patience(losses: pd.Series, best: int) -> int:
    """Epochs that outlast every wait for an improvement up to the best one, but not the time after it.

    Half of that time where too few epochs are known to tell.
    """
    left = int(losses.index[-1]) - best
    before = losses.loc[:best]
    if 2 * len(before) < best:
        return max(1, left // 2)
    better = before.index[before < before.shift().cummin().fillna(math.inf)]
    waits = [int(b - a) for a, b in itertools.pairwise(better)]
    return max(1, min(left - 1, max(waits, default=1) + 1))


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
    return {name: table for name, table in tables.items() if len(table) >= FEWEST}


def memorisation(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """validation / training error at the end >= memorisation where validation improves no more, or twice that where it
    does; and 1.5 times the smallest such ratio before."""
    pairs = error_pairs(record)
    for measure, pair in pairs.items():
        ratio = pair["val"] / pair["train"].clip(lower=SMALLEST)
        level, val = smooth(ratio), smooth(pair["val"])
        improves = val.iloc[-1] < STILL * val.iloc[round(LATE * (len(val) - 1))]
        limit = limits.memorisation * (2 if improves else 1)
        if level.iloc[-1] < limit or not grew(level.min(), level.iloc[-1], GAP_GROWTH, ratio):
            continue
        first, last = last_stretch(level >= limits.memorisation), int(ratio.index[-1])
        return Finding(
            "memorisation",
            "warning",
            f"The validation error is {level.iloc[-1]:.1f} times the training error at the end, and was "
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
    Rule("plateau", plateau),
    Rule("memorisation", memorisation),
    Rule("broken relation", broken_relation),
)
