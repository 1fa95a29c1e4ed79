"""The commands that the project is used by, as they are typed."""

import json

import pytest
from conftest import NOTHING, Project, trained_phases


def headline(project: Project) -> dict[str, float]:
    return json.loads((project.path / "results/metrics.json").read_text())["val_nce"]


@pytest.fixture
def before(project: Project) -> dict[str, float]:
    return headline(project)


def test_lambda_retrains_two_phases_and_changes_the_metrics(project: Project, before: dict[str, float]) -> None:
    output = project.run("dvc", "exp", "run", "-S", "lambda_sigreg=0.5")
    assert trained_phases(output) == {"phase2", "phase3"}
    assert headline(project) != before
    assert "val_nce.mean" in project.run("dvc", "metrics", "diff")
    assert "lambda_sigreg" in project.run("dvc", "params", "diff")
    shown = json.loads(project.run("dvc", "exp", "show", "--json"))
    assert '"lambda_sigreg": 0.5' in json.dumps(shown)
    assert NOTHING in project.run("snakemake", "-n")
    # The run cache, which would skip Snakemake, is off for outs that persist.
    assert not (project.path / ".dvc/cache/runs").exists()

    project.run("git", "checkout", "--quiet", ".")
    project.run("dvc", "checkout")
    assert NOTHING in project.run("snakemake", "-n")
    assert headline(project) == before

    name = project.run("dvc", "exp", "list", "--name-only").split()[0]
    project.run("dvc", "exp", "apply", name)
    assert NOTHING in project.run("snakemake", "-n")


def test_phases_are_compared_by_name_without_training(project: Project) -> None:
    """Also where nothing was committed: an experiment takes along what git tracks, dvc.lock with it."""
    project.run("git", "reset", "--quiet", "HEAD~1")
    project.run("git", "add", "results")  # or figures would be drawn again, which takes its time
    for phase in ("phase1", "phase2"):
        output = project.run("dvc", "exp", "run", "--temp", "-n", phase, "-S", f"phase={phase}")
        assert trained_phases(output) == set()
    difference = project.run("dvc", "metrics", "diff", "phase1", "phase2")
    assert "results/metrics.json" in difference
    assert "val_nce.mean" in difference
    assert "phase" in project.run("dvc", "params", "diff", "phase1", "phase2")
    project.run("dvc", "plots", "diff", "phase1", "phase2")
    assert (project.path / "dvc_plots/index.html").exists()


def test_phases_stand_side_by_side(finished: Project) -> None:
    shown = finished.run("dvc", "metrics", "show")
    for name in ("results/metrics.json", "phase1.json", "phase2.json", "untrained.json"):
        assert name in shown
    assert json.loads(finished.run("dvc", "metrics", "show", "--json"))
