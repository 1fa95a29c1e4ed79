"""Gradients and codebook: which jumps count, and whose fault they are."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_faults import planted
from record_cases import Healthy, thresholds

from arcjepa.findings.breaks import breaks
from arcjepa.findings.codebook import codebook_collapse, codebook_discontinuity, refresh_at
from arcjepa.findings.finding import Finding, Skipped
from arcjepa.findings.gradients import always_clipped, gradient_spikes, spiking
from arcjepa.findings.records import make_record


def by_epoch(values: list[float]) -> pd.Series:
    return pd.Series(values, index=range(1, len(values) + 1), dtype=float)


# --- gradients


def test_large_norms_at_the_start_are_no_spike() -> None:
    assert spiking(by_epoch([50, 20, 8, 4, 3, 2, 2, 2, 2, 2]), 2.0) == []


def test_a_slow_rise_is_no_spike() -> None:
    assert spiking(by_epoch(np.geomspace(1, 20, 80).tolist()), 2.0) == []


def test_a_spike_lasts_or_is_high() -> None:
    calm = [2.0, 2.1, 1.9, 2.0, 2.1]
    assert spiking(by_epoch([*calm, 5.0, 2.0]), 2.0) == []
    assert [list(s.index) for s in spiking(by_epoch([*calm, 9.0, 2.0]), 2.0)] == [[6]]
    assert [list(s.index) for s in spiking(by_epoch([*calm, 5.0, 5.0, 5.0, 2.0]), 2.0)] == [[6, 7, 8]]


def test_a_clip_that_calm_epochs_never_reach_is_no_finding() -> None:
    run = Healthy(2, "phase2")
    run.epochs.loc[0, "clipped_share"] = 1.0
    assert always_clipped(run.record(), thresholds()) is None


def test_clipping_is_known_from_the_norms_and_the_settings_alone() -> None:
    run = Healthy(0, "baseline")
    table = pd.DataFrame({"epoch": [1, 10, 30, 70, 80], "grad_norm_mean": [6.6, 11.6, 14.9, 16.3, 21.3]})
    run.settings["optimizer"]["clip"] = 7.0
    assert always_clipped(run.record(epochs=table), thresholds()) is None
    run.settings["optimizer"]["clip"] = 0.5
    found = always_clipped(run.record(epochs=table), thresholds())
    assert isinstance(found, Finding)
    assert found.numbers["smallest_over_clip"] == pytest.approx(13.2)
    assert isinstance(always_clipped(make_record("x", table, pd.DataFrame()), thresholds()), Skipped)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.01, 0.04])
def test_a_ramp_into_a_spike_is_no_part_of_what_is_calm(noise: float) -> None:
    """The analysed run's: 15 in epoch 30, 29 in epoch 34, 36 in epoch 37."""
    rng = np.random.default_rng(0)
    at, norms = [1, 10, 30, 34, 37, 41, 42, 70, 80], [6.6, 11.6, 14.9, 28.8, 36.4, 31.1, 17.8, 16.3, 21.3]
    for _ in range(20):
        values = np.interp(np.arange(1, 81), at, norms) * np.exp(rng.normal(0, noise, 80))
        (spike,) = spiking(by_epoch(values.tolist()), 2.0)
        assert 32 <= spike.index[0] <= 37
        assert 38 <= spike.index[-1] <= 42


def spiked(first: int, length: int, mean: float, largest: float, phase: str = "phase2") -> Healthy:
    """A calm run with a spike of so many epochs."""
    run = Healthy(2, phase, shortest=60)
    calm = run.settings["optimizer"]["clip"] * 0.3 * run.jitter(run.n, 0.02)
    run.epochs["grad_norm_mean"], run.epochs["grad_norm_max"] = calm, 1.5 * calm
    for name, factor in (("grad_norm_mean", mean), ("grad_norm_max", largest)):
        run.epochs.loc[first - 1 : first + length - 2, name] *= factor
    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("length", "mean", "largest", "severity"),
    [
        (1, 3.0, 4.0, "warning"),
        (2, 2.5, 2.5, "warning"),
        (1, 1.0, 6.0, "note"),
        (3, 1.0, 6.0, "warning"),
        (1, 1.4, 40.0, "warning"),
        (1, 1.5, 2.2, None),
    ],
)
def test_what_a_spike_weighs(length: int, mean: float, largest: float, severity: str | None) -> None:
    found = gradient_spikes(spiked(40, length, mean, largest).record(), thresholds())
    assert (found.severity if isinstance(found, Finding) else None) == severity


