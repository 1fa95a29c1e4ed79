"""One clear line within seconds, and no job started. What else is refused, and how, is in tests/test_messages.py."""

import os
import time
from pathlib import Path

import pytest
from conftest import NOTHING, ONE_TASK, Project, copy_sources

from arcjepa.frames import load_frames

SECONDS = 60  # two or three on an idle machine; tests share theirs


def complain(project: Project, *command: str) -> str:
    """The one line that a command that fails says why with."""
    started = time.monotonic()
    output = project.run(*command, status=None)
    assert time.monotonic() - started < SECONDS
    assert "Traceback" not in output
    assert "Train " not in output
    lines = [line for line in output.splitlines() if "error: " in line]
    assert len(lines) == 1, output
    return lines[0]


@pytest.mark.parametrize("name", ["a:b", "a{x}b"])
def test_a_path_that_jobs_could_not_import_from(tmp_path: Path, name: str) -> None:
    place = Project(tmp_path / name)
    copy_sources(place.path)
    line = complain(place, "snakemake", "-n")
    assert f"/{name}: " in line
    assert "in the path of a project; move it" in line


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("lamda_sigreg=0.5", ["lamda_sigreg", "unknown key", "did you mean lambda_sigreg"]),
        ("base={training: {epochs: {tiny: 0}}}", ["base.training.epochs.tiny: is 0", "greater than or equal to 1"]),
    ],
)
def test_command_line(finished: Project, setting: str, parts: list[str]) -> None:
    line = complain(finished, "snakemake", "--config", setting)
    assert all(part in line for part in ["params.yaml", *parts]), line


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("lambda_sigreg: 1.0", "lambda_sigreg: '1e-4'", ["lambda_sigreg", "1e-4", "without quotes"]),
        ("lambda_sigreg: 1.0", "lambda_sigreg: 1.0\nlambda_sigreg: 2.0", ["line", "'lambda_sigreg'", "twice"]),
        ("user_training: []", "user_training:\n  - nobody", ["user_training", "'nobody'", "data/raw/user"]),
        ("device: auto", f"device: {'[' * 2000}{']' * 2000}", ["line", "column", "levels deep"]),
    ],
)
def test_file(project: Project, old: str, new: str, parts: list[str]) -> None:
    project.edit("params.yaml", old, new)
    line = complain(project, "snakemake")
    assert all(part in line for part in ["params.yaml", *parts]), line


def test_typo_through_dvc(project: Project) -> None:
    refused = project.run("dvc", "exp", "run", "-S", "lamda_sigreg=0.5", status=None)
    assert "lamda_sigreg" in refused
    line = complain(project, "dvc", "exp", "run", "-S", "+lamda_sigreg=0.5")
    assert "did you mean lambda_sigreg" in line


@pytest.mark.parametrize("options", [["-n"], []], ids=["dry", "real"])
def test_missing_gpu(finished: Project, options: list[str]) -> None:
    line = complain(finished, "env", "CUDA_VISIBLE_DEVICES=", "snakemake", *options, "--config", "device=cuda")
    assert all(part in line for part in ("params.yaml: device", "cuda", "auto, cpu")), line


def test_unknown_target(finished: Project) -> None:
    assert "no target 'phase22'; did you mean phase2?" in complain(finished, "snakemake", "phase22")
    assert (
        "'lambda_3' is a scenario, trained and compared with others of a set; type: snakemake lambda_sweep"
        in complain(finished, "snakemake", "-n", "lambda_3")
    )
    assert "no target 'lambdasweep'; did you mean lambda_sweep?" in complain(finished, "snakemake", "-n", "lambdasweep")
    line = complain(finished, "snakemake", "-n", "results/encoders/tiny/combned.safetensors")
    assert "no phase or scenario 'combned'; did you mean combined?" in line


def test_odd_files_of_the_users_are_a_line_each_and_hold_up_no_good_one(project: Project) -> None:
    folder = project.path / "data/raw/user/mine"
    folder.mkdir()
    (folder / "dangling.json").symlink_to("nowhere")
    (folder / "loop").symlink_to(".")
    (folder / "more.jsonl").touch()
    (project.path / "data/raw/user/tasks.zip").touch()
    names = [b"good.json", b"{x}.json", b"a b.json", b"-.json", b"\xff.json", b"a\nb.json", b"n" * 250 + b".json"]
    for name in names:
        (folder / os.fsdecode(name)).write_text(ONE_TASK)
    targets = [f"data/frames/tiny/{name}" for name in ("mine.npz", "splits.json")]
    output = project.run("snakemake", *targets)
    assert "Traceback" not in output
    assert "mine: 4 problems beside 4 good tasks" in output
    for part in (
        "dangling.json: is no file",
        "1 file not read, as only .json is: tasks.zip",
        "only .json is: more.jsonl",
    ):
        assert output.count(part) == 1
    assert load_frames(project.path / targets[0]).task_ids == ("-", "a b", "good", "{x}")
    assert NOTHING in project.run("snakemake", "-n", *targets)
    (folder / "{x}.json").write_text(ONE_TASK + " ")
    assert project.plan(*targets) == {"read_user_tasks": 1, "report_user_tasks": 1}


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("mine.json", '{"train": [{"input": [[1, 2], [1]], "output": [[1]]}], "test": []}', ["mine.json", "test"]),
        ("arc1.json", "{}", ["arc1.json", "reserved"]),
    ],
)
def test_users_file(project: Project, name: str, content: str, parts: list[str]) -> None:
    """A set with nothing good in it stops the run before anything is trained, though training is due."""
    (project.path / "data/raw/user" / name).write_text(content)
    project.edit("params.yaml", "lambda_sigreg: 1.0", "lambda_sigreg: 2.0")
    output = project.run("snakemake", status=1)
    assert "Traceback" not in output
    assert "Execute" not in output
    assert all(part in output for part in ["error: ", *parts]), output
