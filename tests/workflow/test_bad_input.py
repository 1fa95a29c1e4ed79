"""One clear line within seconds, and no job started."""

import time

import pytest
from conftest import Project

SECONDS = 20  # two on an idle machine; tests share theirs


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


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("lamda_sigreg=0.5", ["lamda_sigreg", "unknown key", "did you mean lambda_sigreg"]),
        ("lambda_sigreg=-1", ["lambda_sigreg", "-1", "greater than or equal to 0"]),
        ("lambda_sigreg=yes", ["lambda_sigreg", "valid number"]),
        ("scale=tinny", ["scale", "'tinny'", "did you mean tiny"]),
        ("phase=phase9", ["phase", "'phase9'", "did you mean phase"]),
        ("device=gpu", ["device", "'gpu'", "'auto', 'cpu' or 'cuda'"]),
        ("seeds=[]", ["seeds", "at least 1"]),
    ],
)
def test_command_line(finished: Project, setting: str, parts: list[str]) -> None:
    line = complain(finished, "snakemake", "--config", setting)
    assert all(part in line for part in ["params.yaml", *parts]), line


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("lambda_sigreg: 1.0", "lamda_sigreg: 1.0", ["lamda_sigreg", "did you mean lambda_sigreg"]),
        ("lambda_sigreg: 1.0", "lambda_sigreg: 1.0\nlambda_sigreg: 2.0", ["line", "'lambda_sigreg'", "twice"]),
        ("lambda_sigreg: 1.0", "lambda_sigreg: 1e-4", ["lambda_sigreg", "1e-4", "write 1.0e-04"]),
        ("lambda_sigreg: 1.0", "lambda_sigreg: .nan", ["lambda_sigreg", "finite"]),
        ("lambda_sigreg: 1.0", "lambda_sigreg: true", ["lambda_sigreg", "True"]),
        ("user_training: []", "user_training:\n  - nobody", ["user_training", "'nobody'", "data/raw/user"]),
        ("device: auto", "device: [", ["line"]),
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


def test_missing_gpu(project: Project) -> None:
    project.edit("params.yaml", "lambda_sigreg: 1.0", "lambda_sigreg: 2.0")
    line = complain(project, "env", "CUDA_VISIBLE_DEVICES=", "snakemake", "--config", "device=cuda")
    assert all(part in line for part in ("device", "cuda", "auto, cpu")), line


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("mine.json", '{"train": [{"input": [[1, 2], [1]], "output": [[1]]}], "test": []}', ["mine.json", "test"]),
        ("mine.json", "{", ["mine.json", "JSON"]),
        ("arc1.json", "{}", ["arc1.json", "reserved"]),
        ("a b.json", "{}", ["a b.json", "letters, digits"]),
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
