"""Faults of the codebook: a jump or a fall of its use at once, and a use that ends near nothing."""

import math
from typing import Any, get_args

import numpy as np
import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.breaks import Kind, breaks
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.series import SMALLEST, end, is_even, last_stretch, smooth

VERBS: dict[Kind, str] = {"jump": "jumps", "dip": "falls", "rise": "rises", "fall": "falls"}
ENDS: dict[Kind, str] = {
    "jump": "falls back to {}", "dip": "comes back to {}", "rise": "stays above {}", "fall": "stays below {}",
}  # fmt: skip
FEWEST_ROWS, START = 12, 0.05
"""Rows from which on one that differs from its neighbours is told from their noise; first share of the steps, in which
codes settle from a batch that takes all."""
FEWEST_CODES = 2.0
"""Perplexity that is a collapse in a codebook of any size."""


def code_usage(record: Record) -> pd.Series:
    """Share of the codes in use by step: as recorded, else from the number of active ones; empty if unknown."""
    codes = record.number("quantizer.codes")
    if record.has("code_usage") or codes is None:
        return record.series("code_usage")
    return record.series("active_codes") / codes


def number_of_codes(record: Record) -> float | None:
    """As the run was set, else from how many of them are what share."""
    levels = record.setting("quantizer.levels")
    if isinstance(levels, list) and levels:
        return float(math.prod(levels))
    shares = (record.series("active_codes") / record.series("code_usage").replace(0, np.nan)).dropna()
    return record.number("quantizer.codes") or (float(shares.median()) if len(shares) else None)


def codebook_off(record: Record) -> str:
    """Why there are no codes."""
    return "there is no quantiser" if record.setting("quantizer.kind") == "none" else ""


def codebook_discontinuity(record: Record, limits: Thresholds) -> Finding | None:
    """The use of the codebook jumps to codebook_jump times that of the rows before, and falls back after; or falls to
    its inverse, for good or for some rows; or rises for good, where no refresh revived the codes.

    A note where codes come into use at once and stay. Of rows at uneven distances, only a jump and what a refresh did.
    """
    usage = code_usage(record)
    for kind in get_args(Kind):
        found = breaks(usage, limits.codebook_jump, kind)
        found = found[[_counts(record, limits, usage, kind, row) for row in found.itertuples()]]
        if len(found):
            return _discontinuous(record, limits, usage, (kind, found))
    return None


def _counts(record: Record, limits: Thresholds, usage: pd.Series, kind: Kind, row: Any) -> bool:
    """Whether a break is a discontinuity: no codes that a refresh revived for good, nor a collapse."""
    refreshed = refresh_at(record, usage, row.step) is not None
    if kind == "jump" or (kind == "fall" and refreshed):
        return True
    if kind == "rise" and refreshed:
        return False
    settled = row.step > START * usage.index[-1]
    return settled and is_even(usage) and len(usage) >= FEWEST_ROWS and row.after >= limits.codebook_usage


def _discontinuous(record: Record, limits: Thresholds, usage: pd.Series, broken: tuple[Kind, pd.DataFrame]) -> Finding:
    kind, found = broken
    ratio = np.abs(np.log((found["top"] / found["before"].clip(lower=SMALLEST)).clip(lower=SMALLEST)))
    worst = found.iloc[int(ratio.argmax())]
    refreshed = refresh_at(record, usage, int(worst["step"]))
    step = refreshed if refreshed is not None else int(worst["step"])
    total = int(usage.index[-1])
    what = f"Use of the codebook {VERBS[kind]} from {worst['before']:.1%} to {worst['top']:.1%} and "
    what += ENDS[kind].format(f"{worst['after']:.1%}")
    return Finding(
        "codebook discontinuity",
        "note" if kind == "rise" else "warning",
        what + (", at a refresh." if refreshed is not None else "."),
        {"before": worst["before"], kind: worst["top"], "after": worst["after"],
         "at_refresh": str(refreshed is not None).lower(), "jumps": len(found)},
        "codebook_jump",
        limits.codebook_jump,
        "The refresh replaced unused codes there: they are taken up at once and lost again, and the encoder has to "
        "follow the codes that moved."
        if refreshed is not None
        else "No refresh fell there: look for a jump of the loss or of the gradient.",
        "Switch the refresh off, or let it come later than the training ends."
        if refreshed is not None
        else "Move codes more slowly, or use none.",
        "step",
        min(int(found["step"].iloc[0]), step) if len(found) > 1 else step,
        int(found["step"].iloc[-1]) if len(found) > 1 else step,
        record.tries({"quantizer.refresh.enabled": False}, {"quantizer.refresh.interval": 10 * total})
        if refreshed is not None
        else record.tries({"quantizer.decay": 0.99}, {"quantizer.kind": "none"}),
    )  # fmt: skip


