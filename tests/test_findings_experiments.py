"""Every line that a finding offers is accepted by DVC and by params.yaml, and changes what it says for that phase."""

import copy
import shlex
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from planted_faults import FAULTS, planted
from record_cases import PARAMS, PHASES, thresholds, tree
from snakemake.utils import update_config

from arcjepa.config import Params, from_mapping, load, resolved
from arcjepa.diagnosis import diagnose, settings_source
from arcjepa.findings.experiments import Experiments
from arcjepa.params import leaves, typed

START = "dvc exp run -S "
PER_FAULT = 2


@cache
def offered() -> list[tuple[str, str, str]]:
    """(line, phase, scale) of all findings on records with planted faults; of lines with the same keys, one."""
    found: dict[tuple[str, ...], tuple[str, str, str]] = {}
    for name in FAULTS:
        for seed in range(PER_FAULT):
            run = planted(name, seed, seed % len(FAULTS[name]))
            for finding in diagnose(run.record(tree=tree()), thresholds()):
                for line in finding.experiments:
                    found[(run.phase, *(override.split("=")[0] for override in overrides(line)))] = (
                        line,
                        run.phase,
                        run.scale,
                    )
    return list(found.values())


@cache
def present(scale: str) -> Params:
    return from_mapping({**tree(), "scale": scale})


def overrides(line: str) -> list[str]:
    assert line.startswith(START)
    return line.removeprefix(START).split(" -S ")


def settings_at(phase: str, scale: str) -> dict[str, Any]:
    return resolved(present(scale).phase_settings(phase))


def settings_of(params: Params, phase: str) -> dict[str, Any]:
    own = {".".join(path): value for path, value in leaves(params.phase_settings(phase).model_dump())}
    return own | {"data.synthetic.tasks": params.data.synthetic.tasks}


@pytest.mark.slow
def test_every_line_is_accepted_by_its_phase_and_changes_none_before_it(tmp_path: Path) -> None:
    assert len(offered()) > 40
    path = tmp_path / "params.yaml"
    for line, phase, scale in offered():
        shutil.copy(PARAMS, path)
        apply_overrides(path, overrides(line))
        before, after = present(scale), load(path)
        assert after.scale == scale
        for key, value in (override.lstrip("+").split("=") for override in overrides(line)):
            if key != "scale":
                own = key.removesuffix(f".{scale}")
                (leaf,) = [leaf for leaf in settings_of(after, phase) if own.endswith(leaf) or leaf == f"loss.{own}"]
                assert settings_of(after, phase)[leaf] == yaml.safe_load(value), line
        if f"phases.{phase}" in line:
            for other in PHASES[: PHASES.index(phase)]:
                assert before.phase_settings(other) == after.phase_settings(other), line


def test_what_a_run_had_is_what_an_experiment_starts_from() -> None:
    """Also where params.yaml is back at what it was."""
    run = planted("lambda out of range", 0)
    (finding,) = diagnose(run.record(tree=tree()), thresholds())
    assert finding.experiments[0].endswith("-S lambda_sigreg=1")
    elsewhere = run.record(tree=tree(), name="somewhere")
    assert elsewhere.experiments.now["lambda_sigreg"] == run.settings["loss"]["lambda_sigreg"]
    unknown = run.record(tree=tree(), name="somewhere", summary={})
    assert unknown.experiments.now["lambda_sigreg"] == tree()["lambda_sigreg"]


def test_a_change_that_params_refuse_is_not_offered() -> None:
    record = planted("relational explosion", 0).record(tree=tree())
    assert record.tries({"loss.infonce.temperature_min": 9.0}, {"loss.prediction": "lejepa"}) == ()


@pytest.mark.parametrize(
    ("phase", "leaf", "key"),
    [
        ("lambda_10", "lambda_sigreg", "scenarios.lambda_10.lambda_sigreg"),
        ("window_5", "optimizer.lr", "+scenarios.window_5.optimizer.lr"),
        ("baseline", "loss.relational.enabled", "base.loss.relational.enabled"),
        ("baseline", "optimizer.lr", "base.optimizer.lr.laptop"),
        ("baseline", "optimizer.clip", "base.optimizer.clip"),
        ("phase1", "loss.relational.enabled", "phases.phase1.loss.relational.enabled"),
        ("phase2", "optimizer.lr", "+phases.phase2.optimizer.lr"),
        ("phase2", "lambda_sigreg", "lambda_sigreg"),
        ("phase3", "data.synthetic.tasks", "data.synthetic.tasks.laptop"),
    ],
)
def test_a_leaf_is_set_where_it_counts_for_the_phase(phase: str, leaf: str, key: str) -> None:
    assert Experiments(phase, "laptop", tree()).key(leaf) == key


