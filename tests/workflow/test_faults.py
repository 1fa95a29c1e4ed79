"""Damaged results: the next job says in one line which file it is and what to type, and what is typed helps."""

import re
from collections.abc import Callable
from pathlib import Path

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
