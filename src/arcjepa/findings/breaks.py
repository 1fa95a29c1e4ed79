"""Rows at which the use of a codebook moves at once, and whether it comes back."""

import math
from typing import Literal

import numpy as np
import pandas as pd

from arcjepa.findings.series import NOISE_LIMITS, SMALLEST, beyond_chance, grew, noise

BEFORE, AFTER, SMALLEST_JUMP = 3, 5, 0.03
"""Rows before a break that give its level, rows after it in which it is lost or stays, and the least change of the
share."""
AT_ONCE = 2 / 3
"""Share of a move that one row makes."""
Kind = Literal["jump", "dip", "rise", "fall"]
UP, STAYS = ("jump", "rise"), ("rise", "fall")


def breaks(usage: pd.Series, factor: float, kind: Kind) -> pd.DataFrame:
    """Steps at which `usage` moves at once by `factor` from the median of the rows before: step, before, top, after.

    A jump and a dip lose half of that within the rows after; a rise and a fall stay in all of them. Codes that settle
    from a first batch that takes all move too, but row by row.
    """
    rows, values = [], usage.to_numpy(float)
    sign = 1 if kind in UP else -1
    factor = max(factor, math.exp((NOISE_LIMITS + beyond_chance(len(values))) * noise(usage)))
    for place in range(1 if kind == "jump" else BEFORE, len(values) - (2 if kind in STAYS else 1)):
        before, top = _before(values, place), values[place]
        if kind != "jump" and not _calm(values, place, factor):
            continue
        level, after = _ends(values, place, kind)
        moved = sign * (level - before)
        at_once = sign * (top - values[place - 1]) >= AT_ONCE * moved
        lost = kind in STAYS or sign * (top - after) >= moved / 2
        low, high = sorted((before, level))
        if moved >= SMALLEST_JUMP and at_once and lost and grew(low, high, factor, usage):
            rows.append((int(usage.index[place]), before, top, after))
    return pd.DataFrame(rows, columns=["step", "before", "top", "after"])


def _ends(values: np.ndarray, place: int, kind: Kind) -> tuple[float, float]:
    """The level that a break is measured by, and where it ends: of one that stays, the row nearest to the level before;
    of one that is lost, the row itself and the one after it that lost most."""
    back = min if kind in UP else max
    if kind in STAYS:
        stays = float(back(values[place : place + AFTER]))
        return stays, stays
    return float(values[place]), float(back(values[place + 1 : place + 1 + AFTER]))


def _before(values: np.ndarray, place: int) -> float:
    """The level before a row; near the start the row before alone: codes settle from a first batch that takes all."""
    return float(np.median(values[place - (BEFORE if place >= BEFORE else 1) : place]))


def _calm(values: np.ndarray, place: int, factor: float) -> bool:
    return bool(np.ptp(np.log(np.maximum(values[place - BEFORE : place], SMALLEST))) < math.log(factor) / 2)
