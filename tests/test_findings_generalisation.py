"""A plateau is told from the noise of few and uneven epochs, as well as they allow."""

import numpy as np
import pandas as pd
import pytest
from record_cases import thresholds

from arcjepa.findings import generalisation
from arcjepa.findings.finding import Finding
from arcjepa.findings.generalisation import plateau
from arcjepa.findings.records import make_record

ROWS = (5, 6, 8, 10, 12, 15, 25)
RUNS = 100


def found(seed: int, rows: int, noise: float, rise: float = 0.0) -> bool:
    """Whether a plateau is found in so many random epochs of a run that decays, then rises by a share from 60 % on."""
    rng = np.random.default_rng([seed, rows])
    n = int(rng.integers(40, 100))
    t = np.linspace(0, 1, n)
    floor = rng.uniform(0.1, 0.9)
    trend = floor + (1 - floor) * np.exp(-rng.uniform(2, 12) * t)
    losses = trend * (1 + rise * np.clip((t - 0.6) / 0.4, 0, 1)) * np.exp(rng.normal(0, noise, n))
    kept = np.sort(rng.choice(n, rows, replace=False))
    epochs = pd.DataFrame({"epoch": kept + 1, "val_total": losses[kept]})
    return isinstance(plateau(make_record("sparse", epochs, pd.DataFrame()), thresholds()), Finding)


def rate(noise: float, rise: float = 0.0) -> float:
    return float(np.mean([found(seed, rows, noise, rise) for rows in ROWS for seed in range(RUNS)]))


def test_noise_of_three_per_cent_is_a_plateau_in_less_than_two_per_cent() -> None:
    assert rate(0.03) < 0.02
    assert rate(0.01) < 0.005


@pytest.mark.parametrize("part", ["scatter", "running_median"])
def test_that_is_so_because_the_noise_is_estimated(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generalisation, part, {"scatter": lambda _: 0.0, "running_median": lambda losses: losses}[part])
    monkeypatch.setattr(generalisation, "LAST_RISE", 0.0)
    assert rate(0.03) > 0.02


def test_a_clear_plateau_is_found_in_few_epochs_too() -> None:
    assert rate(0.002, 0.3) > 0.7
    assert np.mean([found(seed, 25, 0.01, 0.2) for seed in range(RUNS)]) > 0.8


def test_the_last_rise_has_to_exceed_those_before() -> None:
    """The noise alone would let it pass."""
    epochs = [1, 12, 20, 31, 38, 52, 61, 80]
    losses = np.array([9.0, 8.0, 7.9, 8.5, 7.7, 7.5, 7.45, 8.0])
    for earlier, expected in ((8.5, False), (7.8, True)):
        losses[3] = earlier
        table = pd.DataFrame({"epoch": epochs, "val_total": losses})
        record = make_record("few", table, pd.DataFrame())
        assert isinstance(plateau(record, thresholds()), Finding) == expected
