"""Validation that stands still is told from validation that goes on falling, and from what is learned by heart."""

import numpy as np
import pandas as pd
import pytest
from record_cases import thresholds

from arcjepa.findings.finding import Finding
from arcjepa.findings.generalisation import memorisation
from arcjepa.findings.plateau import plateau
from arcjepa.findings.records import make_record

LIMITS = thresholds()
T = np.linspace(0, 1, 80)


def said(train: np.ndarray, val: np.ndarray, noise: float = 0.002) -> tuple[str, int | None]:
    """The threshold that a plateau crosses, and its first epoch."""
    rng = np.random.default_rng(0)
    columns = {"train_prediction_error": train, "val_prediction_error": val}
    table = pd.DataFrame({name: values * np.exp(rng.normal(0, noise, 80)) for name, values in columns.items()})
    table.insert(0, "epoch", np.arange(1, 81))
    table["val_prediction"], table["train_sigreg"] = table["val_prediction_error"], 1.1
    found = plateau(make_record("x", table, pd.DataFrame()), LIMITS)
    return (found.threshold, found.first) if isinstance(found, Finding) else ("", None)


FLAT = np.interp(T, [0, 0.3, 1], [1.0, 0.5, 0.5])
BEHIND = "left_behind"


def test_training_that_leaves_validation_behind_is_a_plateau_from_there_on() -> None:
    key, first = said(0.8 - 0.35 * T, FLAT)
    assert key == BEHIND
    assert first == pytest.approx(24, abs=6)


@pytest.mark.parametrize(
    ("train", "val", "noise"),
    [
        (0.8 - 0.35 * T, 0.5 + 0.5 * np.exp(-4 * T), 0.002),  # validation goes on too
        (0.5 - 0.06 * T, FLAT, 0.002),  # training hardly does
        (0.8 - 0.35 * T, FLAT, 0.04),  # nothing can be told
    ],
)
def test_nor_is_what_goes_on_or_cannot_be_told(train: np.ndarray, val: np.ndarray, noise: float) -> None:
    assert said(train, val, noise)[0] != BEHIND


def test_where_tasks_are_learned_by_heart_that_is_said_alone() -> None:
    assert said(np.exp(-3 * T), np.maximum(np.exp(-3 * T), 0.5)) == ("", None)


def test_losses_that_fall_slowly_do_not_stand_still() -> None:
    """By less than one per cent, which is more than their noise explains."""
    quick = 0.5 + 0.5 * np.exp(-T / 0.01)
    assert said(quick, quick)[0] == "stalled"
    slow = quick * (1 - 0.006 * T)
    assert said(slow, slow)[0] == ""


@pytest.mark.parametrize(("end", "found"), [(0.36, True), (0.26, False), (0.31, False), (0.50, True)])
def test_a_narrower_gap_is_memory_where_validation_gets_worse(end: float, found: bool) -> None:
    """1.5 times the training error of 0.2 is enough there, twice that where it stands still."""
    train, val = np.interp(T, [0, 0.5, 1], [1, 0.3, 0.2]), np.interp(T, [0, 0.5, 1], [1, 0.29, end])
    table = pd.DataFrame({"epoch": np.arange(1, 81), "train_prediction_error": train, "val_prediction_error": val})
    assert isinstance(memorisation(make_record("x", table, pd.DataFrame()), LIMITS), Finding) == found


@pytest.mark.slow
def test_noise_is_no_improvement_of_validation() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(40):
        train = np.exp(-1.2 * T[::7])
        val = np.maximum(train, 0.75) * np.exp(rng.normal(0, 0.04, 12))
        table = pd.DataFrame({"epoch": np.arange(1, 13), "train_prediction_error": train, "val_prediction_error": val})
        hits += isinstance(memorisation(make_record("x", table, pd.DataFrame()), LIMITS), Finding)
    assert hits > 28