@pytest.mark.slow
def test_a_spike_says_what_moved_before_it() -> None:
    run = spiked(40, 3, 3.0, 4.0)
    run.epochs["admitted_share"] = np.where(run.epochs["epoch"] < 40, 0.5, 1.0)
    found = gradient_spikes(run.record(), thresholds())
    assert isinstance(found, Finding)
    assert (found.severity, found.experiments) == ("note", ())
    assert "harder tasks" in found.cause
    run = spiked(40, 3, 3.0, 4.0, "baseline")
    run.steps["refreshed_codes"] = 0
    run.epochs["step"] = 100 * len(run.steps) // run.n * run.epochs["epoch"]
    run.steps.loc[(run.steps["step"] > run.epochs["step"].iloc[38]).idxmax(), "refreshed_codes"] = 9
    found = gradient_spikes(run.record(), thresholds())
    assert isinstance(found, Finding)
    assert "refresh" in found.cause
    assert "refresh" in found.experiments[0]
    run.steps["refreshed_codes"] = 0
    run.epochs.loc[39:41, "train_relational_weighted"] *= 4
    found = gradient_spikes(run.record(), thresholds())
    assert isinstance(found, Finding)
    assert "relational loss" in found.cause


def test_a_norm_far_beyond_the_clip_is_no_matter_of_the_clip() -> None:
    run = planted("gradients above the clip", 0)
    for factor, severity in ((1, "note"), (100, "warning")):
        run.epochs["clip_factor_median"] /= factor
        found = always_clipped(run.record(), thresholds())
        assert isinstance(found, Finding)
        assert found.severity == severity
        assert any("optimizer.clip" in line for line in found.experiments) == (severity == "note")


# --- codebook


def usage(values: list[float]) -> pd.Series:
    return pd.Series(values, index=[100 * (i + 1) for i in range(len(values))])


def test_only_a_jump_that_is_lost_again_is_a_discontinuity() -> None:
    low = [0.15, 0.16, 0.15, 0.16]
    assert list(breaks(usage([*low, 0.30, 0.14, 0.15]), 1.4, "jump")["step"]) == [500]
    assert list(breaks(usage([*low, 0.30, 0.28, 0.22, 0.15]), 1.4, "jump")["step"]) == [500]
    assert breaks(usage([*low, 0.30, 0.31, 0.30, 0.29]), 1.4, "jump").empty  # revived codes that stay in use
    assert breaks(usage([*low, 0.20, 0.25, 0.30, 0.25, 0.2, 0.15]), 1.4, "jump").empty  # no jump
    assert breaks(usage([1.0, 0.3, 0.2, 0.16, 0.15, 0.16]), 1.4, "jump").empty  # the first batch takes all codes


def test_a_refresh_is_known_from_the_record_or_from_its_interval() -> None:
    run = Healthy(0, "baseline")
    run.settings["quantizer"]["refresh"] = {"enabled": True, "interval": 400, "threshold": 0.01}
    steps = pd.DataFrame({"step": [100, 300, 500, 700], "code_usage": [0.15, 0.15, 0.3, 0.14]})
    record = run.record(steps=steps)
    series = record.series("code_usage")
    assert [refresh_at(record, series, step) for step in (300, 500, 700)] == [None, 500, None]
    record = run.record(steps=steps.assign(refreshed_codes=[0, 0, 5, 0]))
    # Codes that were replaced late show in the next row.
    assert [refresh_at(record, series, step) for step in (300, 500, 700)] == [None, 500, 500]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_cause_is_the_refresh_where_there_was_one(enabled: bool) -> None:
    run = Healthy(0, "baseline")
    run.settings["quantizer"]["refresh"] = {"enabled": enabled, "interval": 500, "threshold": 0.01}
    steps = usage([0.15, 0.16, 0.15, 0.15, 0.3, 0.15, 0.15]).rename("code_usage").rename_axis("step").reset_index()
    found = codebook_discontinuity(run.record(steps=steps), thresholds())
    assert isinstance(found, Finding)
    assert found.summary.endswith(", at a refresh.") == enabled
    assert any("refresh.enabled=false" in line for line in found.experiments) == enabled


def test_only_a_fall_at_once_and_for_good_is_one() -> None:
    high, low = [0.45, 0.44, 0.46, 0.45], [0.13, 0.12, 0.13, 0.12]
    assert list(breaks(usage([*high, *low]), 1.4, "fall")["step"]) == [500]
    assert breaks(usage([*high, 0.12, 0.44, 0.45, 0.44]), 1.4, "fall").empty  # one row
    assert breaks(usage([1.0, 0.8, 0.6, 0.4, 0.3, 0.25, 0.2, 0.18, 0.17]), 1.4, "fall").empty  # from the first batch on


