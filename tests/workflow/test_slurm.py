"""`snakemake --profile slurm` on a real slurmctld and two slurmd with fake GPUs."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Project

LAB = Path("workflow/slurm-lab")
UNAVAILABLE = 3


@pytest.fixture
def cluster(project: Project) -> Iterator[Project]:
    """The project with Slurm running; skipped only where it cannot run, and never in continuous integration."""
    up = subprocess.run([str(LAB / "up.sh")], cwd=project.path, capture_output=True, text=True, timeout=120)
    if up.returncode == UNAVAILABLE and not os.environ.get("CI"):
        pytest.skip(up.stderr.strip())
    assert up.returncode == 0, up.stdout + up.stderr
    yield project
    project.run(str(LAB / "down.sh"))


@pytest.mark.slurm
def test_phase_is_submitted_and_gets_its_gpu(cluster: Project) -> None:
    cluster.edit("params.yaml", "lambda_sigreg: 1.0", "lambda_sigreg: 2.0")
    output = cluster.run("snakemake", "--profile", "slurm", "phase2")
    assert len(re.findall(r"has been submitted with SLURM jobid", output)) == 2
    log = (cluster.path / "logs/tiny/train_encoder/phase2-seed0.log").read_text()
    assert re.search(r"CUDA_VISIBLE_DEVICES [01]\b", log), log
    assert re.search(r"SLURM_JOB_ID \d+, SLURMD_NODENAME n[12]\b", log), log
    assert "Nothing to be done" in cluster.run("snakemake", "-n", "phase2")