def refresh_at(record: Record, usage: pd.Series, step: int) -> int | None:
    """The row by which codes were replaced, this one or the one before: as recorded, else as the interval says.

    Codes that are replaced late in a row's steps show their use in the next row.
    """
    rows = usage.index[usage.index <= step].tolist()[:-3:-1]
    refreshed = record.series("refreshed_codes")
    if step in refreshed.index:
        return next((row for row in rows if refreshed.get(row, 0) > 0), None)
    interval = record.number("quantizer.refresh.interval")
    if not interval or not record.setting("quantizer.refresh.enabled"):
        return None
    # Rows may be far apart: of those, the one that holds the refresh alone.
    return rows[0] if step // interval > (rows[1] if len(rows) > 1 else 0) // interval else None


def codebook_collapse(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Share of the codes in use at the end < codebook_usage, or perplexity < codebook_perplexity of them."""
    usage, perplexity, codes = code_usage(record), record.series("perplexity"), number_of_codes(record)
    if not len(usage) and (codes is None or not len(perplexity)):
        return Skipped("lacks code_usage, or settings.quantizer.codes in run.json beside active_codes")
    least = max(FEWEST_CODES, limits.codebook_perplexity * (codes or 0.0))
    unused = len(usage) > 0 and end(usage) < limits.codebook_usage
    crowded = len(perplexity) > 0 and codes is not None and end(perplexity) < least
    if not unused and not crowded:
        return None
    series, limit = (usage, limits.codebook_usage) if unused else (perplexity, least)
    key = "codebook_usage" if unused else "codebook_perplexity"
    cause, advice, remedies = _remedies(record)
    shown = {"final_usage": end(usage), "largest_usage": usage.max()} if len(usage) else {}
    for column in ("active_codes", "perplexity"):
        if record.has(column):
            shown[f"final_{column}"] = end(record.series(column))
    return Finding(
        "codebook collapse",
        "warning",
        f"The codebook ends with {end(usage):.1%} of its codes in use."
        if unused
        else f"The codebook ends with a perplexity of {end(perplexity):.1f} of {codes:.0f} codes: few take nearly all.",
        shown,
        key,
        getattr(limits, key),
        cause,
        advice,
        "step",
        last_stretch(smooth(series) < limit),
        int(series.index[-1]),
        record.tries(*remedies),
    )


def _remedies(record: Record) -> tuple[str, str, list[dict[str, Any]]]:
    """Cause, advice and changes, by the kind of codes."""
    kind = record.setting("quantizer.kind", "vq")
    other: list[dict[str, Any]] = [{"quantizer.kind": "fsq"}, {"quantizer.kind": "none"}]
    if kind == "gumbel":
        warmer = {"quantizer.temperature": record.scaled("quantizer.temperature", 2, 1.0)}
        return (
            "The softmax sharpens before the codes are spread: the few that win early get all gradients.",
            "Start at a higher temperature, or use finite scalar codes, or none.",
            [warmer, *other],
        )
    if kind == "fsq":
        return (
            "Levels have no codes to die: the encoder's output varies too little to leave the middle ones.",
            "Check variance and rank of the embeddings; else fewer levels, or no quantiser.",
            [{"quantizer.kind": "none"}],
        )
    pulled = record.setting("quantizer.commitment.enabled") is not False
    less = {"quantizer.commitment.weight": record.scaled("quantizer.commitment.weight", 0.1, 0.15)}
    weight = "; a commitment weight that outweighs the loss pulls objects to few codes" if pulled else ""
    return (
        f"Codes that never win are never moved{weight}.",
        ("Reduce the commitment weight, r" if pulled else "R")
        + "eplace unused codes, use fewer or finite scalar codes, or none.",
        [*([less] if pulled else []), {"quantizer.refresh.enabled": True}, *other],
    )


RULES = (
    Rule("codebook discontinuity", codebook_discontinuity, ("code_usage|active_codes",), codebook_off),
    Rule("codebook collapse", codebook_collapse, ("code_usage|active_codes|perplexity",), codebook_off),
)
