import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arcjepa import config
from arcjepa.targets import COLUMNS, TARGETS, Trained, load_trained, targets_table

PARAMS = config.load(Path(__file__).parents[1] / "params.yaml")


def trained(name="phase1", loss=(7.6, 7.25, 7.3), usage=(0.16, 0.2, 0.18), rank=25.0, **changes):
    phase = PARAMS.phase_settings(name)
    phase = phase.model_copy(update=changes)
    epochs = pd.DataFrame({"val_total": loss, "val_relational_weighted": np.nan, "train_relational_weighted": 0.5})
    steps = pd.DataFrame({"code_usage": usage})
    return Trained(phase, [epochs], [steps], 9, (rank, rank - 1, rank + 1))


def long(name):
    training = PARAMS.phase_settings(name).training
    return {"training": training.model_copy(update={"epochs": 100})}


def verdict(run, phase, target):
    table = targets_table({phase: run})
    return table[(table["phase"] == phase) & (table["target"] == target)].iloc[0]


def test_every_target_has_a_row_and_phases_that_did_not_run_say_so():
    table = targets_table({})
    assert list(table) == list(COLUMNS)
    assert len(table) == len(TARGETS)
    assert set(table["why"]) == {"not run"}
    assert set(table["verdict"]) == {"not comparable"}


def negatives(count):
    training = PARAMS.phase_settings("phase1").training
    return {"training": training.model_copy(update={"batch_size": count})}


def test_losses_are_compared_without_their_relational_part():
    many = negatives(8704)
    assert verdict(trained(**many), "phase1", "best validation loss")["verdict"] == "met"
    assert verdict(trained(loss=(8.0, 7.5), **many), "phase1", "best validation loss")["verdict"] == "missed"
    run = trained(loss=(8.0, 8.0), **many)
    run.epochs[0]["val_relational_weighted"] = 0.8
    row = verdict(run, "phase1", "best validation loss")
    assert (row["verdict"], float(row["reached"])) == ("met", 7.2)


def test_losses_are_not_compared_where_chance_is_below_the_target():
    row = verdict(trained(loss=(1.0, 1.0), **negatives(128)), "phase1", "best validation loss")
    assert row["verdict"] == "not comparable"
    assert "chance is 4.85" in row["why"]


@pytest.mark.parametrize("phase", ["phase2", "phase3"])
def test_losses_of_another_objective_are_not_compared(phase):
    row = verdict(trained(phase, loss=(0.3, 0.2)), phase, "best validation loss")
    assert row["verdict"] == "not comparable"
    assert "another objective" in row["why"]


def test_the_range_and_level_of_codebook_use():
    assert verdict(trained(), "phase1", "range of codebook usage")["verdict"] == "met"
    wide = verdict(trained(usage=(0.13, 0.36)), "phase1", "range of codebook usage")
    assert (wide["verdict"], wide["reached"]) == ("missed", "13-36 % (23 points)")
    late = trained("phase3", usage=(0.1, 0.1, 0.1, 0.1, 0.3))
    assert verdict(late, "phase3", "codebook usage")["verdict"] == "met"
    none = verdict(trained("phase3", usage=(np.nan,)), "phase3", "codebook usage")
    assert (none["verdict"], none["why"]) == ("not comparable", "no codebook")


def test_stability_needs_the_epochs_that_the_target_speaks_of():
    short = verdict(trained(), "phase1", "training stability")
    assert short["verdict"] == "not comparable"
    level = (7.6, *[7.25] * 99)
    assert verdict(trained(loss=level, **long("phase1")), "phase1", "training stability")["verdict"] == "met"
    degraded = trained(loss=(*level[:-1], 7.6), **long("phase1"))
    assert verdict(degraded, "phase1", "training stability")["verdict"] == "missed"
    stopped = verdict(trained(loss=level[:30], **long("phase1")), "phase1", "training stability")
    assert (stopped["verdict"], stopped["why"]) == ("not comparable", "stopped after epoch 30, not 80")


def test_what_the_settings_say():
    assert verdict(trained(), "phase1", "relational loss, last epoch")["reached"] == "removed"
    assert verdict(trained("baseline"), "phase1", "relational loss, last epoch")["verdict"] == "missed"
    components = verdict(trained("phase2"), "phase2", "loss components")
    assert (components["verdict"], components["reached"]) == ("met", "2 (prediction, SIGReg)")
    assert verdict(trained("phase3"), "phase2", "loss components")["verdict"] == "met"
    assert verdict(trained("baseline"), "phase2", "loss components")["verdict"] == "missed"
    assert verdict(trained("phase2"), "phase2", "hyperparameters")["verdict"] == "met"


def test_the_rank_comes_with_its_interval():
    row = verdict(trained("phase3"), "phase3", "effective rank of the targets")
    assert (row["verdict"], row["low"], row["high"]) == ("met", 24, 26)
    assert verdict(trained("phase3", rank=20.0), "phase3", "effective rank of the targets")["verdict"] == "missed"


def test_runs_are_read_from_their_folders(tmp_path):
    phase = PARAMS.phase_settings("phase2")
    metrics = pd.DataFrame({"name": ["phase2"], **{f"effective_rank_target{s}": [30.0] for s in ("", "_low", "_high")}})
    assert load_trained(phase, [tmp_path], metrics, "phase2") is None
    (tmp_path / "run.json").write_text(json.dumps({"hyperparameters": ["a", "b"]}))
    pd.DataFrame({"val_total": [1.0]}).to_csv(tmp_path / "epochs.csv")
    pd.DataFrame({"step": [1]}).to_csv(tmp_path / "steps.csv")
    found = load_trained(phase, [tmp_path, tmp_path / "absent"], metrics, "phase2")
    assert (found.hyperparameters, found.rank, len(found.epochs)) == (2, (30, 30, 30), 1)