MOVES = {
    "jump": [0.2, 0.2, 0.2, 0.2, 0.38, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
    "dip": [0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.19, 0.2, 0.2, 0.2, 0.2, 0.2],
    "rise": [0.2, 0.2, 0.2, 0.2, 0.38, 0.38, 0.38, 0.38, 0.38, 0.38, 0.38, 0.38],
    "fall": [0.38, 0.38, 0.38, 0.38, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
}
ALWAYS, NOT_AT_REFRESH, EVEN = {"jump", "fall"}, {"rise"}, {"dip", "rise", "fall"}


def moved(kind: str, refreshed: bool, steps: list[int] | None = None) -> object:
    """What is found where the use of codes moves so in its fifth row."""
    run = Healthy(0, "baseline")
    run.settings["quantizer"]["refresh"] = {"enabled": False}
    values = MOVES[kind]
    table = pd.DataFrame({"step": steps or [100 * (i + 1) for i in range(len(values))], "code_usage": values})
    table["refreshed_codes"] = [50 if refreshed and i == 4 else 0 for i in range(len(values))]
    return codebook_discontinuity(run.record(steps=table), thresholds())


@pytest.mark.parametrize("kind", MOVES)
@pytest.mark.parametrize("refreshed", [True, False])
def test_every_break_is_one_but_codes_that_a_refresh_revived_for_good(kind: str, refreshed: bool) -> None:
    found = moved(kind, refreshed)
    assert isinstance(found, Finding) == (not refreshed or kind not in NOT_AT_REFRESH)
    if isinstance(found, Finding):
        assert (found.first, found.last) == (500, 500)
        assert found.severity == ("note" if kind == "rise" else "warning")
        assert (", at a refresh" in found.summary) == refreshed


@pytest.mark.parametrize("kind", MOVES)
def test_of_uneven_rows_only_a_jump_or_what_a_refresh_did(kind: str) -> None:
    uneven = [100, 300, 700, 800, 1500, 1600, 2900, 3000, 5000, 5100, 5300, 7600]
    assert isinstance(moved(kind, False, uneven), Finding) == (kind not in EVEN)


def fallen(rows: int, at: int, low: float, refreshed: bool = False) -> object:
    """What is found where the use of codes falls from 40 % in a row, for good."""
    run = Healthy(0, "baseline")
    run.settings["quantizer"]["refresh"] = {"enabled": False}
    table = pd.DataFrame({"step": 100 * np.arange(1, rows + 1), "code_usage": np.where(np.arange(rows) < at, 0.4, low)})
    table["refreshed_codes"] = np.where((np.arange(rows) == at) & refreshed, 50, 0)
    return codebook_discontinuity(run.record(steps=table), thresholds())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "at", "low", "found"),
    [(40, 20, 0.2, True), (40, 20, 0.01, False), (100, 4, 0.2, False), (100, 6, 0.2, True), (10, 5, 0.2, False)],
    ids=["a fall", "a collapse", "from the start", "soon after", "in few rows"],
)
def test_a_fall_without_a_refresh(rows: int, at: int, low: float, found: bool) -> None:
    assert isinstance(fallen(rows, at, low), Finding) == found
    assert isinstance(fallen(rows, at, low, refreshed=True), Finding)


@pytest.mark.parametrize(
    ("quantizer", "word", "line"),
    [
        ({"kind": "gumbel", "codes": 256, "temperature": 1.0}, "softmax", "quantizer.temperature=2"),
        ({"kind": "fsq", "levels": [8, 6, 5]}, "Levels", "quantizer.kind=none"),
        (
            {"kind": "vq", "codes": 768, "commitment": {"enabled": True, "weight": 0.15}},
            "commitment",
            "commitment.weight",
        ),
    ],
)
def test_codes_of_each_kind_have_remedies_of_their_own(quantizer: dict[str, Any], word: str, line: str) -> None:
    run = planted("codebook collapse", 0)
    run.settings["quantizer"] = quantizer
    found = codebook_collapse(run.record(), thresholds())
    assert isinstance(found, Finding)
    assert word in found.cause
    assert line in found.experiments[0]
    assert ("commitment" in found.cause + found.advice + " ".join(found.experiments)) == (quantizer["kind"] == "vq")


def test_codes_in_use_are_known_from_their_number_too() -> None:
    run = Healthy(0, "baseline")
    steps = pd.DataFrame({"step": [100, 200, 300], "active_codes": [300.0, 12.0, 10.0]})
    found = codebook_collapse(run.record(steps=steps), thresholds())
    assert isinstance(found, Finding)
    assert found.numbers["final_usage"] == pytest.approx(10 / 768)
    assert isinstance(codebook_collapse(make_record("x", pd.DataFrame(), steps), thresholds()), Skipped)


def test_a_run_without_codes_has_no_such_faults() -> None:
    from arcjepa.diagnosis import examine

    run = Healthy(0, "phase2")
    run.settings["quantizer"] = {"kind": "none"}
    report = examine(run.record(steps=run.steps.drop(columns=["code_usage", "active_codes"])), thresholds())
    assert report.not_applicable["codebook collapse"] == "there is no quantiser"
