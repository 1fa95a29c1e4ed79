"""Gradients and codebook: which jumps count, and whose fault they are."""

import numpy as np
import pandas as pd
import pytest
from record_cases import Healthy, thresholds

from arcjepa.findings.codebook import codebook_collapse, codebook_discontinuity, jumps, refresh_at
from arcjepa.findings.finding import Finding, Skipped
from arcjepa.findings.gradients import always_clipped, spiking
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


# --- codebook


def usage(values: list[float]) -> pd.Series:
    return pd.Series(values, index=[100 * (i + 1) for i in range(len(values))])


def test_only_a_jump_that_is_lost_again_is_a_discontinuity() -> None:
    low = [0.15, 0.16, 0.15, 0.16]
    assert list(jumps(usage([*low, 0.30, 0.14, 0.15]), 1.4)["step"]) == [500]
    assert list(jumps(usage([*low, 0.30, 0.28, 0.22, 0.15]), 1.4)["step"]) == [500]
    assert jumps(usage([*low, 0.30, 0.31, 0.30, 0.29]), 1.4).empty  # revived codes that stay in use
    assert jumps(usage([*low, 0.20, 0.25, 0.30, 0.25, 0.2, 0.15]), 1.4).empty  # no jump
    assert jumps(usage([1.0, 0.3, 0.2, 0.16, 0.15, 0.16]), 1.4).empty  # the first batch takes all codes


def test_a_refresh_is_known_from_the_record_or_from_its_interval() -> None:
    run = Healthy(0, "baseline")
    run.settings["quantizer"]["refresh"] = {"enabled": True, "interval": 400, "threshold": 0.01}
    steps = pd.DataFrame({"step": [100, 300, 500, 700], "code_usage": [0.15, 0.15, 0.3, 0.14]})
    record = run.record(steps=steps)
    series = record.series("code_usage")
    assert [refresh_at(record, series, step) for step in (300, 500, 700)] == [False, True, False]
    record = run.record(steps=steps.assign(refreshed_codes=[0, 0, 0, 5]))
    assert [refresh_at(record, series, step) for step in (300, 500, 700)] == [False, False, True]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_cause_is_the_refresh_where_there_was_one(enabled: bool) -> None:
    run = Healthy(0, "baseline")
    run.settings["quantizer"]["refresh"] = {"enabled": enabled, "interval": 500, "threshold": 0.01}
    steps = usage([0.15, 0.16, 0.15, 0.15, 0.3, 0.15, 0.15]).rename("code_usage").rename_axis("step").reset_index()
    found = codebook_discontinuity(run.record(steps=steps), thresholds())
    assert isinstance(found, Finding)
    assert found.summary.endswith(", at a refresh.") == enabled
    assert any("refresh.enabled=false" in line for line in found.experiments) == enabled


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
