"""Runs are read from their folders, compared in pairs, and told apart by the one mechanism in which they differ."""

import json
import math

import pandas as pd
import pytest
from evidence_cases import ANALYSIS, evidence, params, trained, tree
from test_comparison import write_run

from arcjepa.config import resolved
from arcjepa.errors import UserError
from arcjepa.evidence import changes, load_evidence, load_trained, mechanisms, nats, worse


def write(folder, phase="phase2", seed=0, **summary):
    write_run(folder, seed=seed)
    told = {"settings": resolved(params().phase_settings(phase)), "hyperparameters": ["a"], "device": "cpu"}
    (folder / "run.json").write_text(json.dumps(told | summary))
    findings = [{"name": "plateau", "severity": "warning"}]
    (folder / "diagnosis.json").write_text(json.dumps({"findings": findings}))
    pd.DataFrame({"epoch": [1, 2], "val_total": [2.0, 1.0]}).to_csv(folder / "epochs.csv", index=False)
    pd.DataFrame({"step": [1]}).to_csv(folder / "steps.csv", index=False)
    return folder


def test_the_seeds_of_a_phase_are_read_together(tmp_path):
    phase = params().phase_settings("phase2")
    assert load_trained("phase2", [tmp_path], phase) is None
    folders = [write(tmp_path / f"seed{seed}", seed=seed) for seed in (0, 1)]
    run = load_trained("phase2", [*folders, tmp_path / "absent"], phase)
    assert (len(run.epochs), len(run.steps), run.devices, run.planned, run.lasted) == (2, 2, ["cpu"] * 2, 80, 2)
    assert run.setting("loss.prediction") == "lejepa"
    assert run.found("plateau") == run.found(severity="warning") == ["plateau"]
    assert run.found(severity="critical") == []


def test_settings_that_a_run_does_not_name_are_those_of_its_phase_now(tmp_path):
    run = load_trained(
        "p", [write(tmp_path / "s", settings=None, hyperparameters=None)], params().phase_settings("phase1")
    )
    assert run.setting("loss.prediction") == "infonce"
    assert len(run.hyperparameters) > 10


def test_broken_json_is_an_error_that_names_the_file(tmp_path):
    folder = write(tmp_path / "seed0")
    (folder / "diagnosis.json").write_text("{")
    with pytest.raises(UserError, match=r"diagnosis\.json: not valid JSON"):
        load_trained("phase2", [folder], params().phase_settings("phase2"))


def test_scenarios_count_where_they_were_trained_as_params_have_them(tmp_path):
    window = resolved(params().phase_settings("window_5"))
    folders = {
        "phase2": [write(tmp_path / "a")],
        "window_5": [write(tmp_path / "b", settings=window)],
        "window_7": [write(tmp_path / "c", settings=window)],
        "phase3": [tmp_path / "absent"],
    }
    found = load_evidence(params(), tree(), folders, pd.DataFrame({"name": []}), ANALYSIS)
    assert list(found.trained) == list(found.runs) == ["phase2", "window_5"]
    assert found.isolated("sequence.window", lambda one: True, lambda one: True)[0] == ("phase2", "window_5")


def test_differences_are_paired_and_positive_where_the_second_is_worse():
    found = evidence(trained("phase1"), trained("phase2"), levels={"phase2": 3.25})
    assert found.paired("phase1", "phase2") == pytest.approx((0.25, 0.25, 0.25))
    assert found.paired("phase2", "phase1") == pytest.approx((-0.25, -0.25, -0.25))
    assert math.isnan(found.paired("phase1", "absent")[0])
    assert found.measured("phase2")[0] - found.measured("phase1")[0] == pytest.approx(0.25)
    assert found.measured("phase2", "effective_rank_target")[0] == 21
    assert math.isnan(found.measured("absent")[0])
    assert math.isnan(found.measured("phase2", "no_such_measure")[0])


def test_an_interval_that_leaves_zero_out_decides():
    assert worse((0.2, 0.1, 0.3)) is True
    assert worse((0.2, -0.1, 0.3)) is False
    assert worse((-0.2, -0.3, -0.1)) is False
    assert worse((math.nan,) * 3) is None
    assert nats((-0.014, -0.03, 0.0149), "+") == "-0.01 [-0.03, +0.01]"


def test_a_pair_differs_in_one_mechanism_alone():
    plain, codes = trained("plain", of="phase2"), trained("codes", {"quantizer.codes": 384}, of="phase2")
    both = trained("both", {"quantizer.codes": 384, "sequence.window": 5}, of="phase2")
    found = evidence(plain, codes, both)
    pairs = found.isolated("quantizer", lambda one: True, lambda one: one.setting("quantizer.codes") == 384)
    assert pairs == [("plain", "codes")]
    assert changes(plain, both) == ["sequence.window", "quantizer.codes"]
    assert changes(plain, both, "sequence") == ["quantizer.codes"]
    assert changes(plain, plain) == []


def test_mechanisms_are_named_once_and_another_quantiser_is_one():
    assert mechanisms(["loss.teacher.enabled", "loss.teacher.decay", "stopping.patience"]) == [
        "loss.teacher",
        "stopping.patience",
    ]
    assert mechanisms(["quantizer.kind", "quantizer.decay", "loss.teacher.decay"]) == ["quantizer.kind", "loss.teacher"]
    assert mechanisms(["quantizer.refresh.enabled", "quantizer.refresh.interval"]) == ["quantizer.refresh"]
