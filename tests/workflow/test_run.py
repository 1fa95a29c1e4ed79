"""The whole workflow from a fresh clone, and what a user does with its outcome."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
from conftest import NOTHING, ONE_TASK, Project, planned_jobs, trained_phases

NAMES = ["baseline", "phase1", "phase2", "phase3", "untrained", "tokens", "copy"]
PHASES = NAMES[:4]
COLUMNS = [
    "name", "seeds", "hyperparameters", "val_nce", "readout_nce", "ranking_a", "ranking_b", "ranking_c",
    "retrieval_rearc", "retrieval_augmented", "query_only_nce", "effective_rank_context", "effective_rank_target",
    "code_usage", "code_perplexity",
]  # fmt: skip


def test_comparison_has_every_phase_and_control(finished: Project) -> None:
    metrics = pd.read_csv(finished.path / "results/comparison/tiny/metrics.csv")
    assert list(metrics["name"]) == NAMES
    assert set(COLUMNS) <= set(metrics.columns)
    assert {f"{measure}{side}" for measure in COLUMNS[3:] for side in ("_low", "_high")} <= set(metrics.columns)
    assert metrics.loc[metrics["name"].isin(PHASES), "val_nce"].notna().all()


def test_headline_is_the_chosen_phase(finished: Project) -> None:
    headline = json.loads((finished.path / "results/metrics.json").read_text())
    row = pd.read_csv(finished.path / "results/comparison/tiny/metrics.csv").set_index("name").loc["phase2"]
    assert (headline["scale"], headline["phase"], headline["seeds"]) == ("tiny", "phase2", 1)
    assert headline["val_nce"] == {"mean": row["val_nce"], "low": row["val_nce_low"], "high": row["val_nce_high"]}
    history = (finished.path / "results/history.csv").read_text()
    assert history == (finished.path / "results/runs/tiny/phase2/seed0/epochs.csv").read_text()


def test_progress_is_live_and_logged(finished: Project) -> None:
    terminal = (finished.path / "run.log").read_text()
    log = (finished.path / "logs/tiny/train_encoder/phase2-seed0.log").read_text()
    for text in (terminal, log):
        assert "train_encoder phase2 0: epoch 3/3" in text
        assert "\r" not in text


def test_one_encoder_of_every_phase_is_published_on_demand(project: Project) -> None:
    assert not (project.path / "results/encoders").exists()
    assert project.plan("publish") == {"publish_encoder": 4}
    project.run("snakemake", "publish")
    found = {path.name for path in (project.path / "results/encoders/tiny").iterdir()}
    assert found == {f"{name}.{kind}" for name in PHASES for kind in ("safetensors", "md")}
    assert NOTHING in project.run("snakemake", "-n", "publish", "evaluation_data")


def test_a_published_encoder_measures_again_what_its_card_says(project: Project) -> None:
    project.run("snakemake", "publish")
    told = project.run("arcjepa", "evaluate", "results/encoders/tiny/phase2.safetensors")
    (again,) = re.findall(r"^readout_nce +(\S+) ", told, flags=re.MULTILINE)
    card = (project.path / "results/encoders/tiny/phase2.md").read_text()
    assert re.search(rf"^\| read-out, .* \| {again} \| ", card, flags=re.MULTILINE)


def test_two_ranks_train_and_nothing_is_stale(project: Project) -> None:
    """Where and on how many it trains is no part of what a result is."""
    target, ranks = "results/runs/tiny/phase2/seed0/encoder.safetensors", ("--config", "ranks=2", "device=cpu")
    assert NOTHING in project.run("snakemake", "-n", *ranks)
    output = project.run("snakemake", "--force", *ranks, "--", target)
    assert output.count("epoch 3/3") == 1
    assert json.loads((project.path / target).with_name("run.json").read_text())["ranks"] == 2
    log = (project.path / "logs/tiny/train_encoder/phase2-seed0.log").read_text().splitlines()
    assert ["OMP_NUM_THREADS" in log[0], *("epoch" in line for line in log[1:-1]), "done" in log[-1]] == [True] * 5, log


def test_nothing_to_do_after_run(finished: Project) -> None:
    assert NOTHING in finished.run("snakemake", "-n")
    assert "up to date" in finished.run("dvc", "status")


def test_clone_without_remote_makes_everything(finished: Project, clone: Callable[[Project], Project]) -> None:
    """Tables and dvc.lock are in git: they must not pass for a finished run."""
    fresh = clone(finished)
    assert fresh.retrained() == set(PHASES)
    output = fresh.run("snakemake", "-n", "phase1", "--cores", "2")
    assert trained_phases(output) == {"phase1"}
    assert planned_jobs(output)["evaluate_encoder"] == 1


def test_clone_after_pull_has_nothing_to_do(project: Project, clone: Callable[[Project], Project]) -> None:
    store = ["dvc", "remote", "add", "--local", "--default", "store", str(project.path.parent / "store")]
    project.run(*store)
    project.run("dvc", "push")
    fresh = clone(project)
    fresh.run(*store)
    fresh.run("dvc", "pull")
    assert NOTHING in fresh.run("snakemake", "-n")
    assert "up to date" in fresh.run("dvc", "status")


def test_phase_target_makes_its_phase_alone(project: Project) -> None:
    (project.path / "results/runs/tiny/phase1/seed0/scores.csv").unlink()
    (project.path / "results/runs/tiny/phase2/seed0/encoder.safetensors").unlink()
    assert project.plan("phase1") == {"evaluate_encoder": 1}
    assert project.retrained("phase2") == {"phase2"}
    assert NOTHING in project.run("snakemake", "-n", "phase3")


def test_report_is_one_self_contained_file(finished: Project, report: Path) -> None:
    page = report.read_text()
    captions = [path.read_text().split(".")[0][:40] for path in (finished.path / "workflow/report").glob("*.rst")]
    packed = "".join(html.unescape(unquote(page.replace("\\n", " "))).split())
    for caption in captions:
        assert "".join(caption.split()) in packed, caption
    assert "<scriptsrc" not in packed
    assert '<linkrel="stylesheet"' not in packed


def test_lint(finished: Project) -> None:
    assert "good condition" in finished.run("snakemake", "--lint")


def test_user_set_is_a_test_set_and_retrains_nothing(project: Project) -> None:
    """All encoders and controls are due to be measured on it; one of each is."""
    folder = project.path / "data/raw/user/mine"
    folder.mkdir()
    (folder / "good.json").write_text(ONE_TASK)
    (folder / "bad.json").write_text(ONE_TASK.replace("[1, 2]", "[1, 12]"))
    output = project.run("snakemake", "-n")
    assert trained_phases(output) == set()
    due = planned_jobs(output)
    assert (due["evaluate_encoder"], due["evaluate_control"], due["compare_phases"]) == (4, 3, 1)
    assert project.retrained("--config", "lambda_sigreg=2.0") == {"phase2", "phase3"}
    measured = [f"results/runs/tiny/{name}/seed0/scores.csv" for name in ("phase2", "tokens")]
    output = project.run("snakemake", *measured, "data/frames/tiny/splits.json")
    complaint = [line for line in output.splitlines() if "bad.json" in line]
    assert len(complaint) == 1
    for part in ("data/raw/user/mine/bad.json", "train pair 0", "row 0, column 1", "12", "0 to 9"):
        assert part in complaint[0]
    for scores in (pd.read_csv(project.path / name) for name in measured):
        assert {"ranking_b", "ranking_c"} <= set(scores.loc[scores["set"] == "mine", "measure"])
    report = json.loads((project.path / "data/frames/tiny/splits.json").read_text())
    assert report["user"]["mine"]["tasks"] == 1


@pytest.mark.parametrize("setting", ["data.user_training", "scale"])
def test_setting_of_data_reaches_training(project: Project, setting: str) -> None:
    """User tasks that are opted in retrain all; another scale has files of its own."""
    if setting == "scale":
        assert project.retrained("--config", "scale=laptop") == set(PHASES)
        assert NOTHING in project.run("snakemake", "-n")
    else:
        (project.path / "data/raw/user/mine.json").write_text(ONE_TASK)
        project.edit("params.yaml", "user_training: []", "user_training:\n  - mine")
        assert project.retrained() == set(PHASES)
