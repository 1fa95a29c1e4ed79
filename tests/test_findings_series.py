"""Levels, noise and changes of one column, dense or sparse."""

import numpy as np
import pandas as pd
import pytest

from arcjepa.findings.series import end, grew, highest, last_stretch, lowest, noise, scatter, smooth


def dense(values: np.ndarray) -> pd.Series:
    return pd.Series(values, index=np.arange(1, len(values) + 1))


def test_one_outlier_moves_no_level() -> None:
    values = np.linspace(5, 1, 40)
    spiked = values.copy()
    spiked[20] = 100
    assert smooth(dense(spiked)).max() < 5.1
    assert np.abs(smooth(dense(spiked)) - smooth(dense(values))).max() < 0.2


def test_sparse_rows_are_taken_as_they_are() -> None:
    series = pd.Series([5.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0], index=[1, 3, 10, 30, 31, 50, 77, 78, 80])
    assert smooth(series).equals(series)
    assert noise(series) == 0
    assert end(series) == 6.0


@pytest.mark.parametrize("spread", [0.01, 0.05, 0.2])
def test_noise_is_told_apart_from_the_trend(spread: float) -> None:
    rng = np.random.default_rng(0)
    found = [noise(dense(np.exp(-t_() + rng.normal(0, spread, 80)))) for t_ in [lambda: np.linspace(0, 3, 80)] * 30]
    assert np.mean(found) == pytest.approx(spread, rel=0.15)


def test_a_change_within_the_noise_is_none() -> None:
    rng = np.random.default_rng(1)
    noisy, quiet = (dense(np.exp(rng.normal(0, spread, 60))) for spread in (0.3, 0.001))
    assert not grew(1.0, 2.0, 1.5, noisy)
    assert grew(1.0, 2.0, 1.5, quiet)
    assert not grew(1.0, 1.4, 1.5, quiet)


def test_places_are_epochs_not_positions() -> None:
    series = pd.Series([3.0, 1.0, 2.0], index=[10, 20, 30])
    assert (lowest(series), highest(series)) == (20, 10)


@pytest.mark.parametrize(
    ("flags", "first"), [([0, 1, 0, 1, 1], 40), ([1, 1], 10), ([1, 0], None), ([], None), ([0, 0, 1], 30)]
)
def test_the_last_stretch_begins_after_the_last_exception(flags: list[int], first: int | None) -> None:
    assert last_stretch(pd.Series([bool(f) for f in flags], index=[10 * (i + 1) for i in range(len(flags))])) == first


@pytest.mark.parametrize("spread", [0.01, 0.05])
def test_scatter_is_the_noise_of_rows_at_any_distance(spread: float) -> None:
    rng = np.random.default_rng(0)
    at = np.sort(rng.choice(1000, 300, replace=False))
    values = np.exp(-at / 300 + rng.normal(0, spread, 300))
    assert scatter(pd.Series(values, index=at)) == pytest.approx(spread, rel=0.2)
    assert scatter(pd.Series(np.exp(-at / 300), index=at)) < 1e-9
    assert scatter(pd.Series(values[:3], index=at[:3])) == 0


def test_the_ends_of_a_level_follow_a_trend_and_no_outlier() -> None:
    for rows in (9, 20):
        line = np.arange(1.0, rows + 1)
        assert smooth(dense(line)).to_list() == line.tolist()
        line[1], line[-2] = 500, -500
        assert np.abs(smooth(dense(line)) - np.arange(1.0, rows + 1)).max() <= 2
        line = np.arange(1.0, rows + 1)
        line[0], line[-1] = 500, -500
        assert np.abs(smooth(dense(line)) - np.arange(1.0, rows + 1)).max() <= 2


def test_a_trend_that_bends_is_no_noise() -> None:
    """Changes alone would say 0.24."""
    hump = 2 * np.exp(-0.5 * ((np.arange(20) - 10) / 3) ** 2)
    assert noise(dense(np.exp(hump + np.random.default_rng(0).normal(0, 0.01, 20)))) < 0.12


def test_the_noise_of_few_rows_is_not_told_too_small() -> None:
    rng = np.random.default_rng(0)
    found = [noise(dense(np.exp(rng.normal(0, 0.2, 9)))) for _ in range(300)]
    assert 0.183 < np.mean(found) < 0.22
