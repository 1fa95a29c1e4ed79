"""Faults of the gradient: spikes of its norm, a norm that grows or vanishes, and a clip below everything."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.relational import TRAIN
from arcjepa.findings.series import (
    NOISE_LIMITS,
    SMALLEST,
    beyond_chance,
    grew,
    highest,
    is_even,
    noise,
    over,
    scatter,
    smooth,
    times,
)

CALM_FIRST, FEWEST, BESIDE = 3, 5, 3
"""Epochs before the first that is judged; epochs that are more than a start, in which norms are large; neighbours on
each side that an epoch which stands out alone is compared with."""
CALM_WINDOW, LAG = (10, 0.15), (5, 0.05)
"""Calm epochs that a norm is compared with, and how many epochs before it they end, so that no ramp is among them: at
least, and as a share of all."""
HEIGHTS = {1: (1.3, 5.0), 2: (1.1, NOISE_LIMITS)}
"""How much higher a spike of one or two epochs has to be, and how many standard deviations of the noise."""
PEAKS = {1: (1.0, 6.0)}
"""The same of largest norms, where one epoch is the rule."""
SINGLE = 2.0
"""How much higher than usual the largest norm of one epoch has to be, to be more than a note."""
FAR = 100.0
"""Times the clip from which on a norm is at fault, and no clip."""
ASSUMED = 10.0
"""Times a clip that the run itself does not name above which its norms are, to be above its own too."""
JUMP, BEFORE = 1.5, 2
"""Growth that is a jump: of the norm over that of the rows before, and of the relational loss beside a spike."""
MEAN = "grad_norm_mean|grad_norm_max"


@dataclass(frozen=True)
class _Moved:
    """What else changed where a spike begins."""

    what: str
    cause: str
    advice: str


_BAND = _Moved("band", "A band of harder tasks is admitted there, as the curriculum has it.", "None is needed.")
_REFRESH = _Moved("refresh", "The refresh replaced unused codes just before.", "Switch the refresh off.")
_RELATIONAL = _Moved("relational", "The relational loss jumps there.", "Remove or normalise the relational loss.")
_NOTHING = _Moved(
    "",
    "Nothing else that is recorded moved just before: the learning rate is too high, or one batch is unlike the rest.",
    "Halve the learning rate, or look at the batches of these epochs.",
)


def spiking(norms: pd.Series, factor: float, heights: Mapping[int, tuple[float, float]] = HEIGHTS) -> list[pd.Series]:
    """Spikes: neighbouring rows at `factor` times the median of calm rows some time before them, as norm over median.

    Noise is left out: the fewer epochs a spike lasts, and the fewer there are to tell the noise from, the higher it has
    to be.
    """
    calm: dict[int, float] = {}
    spikes: list[dict[int, float]] = [{}]
    spread = (noise(norms) or scatter(norms)) * (1 + 1 / math.sqrt(max(1, len(norms))))
    least = max(factor, float(np.exp(NOISE_LIMITS * spread)))
    for epoch, value in zip(norms.index.tolist(), norms.tolist(), strict=True):
        reference = _reference(calm, epoch, int(norms.index[-1]))
        if len(calm) >= CALM_FIRST and value >= least * reference > 0:
            spikes[-1][epoch] = over(value, reference)
        else:
            calm[epoch] = value
            spikes.append({})
    found = [pd.Series(spike) for spike in spikes if spike]
    usual = factor, spread, beyond_chance(len(norms))
    high = [spike for spike in found if spike.max() >= _height(len(spike), usual, heights)]
    calmer = norms.drop([epoch for spike in high for epoch in spike.index])
    high += [spike for spike in _alone(calmer) if spike.max() >= _height(1, usual, heights)]
    return sorted((spike for spike in high if not _steady(norms, spike)), key=lambda spike: int(spike.index[0]))


def _steady(norms: pd.Series, spike: pd.Series) -> bool:
    """Whether it is no spike but the end of a steady growth: it came without a jump and lasts to the last row."""
    before = norms.loc[: int(spike.index[0])].iloc[:-1].tail(BEFORE)
    return bool(spike.index[-1] == norms.index[-1] and norms[spike.index[0]] < JUMP * before.min())


def _alone(norms: pd.Series) -> list[pd.Series]:
    """Epochs that stand out from all beside them, whatever the trend, as norm over their median."""
    values, found = norms.to_numpy(float), []
    for place in range(CALM_FIRST, len(values) if is_even(norms) else 0):
        beside = np.delete(values[max(0, place - BESIDE) : place + BESIDE + 1], min(place, BESIDE))
        usual, next_to = float(np.median(beside)), float(values[place - 1 : place + 2 : 2].max())
        if values[place] >= JUMP * next_to > 0 and usual > 0:
            found.append(pd.Series({int(norms.index[place]): over(values[place], usual)}))
    return found


def _reference(calm: dict[int, float], epoch: int, last: int) -> float:
    """Median of the last calm rows that are no ramp to this epoch; of all, where these are none."""
    lag, window = (max(least, round(share * last)) for least, share in (LAG, CALM_WINDOW))
    before = [value for at, value in calm.items() if at < epoch - lag]
    return float(np.median((before or list(calm.values()))[-window:])) if calm else 0.0


def _height(rows: int, usual: tuple[float, float, float], heights: Mapping[int, tuple[float, float]]) -> float:
    """`usual`: factor of a spike of any length, the noise, and how many deviations more a single epoch needs."""
    factor, spread, alone = usual
    higher, deviations = heights.get(rows, (1.0, NOISE_LIMITS))
    return max(higher * factor, math.exp((deviations + (alone if rows == 1 else 0)) * spread))


def gradient_spikes(record: Record, limits: Thresholds) -> Finding | None:
    """Mean gradient norm >= gradient_spike times the median of calm epochs before, or the largest gradient_peak times.

    A note where a band of harder tasks explains it, or where one step of one epoch was large while its mean was not.
    """
    norms, largest = record.series(*MEAN.split("|")), record.series("grad_norm_max", "grad_norm_mean")
    spikes, measure = spiking(norms, limits.gradient_spike), "mean"
    if not spikes:
        spikes, measure = spiking(largest, limits.gradient_peak, PEAKS), "largest"
    if not spikes:
        return None
    moved = [_moved(record, int(spike.index[0]), int(spike.index[-1])) for spike in spikes]
    own = [spike for spike, what in zip(spikes, moved, strict=True) if what is not _BAND] or spikes
    spike = max(own, key=lambda s: s.max())
    first, last = int(spike.index[0]), int(spike.index[-1])
    why = moved[next(place for place, other in enumerate(spikes) if other is spike)]
    passing = measure == "largest" and sum(map(len, own)) == 1 and spike.max() < SINGLE * limits.gradient_peak
    window = largest.loc[first:last]
    peak, worst = highest(window), highest(spike)
    source = norms if measure == "mean" else largest
    return Finding(
        "gradient spikes",
        "note" if passing or why is _BAND else "warning",
        f"The {'' if measure == 'mean' else 'largest '}gradient norm is {times(spike.max())} that of the epochs "
        f"before; the largest is {window[peak]:.3g} in epoch {peak}.",
        {"calm_norm": over(source[worst], spike.max()), "largest_mean": norms.reindex(spike.index).max(),
         "largest": window[peak], "largest_epoch": peak, "spikes": len(spikes)},
        "gradient_spike" if measure == "mean" else "gradient_peak",
        limits.gradient_spike if measure == "mean" else limits.gradient_peak,
        why.cause,
        why.advice,
        "epoch",
        first,
        last,
        _tries(record, why),
    )  # fmt: skip


def _moved(record: Record, first: int, last: int) -> _Moved:
    """What changed in the epoch where a spike begins, or in the one before."""
    admitted = record.series("admitted_share").diff()
    if (admitted.loc[first - 1 : first] > 0).any():
        return _BAND
    refreshed = record.series("refreshed_codes")
    steps = record.series("step")
    if len(steps) and len(refreshed):
        since, until = steps.loc[: max(first - 2, 0)].max(), steps.loc[:last].max()
        if (refreshed.loc[0 if np.isnan(since) else since + 1 : until] > 0).any():
            return _REFRESH
    relational = record.series(*TRAIN)
    before = relational.loc[: first - 1].tail(CALM_WINDOW[0])
    there = relational.loc[first:last]
    return _RELATIONAL if len(before) and len(there) and there.max() >= JUMP * before.median() > 0 else _NOTHING


def _tries(record: Record, why: _Moved) -> tuple[str, ...]:
    """Nothing against a curriculum; else what moved first, then the learning rate."""
    if why is _BAND:
        return ()
    on = [name for name in ("quantizer.refresh", "loss.relational") if record.setting(f"{name}.enabled")]
    on.sort(key=lambda name: why.what not in name)
    slower = {"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)}
    off: list[dict[str, Any]] = [{f"{name}.enabled": False} for name in on]
    return record.tries(*([*off, slower] if why.what else [slower, *off]))


def growing(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Mean gradient norm at the end >= gradient_growth times its smallest, spikes left out."""
    every = record.series(*MEAN.split("|"))
    spikes = spiking(every, limits.gradient_spike)
    norms = every.drop([row for spike in spikes for row in spike.index])
    level = smooth(norms)
    low = float(level.min())
    if low <= 0 or not grew(low, level.iloc[-1], limits.gradient_growth, norms):
        return None
    growth, first = over(level.iloc[-1], low), int(level.index[int(level.to_numpy().argmin())])
    return Finding(
        "growing gradients",
        "warning",
        f"The gradient norm grows to {times(growth)} its smallest, from {low:.3g} to {level.iloc[-1]:.3g}.",
        {"smallest": low, "final": level.iloc[-1], "growth": growth},
        "gradient_growth",
        limits.gradient_growth,
        "Weights or embeddings grow without bound, or the loss sharpens, as with a temperature that falls.",
        "Halve the learning rate, or decay the weights more.",
        "epoch",
        first,
        int(norms.index[-1]),
        record.tries(
            {"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)},
            {"optimizer.weight_decay": record.scaled("optimizer.weight_decay", 2, 0.05)},
        ),
    )


def vanished(record: Record, limits: Thresholds) -> Finding | None:
    """Mean gradient norm at the end <= gradient_vanished times its largest."""
    norms = record.series(*MEAN.split("|"))
    level = smooth(norms)
    limit = limits.gradient_vanished * float(level.max())
    if len(level) < FEWEST or level.iloc[-1] > limit:
        return None
    first = int(level.index[(level > limit).to_numpy().nonzero()[0][-1] + 1]) if (level > limit).any() else 0
    return Finding(
        "vanished gradient",
        "critical",
        f"The gradient norm ends at {level.iloc[-1]:.2g}, and was {level.max():.3g}: nothing is learned any more.",
        {"final": level.iloc[-1], "largest": level.max(), "limit": limit},
        "gradient_vanished",
        limits.gradient_vanished,
        "Embeddings collapsed, a nonlinearity is saturated, or the loss no longer reaches the weights.",
        "Check variance and rank first; else lower the learning rate, so that nothing saturates.",
        "epoch",
        max(first, int(level.index[0])),
        int(norms.index[-1]),
        record.tries({"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)}),
    )


def always_clipped(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Every recorded epoch clips clipped_share of its steps, at a mean norm of twice the clip.

    Where that share was not recorded: every epoch's mean norm is above the clip, far above one that is assumed. A
    warning where the norm is a hundred times the clip: that is no matter of the clip.
    """
    norms, share, factor = (record.series(n) for n in ("grad_norm_mean", "clipped_share", "clip_factor_median"))
    clip = record.number("optimizer.clip")
    if len(share):
        clipped = bool((share >= limits.clipped_share).all())
        strength = 1 / factor.clip(lower=SMALLEST) if len(factor) else norms / clip if clip else norms
    elif clip is None or not len(norms):
        return Skipped("lacks clipped_share or grad_norm_mean with settings.optimizer.clip in run.json")
    else:
        clipped, strength = bool((norms > (ASSUMED if record.assumed else 1) * clip).all()), norms / clip
    if not clipped or len(strength) < FEWEST or strength.median() < 2:
        return None
    wide = float(f"{2 * norms.median():.2g}") if len(norms) else 2 * (clip or 1.0)
    shown = {"clip": clip} if clip is not None else {}
    far = bool(strength.median() >= FAR)
    return Finding(
        "gradients above the clip",
        "warning" if far else "note",
        f"Every epoch is clipped; the norm is {strength.min():.3g} to {strength.max():.3g} times the clip.",
        {**shown, "smallest_over_clip": strength.min(), "largest_over_clip": strength.max(), "epochs": len(strength)},
        "clipped_share",
        limits.clipped_share,
        "Gradients this large come from a loss whose scale is wrong, and no clip mends that." if far
        else "The clip is set below the usual norm, so every step has the same length whatever the loss says, and "
        "spikes cannot be told from calm epochs.",
        "Find the term that is so large, and give it less weight." if far
        else "Set the clip above the usual norm, so that it cuts spikes alone.",
        "epoch",
        int(strength.index[0]),
        int(strength.index[-1]),
        record.tries({"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)} if far else {"optimizer.clip": wide}),
    )  # fmt: skip


RULES = (
    Rule("gradient spikes", gradient_spikes, (MEAN,)),
    Rule("growing gradients", growing, (MEAN,)),
    Rule("vanished gradient", vanished, (MEAN,)),
    Rule("gradients above the clip", always_clipped),
)
