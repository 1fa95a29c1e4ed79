"""A plateau is told from noise as well as the epochs allow; the patience offered keeps the best epoch."""

import numpy as np
import pandas as pd
import pytest
from planted_faults import planted
from record_cases import Healthy, thresholds, tree

from arcjepa.findings import plateau as module
from arcjepa.findings.finding import Finding
from arcjepa.findings.plateau import CRITERION, plateau, replay, smallest_patience
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


@pytest.mark.slow
def test_noise_of_three_per_cent_is_a_plateau_in_less_than_two_per_cent() -> None:
    assert rate(0.03) < 0.02
    assert rate(0.01) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("part", ["scatter", "running_median"])
def test_that_is_so_because_the_noise_is_estimated(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, part, {"scatter": lambda _: 0.0, "running_median": lambda losses: losses}[part])
    monkeypatch.setattr(module, "LAST_RISE", 0.0)
    assert rate(0.03) > 0.02


@pytest.mark.slow
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


# --- what is judged


def test_a_stop_that_came_by_itself_is_a_note() -> None:
    run = planted("plateau", 0)
    column = CRITERION["infonce"]
    best = int(run.epochs.loc[run.epochs[column].idxmin(), "epoch"])
    assert [f.severity for f in (plateau(run.record(), thresholds()),) if isinstance(f, Finding)] == ["warning"]
    for patience, severity in ((run.n - best, "note"), (max(1, (run.n - best) // 2), "warning")):
        # With the latter the run would have ended before: early stopping did not end it.
        run.settings["stopping"] = {"enabled": True, "patience": patience, "min_delta": 0.0}
        found = plateau(run.record(), thresholds())
        assert isinstance(found, Finding)
        assert found.severity == severity


def test_a_total_that_rises_alone_is_a_note_that_names_the_term() -> None:
    run = Healthy(2, "phase2", shortest=30)
    run.set_term("sigreg", run.epochs["train_sigreg"], run.epochs["val_sigreg"].iloc[0] * run.grow(8))
    found = plateau(run.record(), thresholds())
    assert isinstance(found, Finding)
    assert (found.severity, found.numbers["term"], found.experiments) == ("note", "sigreg", ())
    run.epochs = run.epochs.drop(columns=["val_prediction_error"])
    found = plateau(run.record(), thresholds())
    assert isinstance(found, Finding)
    assert found.severity == "warning"
    assert "as val_prediction_error is not recorded" in found.advice


@pytest.mark.parametrize(
    ("losses", "found"),
    [
        (np.zeros(80), False),
        (np.linspace(-1, -5, 80), False),
        (np.interp(np.arange(80), [0, 39, 79], [1, 0, 0.3]), True),
        (np.interp(np.arange(80), [0, 39, 79], [-1, -5, -3]), True),
    ],
)
def test_losses_of_zero_and_below_are_judged_by_their_range(losses: np.ndarray, found: bool) -> None:
    epochs = pd.DataFrame({"epoch": np.arange(1, 81), "val_total": losses})
    judged = plateau(make_record("odd", epochs, pd.DataFrame()), thresholds())
    assert isinstance(judged, Finding) == found
    if isinstance(judged, Finding):
        assert "%" not in judged.summary


@pytest.mark.slow
def test_a_rise_of_three_per_cent_within_the_last_epochs_is_found() -> None:
    """The analysed run's: best in epoch 69 of 80, under noise of half a per cent."""
    rng = np.random.default_rng(0)
    rows = np.arange(1, 81)
    trend = np.interp(rows, [1, 15, 50, 69, 80], [9.0, 8.0, 7.65, 7.38, 7.61])
    hits = []
    for _ in range(40):
        epochs = pd.DataFrame({"epoch": rows, "val_total": trend * np.exp(rng.normal(0, 0.005, 80))})
        hits.append(isinstance(plateau(make_record("analysed", epochs, pd.DataFrame()), thresholds()), Finding))
    assert np.mean(hits) > 0.97


@pytest.mark.slow
def test_flat_losses_with_noise_do_not_end_worse() -> None:
    rng = np.random.default_rng(1)
    hits = []
    for spread in (0.004, 0.01, 0.03):
        for _ in range(60):
            losses = (0.5 + 0.5 * np.exp(-8 * np.linspace(0, 1, 80))) * np.exp(rng.normal(0, spread, 80))
            epochs = pd.DataFrame({"epoch": np.arange(1, 81), "val_total": losses})
            judged = plateau(make_record("flat", epochs, pd.DataFrame()), thresholds())
            hits.append(isinstance(judged, Finding) and judged.threshold == "plateau")
    assert sum(hits) <= 1


# --- when to stop


def random_losses(seed: int) -> pd.Series:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 60))
    trend = np.interp(np.arange(n), [0, n * rng.uniform(0.2, 0.8), n], [1.0, 0.4, 0.6])
    return pd.Series(trend * np.exp(rng.normal(0, rng.choice([0.001, 0.05]), n)), index=np.arange(1, n + 1))


@pytest.mark.parametrize("seed", range(40))
def test_the_smallest_patience_is_that_of_trying_them_all(seed: int) -> None:
    losses, delta = random_losses(seed), [0.0, 0.003, 0.03][seed % 3]
    best, last = int(losses.idxmin()), int(losses.index[-1])
    tried = [patience for patience in range(1, last + 1) if replay(losses, delta, patience)[0] == best]
    assert smallest_patience(losses, delta) == (tried[0] if tried else None)


def test_early_stopping_is_replayed_as_the_trainer_has_it() -> None:
    """Improvements count by min_delta, waits from the last of them; the analysed value itself may be later."""
    losses = pd.Series([1.0, 0.9, 0.899, 0.898, 0.8, 0.85, 0.85, 0.85], index=range(1, 9))
    assert replay(losses, 0.01, 2) == (2, 4)
    assert replay(losses, 0.01, 3) == (5, 8)
    assert smallest_patience(losses, 0.01) == 3
    assert smallest_patience(losses, 0.2) is None


@pytest.mark.parametrize(
    ("delta", "words", "leaf"), [(0.003, "Patience 1 is", ""), (0.2, "and min_delta 0", "min_delta=0")]
)
def test_the_advice_names_a_patience_that_keeps_the_best_epoch(delta: float, words: str, leaf: str) -> None:
    run = Healthy(1, "phase1", shortest=40)
    run.epochs["val_prediction"] = np.interp(run.t, [0, 0.5, 1], [3.0, 2.0, 2.5])
    run.settings["stopping"] = {"enabled": True, "patience": run.n, "min_delta": delta}
    found = plateau(run.record(tree=tree()), thresholds())
    assert isinstance(found, Finding)
    assert words in found.advice
    assert leaf in found.experiments[0]
    assert "patience=1" in found.experiments[0]
