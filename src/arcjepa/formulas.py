"""What one run's settings and record amount to, in numbers: what is switched on, how a loss moved, how codes were used.

`settings` are resolved ones, nested as in params.yaml, where what is off is left out; tables are those of one seed.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.params import leaf
from arcjepa.success_settings import Success

Resolved = Mapping[str, Any]
TINY = 1e-12
QUEUED = "val_prediction_queue"
"""Column of epochs.csv that records lack which are older than it."""


BALANCED = ("sigreg", "invariance", "relational", "hard_negatives", "commitment")
"""Terms of the record beside the prediction."""


def commitment_weight(settings: Resolved) -> float:
    """Weight of the commitment loss, 0 where there is none."""
    return float(leaf(settings, "quantizer.commitment.weight", 0.0))


def loss_terms(settings: Resolved) -> dict[str, float]:
    """The terms of the loss that weigh more than nothing, with their weights."""
    invariance = [leaf(settings, f"loss.invariance.{kind}", 0.0) for kind in ("colour", "translation", "symmetry")]
    weights = {
        "prediction": 1.0,
        "SIGReg": leaf(settings, "loss.lambda_sigreg") or leaf(settings, "loss.sigreg.weight", 0.0),
        "invariance": max(invariance),
        "relational": leaf(settings, "loss.relational.weight", 0.0),
        "hard negatives": leaf(settings, "loss.hard_negatives.weight", 0.0),
        "commitment": commitment_weight(settings),
    }
    return {name: weight for name, weight in weights.items() if weight > 0}


def steps_planned(settings: Resolved) -> int:
    """Steps of a training that is not stopped early."""
    training = settings["training"]
    return int(training["epochs"] * (training["sequences"] // training["batch_size"]))


def balancing(settings: Resolved) -> str:
    """What learns the weights of prediction and SIGReg, "" where they are fixed."""
    if not leaf(settings, "loss.gradnorm.enabled", False):
        return ""
    return "GradNorm" if leaf(settings, "loss.gradnorm.rule", "gradnorm") == "gradnorm" else "uncertainty weighting"


def heuristics(settings: Resolved) -> list[str]:
    """What steers training beside its loss: the analysis' list and what phase 3 adds.

    A refresh that is due after the last step is none.
    """
    kind = leaf(settings, "quantizer.kind")
    switched_on = {
        "temperature clamp": leaf(settings, "loss.prediction") == "infonce",
        "queue": leaf(settings, "loss.infonce.queue", 0) > 0,
        "codebook refresh": leaf(settings, "quantizer.refresh.interval", math.inf) <= steps_planned(settings),
        "EMA codebook": kind == "vq",
        "EMA teacher": leaf(settings, "loss.teacher.enabled", False),
        "curriculum": leaf(settings, "sequence.curriculum.enabled", False),
        "annealing of codes": kind == "gumbel",
        balancing(settings): bool(balancing(settings)),
        "hard negatives": leaf(settings, "loss.hard_negatives.enabled", False),
    }
    return [name for name, on in switched_on.items() if on]


def watched(settings: Resolved) -> str:
    """The column that early stopping watches: the squared error of LeJEPA grows with the embeddings' variance."""
    return "val_prediction" if leaf(settings, "loss.prediction") == "infonce" else "val_prediction_error"


def rise(epochs: pd.DataFrame, column: str) -> float:
    """Final value over the best one, less 1; infinite where the last value is not finite, NaN without values."""
    values = epochs[column].to_numpy(float) if column in epochs else np.empty(0)
    if not np.isfinite(values).any():
        return math.nan
    return float(values[-1] / max(np.nanmin(values), TINY) - 1) if np.isfinite(values[-1]) else math.inf


