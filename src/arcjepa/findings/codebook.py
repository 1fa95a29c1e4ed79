"""Faults of the codebook: a jump of its use that does not last, and a use that ends near nothing."""

from typing import Any

import numpy as np
import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.series import SMALLEST, end, grew, last_stretch, smooth

BEFORE, AFTER, SMALLEST_JUMP = 3, 5, 0.03
"""Rows before a jump that give its level, rows after it in which it is lost, and the least change of the share."""


def code_usage(record: Record) -> pd.Series:
    """Share of the codes in use by step: as recorded, else from the number of active ones; empty if unknown."""
    codes = record.number("quantizer.codes")
    if record.has("code_usage") or codes is None:
        return record.series("code_usage")
    return record.series("active_codes") / codes


def codebook_off(record: Record) -> str:
    """Why there are no codes."""
    return "there is no quantiser" if record.setting("quantizer.kind") == "none" else ""


def jumps(usage: pd.Series, factor: float) -> pd.DataFrame:
    """Steps at which `usage` is `factor` times the median of the rows before, having got there at once, and loses
    half of that within the rows after: step, before, jump, after."""
    rows, values = [], usage.to_numpy(float)
    for place in range(1, len(values) - 1):
        # Nearer the start than that, the row before alone: codes settle from the first batch, which takes them all.
        before = float(np.median(values[place - (BEFORE if place >= BEFORE else 1) : place]))
        top, after = float(values[place]), float(values[place + 1 : place + 1 + AFTER].min())
        rise = top - before
        at_once = top - values[place - 1] >= rise / 2
        lost = top - after >= rise / 2
        if rise >= SMALLEST_JUMP and at_once and lost and grew(before, top, factor, usage):
            rows.append((int(usage.index[place]), before, top, after))
    return pd.DataFrame(rows, columns=["step", "before", "top", "after"])


def codebook_discontinuity(record: Record, limits: Thresholds) -> Finding | None:
    """The use of the codebook jumps to codebook_jump times that of the rows before, and falls back after."""
    usage = code_usage(record)
    found = jumps(usage, limits.codebook_jump)
    if not len(found):
        return None
    worst = found.iloc[int((found["top"] / found["before"].clip(lower=SMALLEST)).argmax())]
    step = int(worst["step"])
    refreshed = refresh_at(record, usage, step)
    cause = {
        True: "The refresh replaced unused codes there: they are taken up at once and lost again, and the encoder has "
        "to follow the codes that moved.",
        False: "No refresh fell there: look for a jump of the loss or of the gradient.",
    }[refreshed]
    total = int(usage.index[-1])
    return Finding(
        "codebook discontinuity",
        "warning",
        f"Use of the codebook jumps from {worst['before']:.1%} to {worst['top']:.1%} and falls back to "
        f"{worst['after']:.1%}" + (", at a refresh." if refreshed else "."),
        {"before": worst["before"], "jump": worst["top"], "after": worst["after"], "at_refresh": str(refreshed).lower(),
         "jumps": len(found)},
        "codebook_jump",
        limits.codebook_jump,
        cause,
        "Switch the refresh off, or let it come later than the training ends."
        if refreshed
        else "Move codes more slowly, or use none.",
        "step",
        int(found["step"].iloc[0]) if len(found) > 1 else step,
        int(found["step"].iloc[-1]) if len(found) > 1 else step,
        record.tries({"quantizer.refresh.enabled": False}, {"quantizer.refresh.interval": 10 * total})
        if refreshed
        else record.tries({"quantizer.decay": 0.99}, {"quantizer.kind": "none"}),
    )  # fmt: skip


def refresh_at(record: Record, usage: pd.Series, step: int) -> bool:
    """Whether codes were replaced between the row before and this one: as recorded, else as the interval says."""
    refreshed = record.series("refreshed_codes")
    if step in refreshed.index:
        return bool(refreshed[step] > 0)
    interval = record.number("quantizer.refresh.interval")
    if not interval or not record.setting("quantizer.refresh.enabled"):
        return False
    previous = usage.index[usage.index < step]
    start = int(previous[-1]) if len(previous) else 0
    return step // interval > start // interval


def codebook_collapse(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Share of the codes in use at the end < codebook_usage."""
    usage = code_usage(record)
    if not len(usage):
        return Skipped("lacks code_usage, or settings.quantizer.codes in run.json beside active_codes")
    if end(usage) >= limits.codebook_usage:
        return None
    first = last_stretch(smooth(usage) < limits.codebook_usage)
    remedies: list[dict[str, Any]] = [{"quantizer.kind": "fsq"}, {"quantizer.kind": "none"}]
    if record.setting("quantizer.kind", "vq") == "vq":
        commitment = record.scaled("quantizer.commitment.weight", 0.1, 0.15)
        pulled = record.setting("quantizer.commitment.enabled") is not False
        remedies = [{"quantizer.refresh.enabled": True}, *remedies]
        remedies = [{"quantizer.commitment.weight": commitment}, *remedies] if pulled else remedies
    shown = {"final_usage": end(usage), "largest_usage": usage.max()}
    for column in ("active_codes", "perplexity"):
        if record.has(column):
            shown[f"final_{column}"] = end(record.series(column))
    return Finding(
        "codebook collapse",
        "warning",
        f"The codebook ends with {end(usage):.1%} of its codes in use.",
        shown,
        "codebook_usage",
        limits.codebook_usage,
        "Codes that never win are never moved; a commitment weight that outweighs the loss pulls objects to few codes.",
        "Reduce the commitment weight, replace unused codes, use fewer or finite scalar codes, or none.",
        "step",
        first,
        int(usage.index[-1]),
        record.tries(*remedies),
    )


RULES = (
    Rule("codebook discontinuity", codebook_discontinuity, ("code_usage|active_codes",), codebook_off),
    Rule("codebook collapse", codebook_collapse, ("code_usage|active_codes",), codebook_off),
)
