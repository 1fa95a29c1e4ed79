"""Validation that gets worse or stands still, and when to have stopped."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.objective import FEWEST
from arcjepa.findings.records import TERMS, Record
from arcjepa.findings.series import (
    NOISE_LIMITS,
    SMALLEST,
    absolute_noise,
    grew,
    is_even,
    lowest,
    noise,
    over,
    risen,
    running_median,
    scatter,
    smooth,
)
from arcjepa.findings.standstill import FEW, QUIET, left_behind, stalled

UNKNOWN_NOISE = 1.5
"""How much further validation has to rise where epochs are too few or too uneven to tell its noise well."""
SCATTERS = 3.8
"""There it also has to rise by so many standard deviations: of healthy records with 3 % noise below 2 % do."""
LAST_RISE = 1.25
"""How much the last rise has to exceed each earlier one."""
TAIL = 12
"""Last epochs whose line gives the level at the end."""
RANGE = 0.1
"""Of losses that reach zero or less: share of their range that a rise has to have."""
CLEAR, SLIGHT, SLIGHT_DEVIATIONS = "clear", "slight", 3.0
CRITERION = {"infonce": "val_prediction", "lejepa": "val_prediction_error"}
"""What early stopping watches, and which epoch's weights are kept."""


def plateau(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """final / best - 1 >= plateau, at least three epochs after the best, of what early stopping watches or of the
    validation total; and beyond their noise. Or it does not improve in the last `stalled` of the epochs, nor does
    training; or in the last `left_behind` of them, while training does.

    A note where early stopping ended the run, where the total alone rises, and where validation stands still.
    """
    watched = CRITERION.get(record.objective, "")
    columns = [name for name in (watched, "val_total") if len(record.series(name)) >= FEWEST]
    if not columns and len(record.total("val")) < FEWEST:
        return Skipped(f"lacks {FEWEST} epochs of val_total")
    known = {name: record.series(name) for name in columns} or {"val_total": record.total("val")}
    for name, losses in known.items():
        rise = _rise(losses, limits.plateau)
        if rise and name != watched and watched in columns:
            return _total_alone(record, limits, losses)
        if rise:
            return _worse(record, limits, (losses, name, rise))
    return (stalled(record, limits, columns[0]) or left_behind(record, limits, columns[0])) if columns else None


def _worse(record: Record, limits: Thresholds, judged: tuple[pd.Series, str, str]) -> Finding:
    """`judged`: losses, their column, and whether their rise is clear or slight."""
    losses, name, rise = judged
    best, last = lowest(losses), int(losses.index[-1])
    stopped = _stopped(record, losses)
    advice, change = _when_to_stop(record, losses)
    watched = CRITERION.get(record.objective, name)
    advice += f" Told from {name}, as {watched} is not recorded." if name != watched else ""
    return Finding(
        "plateau",
        "note" if stopped or rise == SLIGHT else "warning",
        f"Validation is best in epoch {best} ({losses[best]:#.4g}) and {_ends(losses)}.",
        {"best": losses[best], "best_epoch": best, "final": losses.iloc[-1],
         "final_over_best": over(losses.iloc[-1], losses[best]), "column": name},
        "plateau",
        limits.plateau,
        "Training went on past its best epoch: what it still learned does not generalise, or another term took over.",
        advice,
        "epoch",
        best,
        last,
        record.tries(change),
    )  # fmt: skip


def _stopped(record: Record, losses: pd.Series) -> bool:
    """Whether the run ended where early stopping ends it."""
    patience, last = record.number("stopping.patience"), int(losses.index[-1])
    if record.setting("stopping.enabled") is not True or not patience:
        return False
    kept, end = replay(losses, record.number("stopping.min_delta") or 0.0, int(patience))
    return end == last and last - kept >= patience


def _ends(losses: pd.Series) -> str:
    final, least = float(losses.iloc[-1]), float(losses.min())
    if least <= SMALLEST:
        return f"ends at {final:#.4g}"
    return f"ends {risen(final / least)} worse ({final:#.4g})"


def _total_alone(record: Record, limits: Thresholds, losses: pd.Series) -> Finding:
    """The total got worse and what early stopping watches did not: another term rose."""
    best, last = lowest(losses), int(losses.index[-1])
    terms = {name: record.weighted("val", name) for name in TERMS if name != "prediction"}
    rises = {n: float(t[last] - t[best]) for n, t in terms.items() if {best, last} <= {*t.index}}
    name = max(rises, key=lambda term: rises[term], default="another term")
    return Finding(
        "plateau",
        "note",
        f"The validation total is best in epoch {best} ({losses[best]:#.4g}) and {_ends(losses)}, as {name} rises; the "
        "prediction does not, beyond its noise.",
        {"best": losses[best], "best_epoch": best, "final": losses.iloc[-1], "term": name,
         "term_change": rises.get(name, float("nan")), "column": "val_total"},
        "plateau",
        limits.plateau,
        f"On validation tasks {name} takes over the total.",
        f"Go by the prediction, as early stopping does; look at {name} by itself.",
        "epoch",
        best,
        last,
    )  # fmt: skip


def _rise(losses: pd.Series, share: float) -> str:
    """Whether losses end above their best by more than a share of it, and by more than noise explains: CLEAR, SLIGHT or
    "". SLIGHT, of quiet losses only: from the best value itself, and from its level by more than three deviations."""
    if int(losses.index[-1]) - lowest(losses) < FEWEST:
        return ""
    if losses.min() <= SMALLEST:
        level = smooth(losses)
        climb = float(level.iloc[-1] - level.min())
        return CLEAR if climb > max(RANGE * float(np.ptp(losses)), NOISE_LIMITS * absolute_noise(losses)) else ""
    if not noise(losses) or not is_even(losses):
        return CLEAR if _few_end_above(losses, share) else ""
    low, final = float(smooth(losses).min()), _final(losses)
    if grew(low, final, 1 + share, losses):
        return CLEAR
    deviations = math.log(over(final, low)) / noise(losses)
    quiet = noise(losses) <= QUIET and final >= (1 + share) * losses.min()
    return SLIGHT if quiet and deviations >= SLIGHT_DEVIATIONS else ""


def _few_end_above(losses: pd.Series, share: float) -> bool:
    """The same of few or uneven epochs, whose noise is known less well."""
    level = running_median(losses) if len(losses) >= FEW else losses
    until, since = losses.loc[: lowest(losses)], losses.loc[lowest(losses) :]
    if len(losses) < FEW and losses.iloc[-1] < since.max():
        return False
    earlier = math.log(over((until / until.cummin()).max(), 1.0)) if len(losses) < FEW else 0.0
    needed = max(math.log1p(UNKNOWN_NOISE * share), SCATTERS * scatter(losses), LAST_RISE * earlier)
    return math.log(over(level.iloc[-1], level.min())) >= needed


def _final(losses: pd.Series) -> float:
    """The level at the end: of the line through the last epochs since the best, which has less noise than a median."""
    since = losses.loc[lowest(losses) :].iloc[-TAIL:]
    if len(since) < FEW // 2:
        return float(smooth(losses).iloc[-1])
    slope, level = np.polyfit(since.index.to_numpy(float), since.to_numpy(float), 1)
    return float(slope * since.index[-1] + level)


def _when_to_stop(record: Record, losses: pd.Series) -> tuple[str, dict[str, Any]]:
    """Advice, and the change of `stopping`, by going through the losses as the trainer does."""
    best, last = lowest(losses), int(losses.index[-1])
    now = record.experiments.now
    delta = record.number("stopping.min_delta")
    delta = float(now.get("stopping.min_delta", 0.0)) if delta is None else delta
    start = f"Stop here: at epoch {best}, by early stopping, and keep its weights"
    if 2 * len(losses.loc[:best]) < best:
        half = max(1, (last - best) // 2)
        return f"{start}; too few epochs are recorded to tell which patience does.", _stopping(half)
    for allowed, told in ((delta, ""), (0.0, " and min_delta 0")):
        patience = smallest_patience(losses, allowed)
        if patience is None:
            continue
        end = best + patience
        when = f"ends the run in epoch {end}" if end < last else f"ends no run of {last} epochs before its last"
        change = _stopping(patience) | ({"stopping.min_delta": 0.0} if told else {})
        return f"{start}. Patience {patience}{told} is the smallest that does so, and {when}.", change
    kept = replay(losses, delta, last)[0]
    return f"Keep the weights of epoch {kept}: no patience keeps those of epoch {best}.", {}


def _stopping(patience: int) -> dict[str, Any]:
    return {"stopping.enabled": True, "stopping.patience": patience}


def smallest_patience(losses: pd.Series, min_delta: float) -> int | None:
    """The smallest patience with which early stopping keeps the best epoch; None where none does."""
    best, last = lowest(losses), int(losses.index[-1])
    if replay(losses, min_delta, last)[0] != best:
        return None
    # The longest wait for an improvement, up to the best epoch, has to be outlasted; the start counts as epoch 0.
    better = [epoch for epoch in improvements(losses, min_delta) if epoch <= best]
    waits = [later - earlier for earlier, later in itertools.pairwise([0, *better])]
    return max(1, *waits)


def improvements(losses: pd.Series, min_delta: float) -> list[int]:
    """Epochs that are better than the last such by more than `min_delta`."""
    found: list[int] = []
    least = math.inf
    for epoch, value in zip(losses.index.tolist(), losses.tolist(), strict=True):
        if value < least - min_delta:
            least = value
            found.append(epoch)
    return found


def replay(losses: pd.Series, min_delta: float, patience: int) -> tuple[int, int]:
    """The epoch whose weights early stopping keeps, and the one that it ends with, as `trainer.train` goes about it."""
    least, best = math.inf, 0
    for epoch, value in zip(losses.index.tolist(), losses.tolist(), strict=True):
        if value < least - min_delta:
            least, best = value, epoch
        if epoch - best >= patience:
            return best, epoch
    return best, int(losses.index[-1])


RULES = (Rule("plateau", plateau),)
