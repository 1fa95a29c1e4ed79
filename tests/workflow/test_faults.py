"""Damaged results: the next job says in one line which file it is and what to type, and what is typed helps."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from conftest import NOTHING, Project

RUN = "results/runs/tiny/phase2/seed0"
METRICS = "results/comparison/tiny/metrics.csv"


def cut(path: Path) -> None:
    """At the end of a row, where half a table looks whole."""
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\n", 0, len(content) - 1) + 1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damages",
    [
        # Neither hides the other: the job that notices needs nothing of what the other job makes.
        [
            (cut, f"{RUN}/scores.csv", "compare_phases"),
            (empty, "results/runs/tiny/phase1/seed0/steps.csv", "diagnose_run"),
        ],
        [(cut, METRICS, "report_headline")],
        [(flip, f"{RUN}/encoder.safetensors", "evaluate_encoder")],
    ],
    ids=["tables", "comparison", "encoder"],
)
def test_a_damaged_file_is_noticed_and_the_advice_works(
    project: Project, damages: list[tuple[Callable[[Path], None], str, str]]
) -> None:
    for damage, file, _ in damages:
        damage(project.path / file)
    output = project.run("snakemake", "--keep-going", status=1)
    assert "Traceback" not in output
    for _, file, job in damages:
        (line,) = {line for line in output.splitlines() if line.startswith(job) and "error: " in line}
        assert file in line
        (advice,) = re.findall("`(.*)`", line)
        project.run(*advice.split())
    project.run("snakemake")
    assert NOTHING in project.run("snakemake", "-n")


def test_a_training_whose_snakemake_was_killed_keeps_its_record(project: Project) -> None:
    """Snakemake would delete what it is writing, once before the same job starts again and once when that fails."""
    ours = ("snakemake", "--cores", "1", f"{RUN}/encoder.safetensors")
    ours = (*ours, "--config", "base={training: {epochs: 100000}}")
    steps, environment = project.path / RUN / "steps.csv", dict(os.environ)
    environment.pop("PYTHONPATH", None)
    killed = subprocess.Popen(
        [sys.executable, "-m", *ours], cwd=project.path, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # Only once it lives: the rows of the run before are deleted just before it starts.
        _wait(lambda: bool(_trainings(killed.pid)))
        training, *_ = _trainings(killed.pid)
        _wait(lambda: any(lines(steps)[1:]))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        project.run("snakemake", "--unlock")
        before = lines(steps)
        output = project.run(*ours, status=1)
        (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
        assert f"results/checkpoints/tiny/phase2/seed0/owner: process {training.pid} on " in line
        assert "Traceback" not in output
        assert lines(steps)[: len(before)] == before
        training.terminate()
        training.wait(120)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(killed.pid, signal.SIGKILL)
    project.run("snakemake")
    assert NOTHING in project.run("snakemake", "-n")


def lines(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


def _trainings(snakemake: int) -> list[psutil.Process]:
    return [one for one in psutil.Process(snakemake).children(recursive=True) if _trains(one)]


def _trains(process: psutil.Process) -> bool:
    """Whether it is the job's own Python; a process that ended meanwhile is none."""
    with suppress(psutil.NoSuchProcess):
        program, *words = process.cmdline() or [""]
        return "python" in Path(program).name and any(word.endswith(".train_encoder.py") for word in words)
    return False


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.2)
