"""Faults of the gradient: spikes of its norm, and a clip below everything."""

import numpy as np
import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.series import NOISE_LIMITS, SMALLEST, highest, noise, over

CALM_FIRST, CALM_WINDOW, SUSTAINED, FEWEST = 3, 10, 3, 5
"""Epochs before the first that is judged; calm epochs that a norm is compared with; epochs that make a spike of any
height one; epochs that are more than a start, in which norms are large."""
MEAN = "grad_norm_mean|grad_norm_max"


def spiking(norms: pd.Series, factor: float) -> list[pd.Series]:
    """Spikes: neighbouring rows at `factor` times the median of the last calm rows before them, as norm over median.

    Single rows of noise are left out: a spike lasts, or is twice as high.
    """
    calm: list[float] = []
    spikes: list[dict[int, float]] = [{}]
    least = max(factor, float(np.exp(NOISE_LIMITS * noise(norms))))
    for epoch, value in zip(norms.index.tolist(), norms.tolist(), strict=True):
        reference = float(np.median(calm[-CALM_WINDOW:])) if calm else 0.0
        if len(calm) >= CALM_FIRST and value >= least * reference:
            spikes[-1][epoch] = over(value, reference)
        else:
            calm.append(value)
            spikes.append({})
    found = [pd.Series(spike) for spike in spikes if spike]
    return [spike for spike in found if len(spike) >= SUSTAINED or spike.max() >= 2 * factor]


def gradient_spikes(record: Record, limits: Thresholds) -> Finding | None:
    """Mean gradient norm >= gradient_spike times the median of the last ten calm epochs."""
    norms = record.series(*MEAN.split("|"))
    spikes = spiking(norms, limits.gradient_spike)
    if not spikes:
        return None
    spike = max(spikes, key=lambda s: s.max())
    first, last = int(spike.index[0]), int(spike.index[-1])
    largest = record.series("grad_norm_max").loc[first:last]
    largest = largest if len(largest) else norms.loc[first:last]
    peak, worst = highest(largest), highest(spike)
    return Finding(
        "gradient spikes",
        "warning",
        f"The gradient norm is {spike.max():.1f} times that of the epochs before; the largest is "
        f"{largest[peak]:.3g} in epoch {peak}.",
        {"calm_norm": over(norms[worst], spike.max()), "largest_mean": norms[spike.index].max(),
         "largest": largest[peak], "largest_epoch": peak, "spikes": len(spikes)},
        "gradient_spike",
        limits.gradient_spike,
        "Something changed at once: see what else moved just before (a codebook refresh, the relational loss, a band "
        "of harder tasks), else the learning rate is too high.",
        "Remove what jumped, or halve the learning rate.",
        "epoch",
        first,
        last,
        record.tries(
            {"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)},
            *([{"quantizer.refresh.enabled": False}] if record.setting("quantizer.refresh.enabled") else []),
            *([{"loss.relational.enabled": False}] if record.setting("loss.relational.enabled") else []),
        ),
    )  # fmt: skip


def always_clipped(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Every recorded epoch clips clipped_share of its steps, at a mean norm of twice the clip.

    Where that share was not recorded: every epoch's mean norm is above the clip.
    """
    norms, share, factor = (record.series(n) for n in ("grad_norm_mean", "clipped_share", "clip_factor_median"))
    clip = record.number("optimizer.clip")
    if len(share):
        clipped = bool((share >= limits.clipped_share).all())
        strength = 1 / factor.clip(lower=SMALLEST) if len(factor) else norms / clip if clip else norms
    elif clip is None or not len(norms):
        return Skipped("lacks clipped_share or grad_norm_mean with settings.optimizer.clip in run.json")
    else:
        clipped, strength = bool((norms > clip).all()), norms / clip
    if not clipped or len(strength) < FEWEST or strength.median() < 2:
        return None
    wide = float(f"{2 * norms.median():.2g}") if len(norms) else 2 * (clip or 1.0)
    shown = {"clip": clip} if clip is not None else {}
    return Finding(
        "gradients above the clip",
        "note",
        f"Every epoch is clipped; the norm is {strength.min():.3g} to {strength.max():.3g} times the clip.",
        {**shown, "smallest_over_clip": strength.min(), "largest_over_clip": strength.max(), "epochs": len(strength)},
        "clipped_share",
        limits.clipped_share,
        "The clip is set below the usual norm, so every step has the same length whatever the loss says, and spikes "
        "cannot be told from calm epochs.",
        "Set the clip above the usual norm, so that it cuts spikes alone.",
        "epoch",
        int(strength.index[0]),
        int(strength.index[-1]),
        record.tries({"optimizer.clip": wide}),
    )


RULES = (
    Rule("gradient spikes", gradient_spikes, (MEAN,)),
    Rule("gradients above the clip", always_clipped),
)
