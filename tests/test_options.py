"""Every option, mitigation and fallback that the analysis names is a phase or a scenario of params.yaml."""

from functools import cache
from typing import Any

import pandas as pd
import pytest
from evidence_cases import params, printed

from arcjepa.config import resolved
from arcjepa.formulas import steps_planned
from arcjepa.params import leaf

LEAVES = {
    "relational_loss.weight": "loss.relational.weight",
    "object_encoder.vq_refresh_enabled": "quantizer.refresh.enabled",
    "object_encoder.num_embeddings": "quantizer.codes",
    "object_encoder.commitment_cost": "quantizer.commitment.weight",
    "object_encoder.ema_decay": "quantizer.decay",
    "training.early_stopping.patience": "stopping.patience",
    "training.early_stopping.min_delta": "stopping.min_delta",
    "loss.lambda_sigreg": "loss.lambda_sigreg",
    "sigreg.lambda": "loss.lambda_sigreg",
    "sigreg.weight": "loss.sigreg.weight",
    "loss.use_target_encoder": "loss.teacher.enabled",
    "optimizer.lr": "optimizer.lr",
    "optimizer.weight_decay": "optimizer.weight_decay",
    "data.context_window": "sequence.window",
    "gradnorm.alpha": "loss.gradnorm.alpha",
    "gumbel.temperature": "quantizer.temperature",
}
"""Settings of proposed_settings.csv -> our leaves of the same value."""
OTHERWISE = {
    "relational_loss.context_self_weight": lambda run, value: _self_weight(run) == pytest.approx(value),
    "relational_loss.variance_eps": lambda run, _: leaf(run, "loss.relational.form") == "normalised",
    "object_encoder.vq_refresh_interval": lambda run, _: _refresh(run) > steps_planned(run) and _refresh(run) >= 10000,
    "loss.objective": lambda run, _: leaf(run, "loss.prediction") == "lejepa",
    "curriculum.num_phases": lambda run, value: len(leaf(run, "sequence.curriculum.epochs", [])) + 1 == value,
    "fsq.levels": lambda run, value: set(leaf(run, "quantizer.levels", [])) == {value},
    "object_encoder.vq_enabled": lambda run, _: leaf(run, "quantizer.kind") == "vq",
}
"""Those that ours says in other words."""
GONE = {
    "relational_loss": "loss.relational.weight",
    "invariance": "loss.invariance.colour",
    "loss.temperature": "loss.infonce.temperature",
    "loss.temperature_min": "loss.infonce.temperature_min",
    "loss.temperature_max": "loss.infonce.temperature_max",
    "loss.learnable_temperature": "loss.infonce.temperature",
    "loss.queue_size": "loss.infonce.queue",
    "loss.target_ema_decay": "loss.teacher.decay",
    "object_encoder.vq_refresh_interval": "quantizer.refresh.interval",
    "object_encoder.vq_refresh_usage_threshold": "quantizer.refresh.threshold",
}
"""What phase 2 is to remove -> the leaf that it does not read."""
ONE_VALUE = {
    *("training.lr_scheduler.name", "training.lr_scheduler.warmup_steps", "training.lr_scheduler.min_lr_scale"),
    *("training.lr_scheduler.total_steps", "data.target_offset", "gumbel.hard", "gradnorm.num_losses"),
}
"""What no leaf changes: a cosine after 5 % of warm-up, the next frame, soft codes, two balanced terms."""


def _self_weight(run: dict[str, Any]) -> float:
    return float(leaf(run, "loss.relational.weight", -1.0) * leaf(run, "loss.relational.self_share", 1.0))


def _refresh(run: dict[str, Any]) -> int:
    return int(leaf(run, "quantizer.refresh.interval", 0))


@cache
def overlays() -> dict[str, dict[str, Any]]:
    """The resolved settings of every phase and scenario at scale production."""
    return {name: resolved(params().phase_settings(name)) for name in params().overlays}


def holding(row: pd.Series) -> list[str]:
    """The phases and scenarios in which a row of proposed_settings.csv holds."""
    setting, value = row["setting"], row["to_value"]
    if row["action"] == "remove" or (setting == "relational_loss.weight" and value == 0):
        gone = {**LEAVES, **GONE}[setting]
        return [name for name, run in overlays().items() if not leaf(run, gone, False)]
    wanted = {"true": True, "false": False}.get(row["to_words"], value)
    if setting in OTHERWISE:
        return [name for name, run in overlays().items() if OTHERWISE[setting](run, wanted)]
    return [name for name, run in overlays().items() if leaf(run, LEAVES[setting], False) == wanted]


def rows() -> list[pd.Series]:
    table = printed().table("proposed_settings")
    return [row for _, row in table.iterrows() if row["setting"] not in ONE_VALUE]


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['fix']} {row['option']} {row['setting']}")
def test_what_the_plan_proposes_is_a_phase_or_a_scenario(row: pd.Series) -> None:
    found = holding(row)
    assert found
    if row["action"] == "remove":
        assert "phase2" in found


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("phase1_normalised", "phase1 with a normalised relational loss (option B)"),
        ("relational_tenth", "a tenth of the relational weight (option C)"),
        ("refresh_10000", "a refresh after the end of training"),
        ("codes_384", "half of the codes"),
        ("stopping_late", "the patience of before"),
        ("sigreg_published_1", "InfoNCE with SIGReg 1.0"),
        ("no_teacher", "progressive removal"),
        ("phase2_teacher", "an EMA teacher beside LeJEPA"),
        ("phase2_invariance", "optional augmentation-based invariance"),
        ("phase2_commitment", "VQ parameters kept for discrete codes"),
        ("gradnorm", "GradNorm"),
        ("uncertainty", "uncertainty weighting"),
        ("window_7", "seven frames"),
        ("quantizer_fsq_8", "8 levels a dimension"),
        ("phase3_long", "100 epochs"),
    ],
)
def test_what_the_plan_says_in_words_is_a_scenario(name: str, option: str) -> None:
    assert name in params().scenarios, option


def test_a_refresh_at_10000_never_comes_and_every_other_one_does() -> None:
    late = [name for name, run in overlays().items() if _refresh(run) > steps_planned(run)]
    assert late == ["refresh_10000"]
