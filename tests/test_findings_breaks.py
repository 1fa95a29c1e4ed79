"""Which rows of a gradient's norm or of a codebook's use stand out, by how many there are and what lies beside them."""

import numpy as np
import pandas as pd
import pytest

from arcjepa.findings.breaks import breaks
from arcjepa.findings.gradients import spiking


def by_epoch(values: np.ndarray) -> pd.Series:
    return pd.Series(values, index=range(1, len(values) + 1), dtype=float)


def noisy(rows: int, spread: float, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(0, spread, rows))


@pytest.mark.slow
def test_of_many_rows_some_stand_out_by_chance() -> None:
    """Ten per cent of noise, in 250 rows and in all four kinds of break."""
    hits = sum(
        len(breaks(by_epoch(0.4 * noisy(250, 0.1, seed)), 1.4, kind))
        for seed in range(20)
        for kind in ("jump", "dip", "rise", "fall")
    )
    assert hits <= 1


@pytest.mark.slow
@pytest.mark.parametrize("rows", [20, 60, 250])
def test_a_jump_of_two_thirds_is_found_in_as_many(rows: int) -> None:
    for seed in range(10):
        usage = 0.2 * noisy(rows, 0.05, seed)
        usage[rows // 2] = 0.34
        assert list(breaks(by_epoch(usage), 1.4, "jump")["step"]) == [rows // 2 + 1], seed


def test_a_move_over_several_rows_is_none_at_once() -> None:
    usage = np.interp(np.arange(40), [0, 20, 24, 40], [0.2, 0.2, 0.5, 0.5])
    assert breaks(by_epoch(usage), 1.4, "rise").empty


def test_an_epoch_stands_out_from_its_neighbours_whatever_the_trend() -> None:
    """Norms that fell to a third meanwhile: against those before it is no spike."""
    norms = np.geomspace(9, 1, 14) * noisy(14, 0.02)
    norms[11] *= 4
    (spike,) = spiking(by_epoch(norms), 2.0)
    assert list(spike.index) == [12]


def test_norms_that_fall_from_the_start_do_not_stand_out() -> None:
    assert spiking(by_epoch(50 * np.exp(-np.arange(30) / 2.0) + 1), 2.0) == []


@pytest.mark.parametrize("epochs", [40, 200])
def test_a_hump_is_a_spike_in_long_runs_too(epochs: int) -> None:
    at = np.arange(epochs) / epochs
    hump = (1 + 3 * np.exp(-0.5 * ((at - 0.5) / 0.05) ** 2)) * noisy(epochs, 0.04)
    (spike,) = spiking(by_epoch(hump), 2.0)
    high = np.flatnonzero(1 + 3 * np.exp(-0.5 * ((at - 0.5) / 0.05) ** 2) >= 2) + 1
    assert spike.index[0] == pytest.approx(high[0], abs=0.02 * epochs + 1)
    assert spike.index[-1] == pytest.approx(high[-1], abs=0.02 * epochs + 1)


@pytest.mark.slow
def test_of_few_epochs_the_noise_is_known_less_well() -> None:
    for rows, spread in ((12, 0.4), (80, 0.3)):
        assert sum(spiking(by_epoch(noisy(rows, spread, seed)), 2.0) != [] for seed in range(200)) <= 2


def test_of_uneven_epochs_the_noise_is_that_about_the_line_between_neighbours() -> None:
    rng = np.random.default_rng(3)
    kept = [np.sort(rng.choice(300, 14, replace=False)) for _ in range(100)]
    assert sum(spiking(by_epoch(noisy(300, 0.35, i)).iloc[rows], 2.0) != [] for i, rows in enumerate(kept)) <= 2
