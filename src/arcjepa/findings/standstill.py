"""Validation that stands still: with training, or while training goes on without it."""

import math

import numpy as np
import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding
from arcjepa.findings.generalisation import memorisation
from arcjepa.findings.objective import FEWEST
from arcjepa.findings.records import Record
from arcjepa.findings.series import SMALLEST, is_even, noise, scatter, smooth

FEW = 12
"""Epochs below which nothing is said to stand still, and a running median would hide the end; half give a trend."""
STILL, QUIET = 0.003, 0.01
"""Share that a loss that stands still may fall by, and the noise up to which that can be told."""
FALLS, FOLLOWS = 0.1, 0.1
"""Share that training falls by where it leaves validation behind, and the share of that by which validation may."""


def stalled(record: Record, limits: Thresholds, name: str) -> Finding | None:
    """Losses within a fraction of a per cent of their smallest since long, in training too."""
    first, last = 0, int(record.epochs.index[-1])
    for column in (name, name.replace("val_", "train_")):
        losses = record.series(column)
        if len(losses) < FEW or not is_even(losses) or losses.min() <= 0 or noise(losses) > QUIET:
            return None
        first = max(first, _still_since(losses, noise(losses)))
    if last - first < limits.stalled * last:
        return None
    losses = record.series(name)
    return Finding(
        "plateau",
        "note",
        f"Neither validation nor training improves after epoch {first}, for {last - first} epochs.",
        {"best": losses.min(), "final": losses.iloc[-1], "since": first, "column": name},
        "stalled",
        limits.stalled,
        "The run learned what it could early, or its learning rate, its gradient or its data stopped changing.",
        "Train for fewer epochs; else see whether learning rate and gradient are what they should be.",
        "epoch",
        first,
        last,
        record.tries({"training.epochs": max(1, first + FEWEST)}),
    )


def left_behind(record: Record, limits: Thresholds, name: str) -> Finding | None:
    """In the last `left_behind` of the epochs training falls by FALLS, and validation by less than FOLLOWS of that.

    Where the gap is so wide that tasks are learned by heart, `memorisation` says it.
    """
    losses, training = record.series(name), record.series(name.replace("val_", "train_"))
    since = (1 - limits.left_behind) * int(record.epochs.index[-1])
    late, train = losses.loc[since:], training.loc[since:]
    if min(len(late), len(train)) < FEW // 2 or losses.min() <= SMALLEST or training.min() <= SMALLEST:
        return None
    (fall, doubt), (learned, error) = map(_fall, (late, train))
    if learned - 2 * error < FALLS or fall + 2 * doubt > FOLLOWS * learned:
        return None
    if isinstance(memorisation(record, limits), Finding):
        return None
    near = losses <= float(late.median()) * (1 + max(STILL, 2 * scatter(losses)))
    first, last = int(near.index[int(near.to_numpy().argmax())]), int(losses.index[-1])
    return Finding(
        "plateau",
        "note",
        f"Validation stands still from epoch {first} on, while training falls by {learned:.0%} after epoch "
        f"{int(train.index[0])}.",
        {"best": losses.min(), "final": losses.iloc[-1], "since": first, "training_fall": learned, "column": name},
        "left_behind",
        limits.left_behind,
        "What the run still learns is of its training tasks alone.",
        f"Stop here: around epoch {first}, by early stopping; else show more different tasks.",
        "epoch",
        first,
        last,
        record.tries({"stopping.enabled": True, "stopping.patience": max(1, (last - first) // 4)}),
    )


def _still_since(losses: pd.Series, spread: float) -> int:
    """First epoch of those near the smallest level, of which the last third is no lower than the first.

    The last epoch where losses go on falling.
    """
    level = smooth(losses)
    low = (level <= (1 + STILL + 2 * spread) * level.min()).to_numpy()
    near = level.iloc[int(low.argmax()) :]
    third = max(1, len(near) // 3)
    fall = float(losses[near.index[:third]].median() - losses[near.index[-third:]].median())
    # Twice the standard error of a difference of medians.
    falls = fall > max(STILL, 2 * spread * math.sqrt(math.pi / third)) * float(level.min())
    return int(losses.index[-1] if falls else near.index[0])


def _fall(losses: pd.Series) -> tuple[float, float]:
    """By which share losses fall, by the line through them, and its standard error."""
    x, y = losses.index.to_numpy(float), losses.to_numpy(float)
    length, level = x[-1] - x[0], abs(float(np.mean(y)))
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    return -slope * length / level, math.sqrt(covariance[0, 0]) * length / level