def comparable_loss(settings: Resolved, epochs: pd.DataFrame) -> pd.DataFrame:
    """By epoch: `loss`, the validation total of InfoNCE as the analysed run's reads, and `chance`, both in nats.

    Less the relational part, and less the commitment loss, which the analysed total lacks. With the InfoNCE against the
    batch and the training queue, as far as it is filled, where the record has it; else against the batch alone.
    """
    parts = [f"val_{term}_weighted" for term in ("relational", "commitment")]
    loss = epochs["val_total"] - sum(epochs[name].fillna(0.0) for name in parts if name in epochs)
    candidates = pd.Series(settings["training"]["batch_size"], epochs.index, dtype=float)
    if QUEUED in epochs and epochs[QUEUED].notna().any():
        loss = loss - epochs["val_prediction"] + epochs[QUEUED]
        candidates = candidates + epochs.get("queue_fill", 1.0) * leaf(settings, "loss.infonce.queue", 0)
    return pd.DataFrame({"loss": loss, "chance": np.log(candidates)})


def after_warm_up(table: pd.DataFrame, key: str, success: Success) -> pd.DataFrame:
    """The rows whose `key` ("epoch" | "step") lies after the first share of the last one; the last row at least."""
    if len(table) < 2:
        return table
    late = table[key] > math.ceil(success.warm_up * table[key].iloc[-1])
    return table[late] if late.any() else table.tail(1)


def growth(values: pd.Series) -> float:
    """max over t of value(t) / (smallest value up to t); NaN without values."""
    known = values.dropna()
    return float((known / known.cummin().clip(lower=TINY)).max()) if len(known) else math.nan


def relational_growth(epochs: pd.DataFrame, success: Success) -> float:
    """Growth of the relational loss after warm-up, before its weight where the record has that; NaN without one.

    A fixed weight changes no ratio, but 0, which ablations weigh it by, would leave nothing of it.
    """
    names = [name for name in ("train_relational", "train_relational_weighted") if name in epochs]
    return growth(after_warm_up(epochs, "epoch", success)[names[0]]) if names else math.nan


def term_growths(epochs: pd.DataFrame, success: Success) -> pd.DataFrame:
    """By term beyond the prediction that is material: growth of its weighted value and of its share, after warm-up.

    Columns: value, share. The prediction is left out: it is what the others are balanced against.
    """
    late = after_warm_up(epochs, "epoch", success)
    found = {}
    for term in BALANCED:
        column = f"train_{term}_weighted"
        if column in late and late[column].notna().any():
            share = late[column] / late["train_total"]
            if share.max() >= success.material:
                found[term] = {"value": growth(late[column]), "share": growth(share)}
    return pd.DataFrame.from_dict(found, orient="index", columns=["value", "share"])


def code_usage(steps: pd.DataFrame) -> pd.DataFrame:
    """The recorded rows that tell which share of the codes is in use; none where there is no codebook."""
    return steps.dropna(subset=["code_usage"]) if "code_usage" in steps else steps.iloc[:0]


def usage_range(steps: pd.DataFrame, success: Success) -> tuple[float, float]:
    """Smallest and largest share of the codes in use after warm-up; NaN without a codebook."""
    used = code_usage(steps)
    if not len(used):
        return math.nan, math.nan
    late = after_warm_up(used, "step", success)["code_usage"]
    return float(late.min()), float(late.max())


def usage_fall(steps: pd.DataFrame, success: Success) -> float:
    """max over t of (largest share of the codes in use up to t) - share(t), after warm-up; NaN without a codebook.

    A codebook that is taken up more and more is stable, one that is left is not.
    """
    used = code_usage(steps)
    late = after_warm_up(used, "step", success)["code_usage"] if len(used) else pd.Series(dtype=float)
    return float((late.cummax() - late).max()) if len(late) else math.nan


def settled_usage(steps: pd.DataFrame, success: Success) -> float:
    """Mean share of the codes in use over the last rows; NaN without a codebook."""
    used = code_usage(steps)
    first = min(int((1 - success.settled) * len(used)), max(0, len(used) - 1))
    return float(used["code_usage"].iloc[first:].mean()) if len(used) else math.nan
