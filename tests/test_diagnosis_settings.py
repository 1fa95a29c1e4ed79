"""Every threshold is read: a lenient one lets its fault pass, and a bad one is refused."""

import pytest
from planted_faults import planted
from record_cases import Healthy, thresholds, tree

from arcjepa.config import from_mapping
from arcjepa.diagnosis import diagnose
from arcjepa.diagnosis_settings import Thresholds
from arcjepa.errors import UserError

LENIENT: dict[str, tuple[str, int, float]] = {
    "gaps": ("missing epochs", 0, 1000),
    "explosion": ("relational explosion", 0, 1e3),
    "relational_share": ("relational share", 0, 1.0),
    "hidden_rise": ("hidden component", 0, 1.0),
    "loss_rise": ("rising training loss", 0, 1e3),
    "plateau": ("plateau", 0, 1.0),
    "stalled": ("plateau", 2, 1.0),
    "left_behind": ("plateau", 3, 0.0),
    "memorisation": ("memorisation", 0, 1e3),
    "chance": ("contrastive loss at chance", 0, 1.0),
    "sigreg_motion": ("saturated SIGReg", 0, 0.0),
    "lambda_min": ("lambda out of range", 0, 0.0),
    "lambda_max": ("lambda out of range", 0, 1e3),
    "epps_pulley_excess": ("embeddings far from Gaussian", 0, 1e3),
    "invariance": ("invariance not learned", 0, 1e3),
    "temperature_share": ("temperature at a bound", 0, 1.0),
    "collapse_rank": ("dimensional collapse", 0, 0.0),
    "rank_fall": ("dimensional collapse", 1, 0.0),
    "codebook_jump": ("codebook discontinuity", 0, 1e3),
    "codebook_usage": ("codebook collapse", 0, 0.0),
    "gradient_spike": ("gradient spikes", 0, 1e3),
    "gradient_peak": ("gradient spikes", 1, 1e3),
    "gradient_growth": ("growing gradients", 0, 1e3),
    "gradient_vanished": ("vanished gradient", 0, 0.0),
    "learning_rate": ("learning rate off its schedule", 0, 0.0),
    "queue_fill": ("queue not filled", 0, 0.0),
    "admitted": ("curriculum stuck", 0, 0.0),
    "throughput": ("slower epochs", 0, 0.0),
}
"""The kind of a planted fault, and a value of the threshold at which it passes."""
OTHERS = {
    "explosion_start": (4.0, "relational explosion", 0),
    "collapse_variance": (1e9, "complete collapse", 0),
    "shrunk_variance": (0.9, "complete collapse", 1),
    "codebook_perplexity": (0.9, "codebook collapse", 1),
    "clipped_share": (0.0, "gradients above the clip", 0),
    "unpredicted": (1e-6, "broken relation", 0),
    "view_gap": (1.0001, "broken relation", 0),
}
"""A value of each other threshold at which something else is found."""


@pytest.mark.slow
@pytest.mark.parametrize("key", LENIENT)
def test_a_lenient_threshold_lets_its_fault_pass(key: str) -> None:
    name, kind, value = LENIENT[key]
    changed = thresholds().model_copy(update={key: value})
    records = [planted(name, seed, kind).record() for seed in range(8)]
    if key == "gradient_spike":  # or the largest norms alone would tell
        changed = changed.model_copy(update={"gradient_peak": value})
    assert any(diagnose(record, changed) == [] for record in records)


@pytest.mark.slow
@pytest.mark.parametrize("key", OTHERS)
def test_the_other_thresholds_are_read_too(key: str) -> None:
    """Each changes what is found, or where it begins."""
    value, name, kind = OTHERS[key]
    changed = thresholds().model_copy(update={key: value})
    runs = [planted(name, 3, kind), *(Healthy(seed) for seed in range(6))]
    runs[-1].epochs["clipped_share"], runs[-1].epochs["clip_factor_median"] = 0.5, 0.3
    seen = [[(f.name, f.first) for f in diagnose(run.record(), limits)] for run in runs for limits in (thresholds(),)]
    assert seen != [[(f.name, f.first) for f in diagnose(run.record(), changed)] for run in runs]


def test_every_threshold_is_tested() -> None:
    assert set(LENIENT) | set(OTHERS) == set(Thresholds.model_fields)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("explosion", 1.0, "greater than 1"),
        ("explosion", 1.5, "explosion_start = 2.0 must not exceed explosion = 1.5"),
        ("lambda_min", 11.0, "must not exceed lambda_max"),
        ("plateau", -0.1, "greater than or equal to 0"),
    ],
)
def test_a_bad_threshold_is_refused(key: str, value: float, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as error:
        from_mapping({**tree(), "diagnosis": {**tree()["diagnosis"], key: value}})
    assert str(error.value).startswith("params.yaml: diagnosis")