def test_a_scale_with_the_value_of_its_parent_is_given_one_of_its_own() -> None:
    assert Experiments("baseline", "diagnostic", tree()).key("optimizer.lr") == "+base.optimizer.lr.diagnostic"
    assert Experiments("baseline", "diagnostic", tree()).key("training.epochs") == "base.training.epochs.diagnostic"


def test_another_scale_than_the_present_one_is_named() -> None:
    line = Experiments("baseline", "production", tree()).line({"optimizer.clip": 2.0})
    assert line == "dvc exp run -S scale=production -S base.optimizer.clip=2"
    assert "scale=" not in Experiments("baseline", tree()["scale"], tree()).line({"optimizer.clip": 2.0})


def test_a_change_to_what_is_set_already_is_not_offered() -> None:
    record = planted("relational explosion", 0).record(tree=tree())
    now = record.experiments.now
    assert record.tries({"loss.relational.form": now["loss.relational.form"]}) == ()
    assert len(record.tries({"loss.relational.form": "normalised", "optimizer.clip": now["optimizer.clip"]})) == 1
    assert (
        "clip" not in record.tries({"loss.relational.form": "normalised", "optimizer.clip": now["optimizer.clip"]})[0]
    )


# --- scenarios, and runs that are not ours


def test_a_scenario_is_trained_by_a_set_that_has_it() -> None:
    plan = Experiments("lambda_10", "production", tree())
    line = plan.line({"lambda_sigreg": 1.0, "loss.teacher.enabled": True})
    command, config = line.split(" --config ")
    (name,) = shlex.split(command)[1:]
    assert "lambda_10" in tree()["sets"][name]
    values = dict(word.split("=", 1) for word in shlex.split(config))
    read = typed({key: yaml.load(value, yaml.BaseLoader) for key, value in values.items()})
    changed = copy.deepcopy(tree())
    update_config(changed, read)
    after = from_mapping(changed)
    assert after.scale == "production"
    settings = settings_of(after, "lambda_10")
    assert (settings["loss.lambda_sigreg"], settings["loss.teacher.enabled"]) == (1.0, True)
    assert after.phase_settings("phase2") == from_mapping({**tree(), "scale": "production"}).phase_settings("phase2")


def test_a_scenario_without_a_set_is_trained_by_its_file() -> None:
    sets = {name: [m for m in members if m != "window_7"] for name, members in tree()["sets"].items()}
    line = Experiments("window_7", "laptop", {**tree(), "sets": sets}).line({"model.dropout": 0.2})
    assert line.startswith("snakemake results/runs/laptop/window_7/seed0/diagnosis.md --config ")


@pytest.mark.slow
def test_a_foreign_run_is_changed_from_its_own_numbers_at_the_scale_most_like_it() -> None:
    """params.yaml stands at another scale."""
    run = planted("gradient spikes", 0)
    run.settings = copy.deepcopy(settings_at("baseline", "production"))
    run.settings["optimizer"]["lr"] = 6e-4
    plan = run.record(name="old run", tree=tree()).experiments
    assert (plan.phase, plan.scale) == ("baseline", "production")
    assert plan.now["optimizer.lr"] == 6e-4
    lines = [line for f in diagnose(run.record(name="old run", tree=tree()), thresholds()) for line in f.experiments]
    assert any("-S scale=production -S base.optimizer.lr.production=0.0003" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("laptop/foo/seed0", "params.yaml does not know phase foo: lines to try are for baseline at scale laptop"),
        ("mine/foo/seed0", "does not know phase foo and scale mine"),
        ("laptop/baseline/seed0", ""),
    ],
)
def test_what_params_do_not_know_is_said(name: str, words: str) -> None:
    source = settings_source(planted("gradient spikes", 0).record(name=name, tree=tree()))
    assert words in source
    assert ("does not know" in source) == bool(words)
