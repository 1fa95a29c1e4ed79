"""A set of scenarios from one command, and what it leaves alone."""

import html
import shutil
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
from conftest import NOTHING, Project, planned_jobs, trained_phases
from test_bad_input import complain

SCENARIOS = {"refresh_off", "relational_normalised", "mine_both"}
MEMBERS = ["baseline", "refresh_off", "relational_normalised", "mine_both"]
REFRESH, FORM = "quantizer.refresh.enabled on → off", "loss.relational.form raw → normalised"


def declare(project: Project) -> None:
    """A 2 x 2 with both forms of the relational loss, so that a set has every table that there is."""
    scenario = "  mine_both: {parent: refresh_off, loss: {relational: {form: normalised}}}\n"
    project.edit("params.yaml", "\nsets: ", f"{scenario}\nsets: ")
    sets = f"  mine: [{', '.join(MEMBERS)}]\n  judged: [baseline, phase1, phase2, phase3, refresh_off]\n"
    project.edit("params.yaml", "\nevaluation:\n  pool", f"{sets}\nevaluation:\n  pool")


@pytest.fixture(scope="module")
def compared(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished project after `snakemake mine judged`, whose output is in set.log."""
    path = tmp_path_factory.mktemp("compared") / "project"
    shutil.copytree(finished.path, path, symlinks=True)
    project = Project(path)
    declare(project)
    (path / "before.log").write_text(project.run("snakemake", "-n"))
    (path / "set.log").write_text(project.run("snakemake", "mine", "judged"))
    return project


@pytest.fixture
def copy(compared: Project, tmp_path: Path) -> Project:
    """A copy to change."""
    shutil.copytree(compared.path, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def test_scenarios_that_are_declared_are_no_work(finished: Project, compared: Project) -> None:
    assert NOTHING in (compared.path / "before.log").read_text()
    assert finished.retrained("windows") == {"window_5", "window_7"}
    assert finished.retrained("phase2") == set()


def test_one_command_trains_what_lacks_and_compares(compared: Project) -> None:
    assert trained_phases((compared.path / "set.log").read_text()) == SCENARIOS
    folder = compared.path / "results/comparison/tiny/ablations"
    found = {path.name for path in folder.glob("mine*")}
    assert found == {"mine.csv", "mine.svg", "mine.png", "mine-effects.csv", "mine-hypothesis.csv"}
    table = pd.read_csv(folder / "mine.csv")
    assert table["name"].tolist() == [*MEMBERS, "untrained"]
    assert table.loc[1:3, "changes"].tolist() == [REFRESH, FORM, f"{REFRESH}; {FORM}"]
    assert table["seeds"].tolist() == [1] * 5
    assert table.loc[1:, ["val_nce_change", "readout_nce_change"]].notna().all(axis=None)
    assert table.loc[1:3, "grad_norm_max"].notna().all()
    effects = pd.read_csv(folder / "mine-effects.csv")
    assert set(effects["effect"]) == {REFRESH, FORM, "interaction"}
    assert {"val_nce", "relational_growth", "grad_norm_max"} <= set(effects["quantity"])
    hypothesis = pd.read_csv(folder / "mine-hypothesis.csv")
    assert set(hypothesis["form"]) == {"raw", "normalised"}
    assert set(hypothesis["name"]) == set(MEMBERS)


def test_a_scenario_is_recorded_diagnosed_and_measured_as_a_phase_is(compared: Project) -> None:
    runs = compared.path / "results/runs/tiny"
    files = {name: {path.name for path in (runs / name / "seed0").iterdir()} for name in ("phase1", *SCENARIOS)}
    assert all(found == files["phase1"] for found in files.values())
    assert {"encoder.safetensors", "scores.csv", "diagnosis.json"} <= files["phase1"]


def test_an_encoder_of_a_scenario_is_published_by_its_name(copy: Project) -> None:
    folder = "results/encoders/tiny"
    copy.run("snakemake", "--", f"{folder}/refresh_off.safetensors")
    assert {path.name for path in (copy.path / folder).iterdir()} == {"refresh_off.safetensors", "refresh_off.md"}
    assert "# Encoder of refresh_off" in (copy.path / folder / "refresh_off.md").read_text()


def test_a_set_with_every_phase_is_judged_by_its_scenarios(compared: Project) -> None:
    folder = compared.path / "results/comparison/tiny"
    for name, key in (("gates", "condition"), ("risks", "risk")):
        alone, judged = (
            pd.read_csv(path) for path in (folder / f"{name}.csv", folder / f"ablations/judged-{name}.csv")
        )
        assert alone[key].tolist() == judged[key].tolist()
    told = "refresh on against off alone"
    assert told in (folder / "ablations/judged-risks.csv").read_text()
    assert told not in (folder / "risks.csv").read_text()


def test_nothing_is_left_to_do_and_dvc_keeps_the_set(copy: Project) -> None:
    assert NOTHING in copy.run("snakemake", "-n", "mine", "judged", "baseline", "all")
    copy.run("dvc", "commit", "--force")
    assert "up to date" in copy.run("dvc", "status")
    assert NOTHING in copy.run("snakemake", "-n", "mine")


def test_a_changed_leaf_retrains_its_scenario_and_those_on_it(copy: Project) -> None:
    leaf = "loss: {teacher: {decay: 0.9}, relational: {form"
    copy.edit(
        "params.yaml",
        "mine_both: {parent: refresh_off, loss: {relational: {form",
        f"mine_both: {{parent: refresh_off, {leaf}",
    )
    output = copy.run("snakemake", "-n", "mine")
    assert trained_phases(output) == {"mine_both"}
    assert "ablate_set" in planned_jobs(output)
    # It is no 2 x 2 any more.
    assert "estimate_effects" not in planned_jobs(output)
    copy.edit(
        "params.yaml", "refresh_off: {parent: baseline, q", "refresh_off: {parent: baseline, optimizer: {clip: 0.7}, q"
    )
    assert copy.retrained("mine") == {"mine_both", "refresh_off"}
    assert copy.retrained() == set()


def test_another_member_compares_anew_and_trains_itself_alone(copy: Project) -> None:
    copy.edit("params.yaml", "  mine: [baseline, ", "  mine: [baseline, relational_tenth, ")
    output = copy.run("snakemake", "-n", "mine")
    assert trained_phases(output) == {"relational_tenth"}
    assert "ablate_set" in planned_jobs(output)


def test_the_report_of_a_set_shows_its_tables_and_figure(compared: Project) -> None:
    compared.run("snakemake", "mine", "judged", "--report", "mine.html")
    report = (compared.path / "mine.html").read_text()
    packed = "".join(html.unescape(unquote(report.replace("\\n", " "))).split())
    captions = list((compared.path / "workflow/report/ablations").glob("*.rst"))
    assert len(captions) == 6
    for caption in captions:
        assert "".join(caption.read_text().split(".")[0][:40].split()) in packed, caption


def test_names_of_rules_and_typos_are_refused_in_a_line(project: Project) -> None:
    project.edit("params.yaml", "  windows: [phase2, window_5", "  windows: [phase2, windw_5")
    assert "sets.windows: no phase or scenario 'windw_5'; did you mean window_5?" in complain(project, "snakemake")
    project.edit("params.yaml", "  windows: [phase2, windw_5", "  plot_map: [phase2, window_5")
    assert "sets.plot_map: is the name of a rule" in complain(project, "snakemake")
