"""`snakemake --profile slurm` on a real slurmctld and two slurmd with fake GPUs."""

import hashlib
import os
import re
import subprocess
import sys
import time
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


ENCODER = "results/runs/tiny/phase2/seed0/encoder.safetensors"
LOG = "logs/tiny/train_encoder/phase2-seed0.log"
EVENTS = {
    "cancelled": ["scancel {job}"],
    "requeued": ["scontrol requeue {job}"],
}
"""What is done to the job of a training that is going on."""


def made(project: Project) -> dict[str, str]:
    """What a training leaves, without what a clock filled."""
    folder = (project.path / ENCODER).parent
    names = ("encoder.safetensors", "losses.csv", "steps.csv")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def interrupt(project: Project, commands: list[str]) -> str:
    """Train on the cluster, and do this to the job once it is at work; returns what Snakemake printed."""
    log, tools = project.path / LOG, {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with (project.path / "printed").open("w+") as printed:
        command = ["snakemake", "--profile", "slurm", ENCODER]
        running = subprocess.Popen(
            command, cwd=project.path, env=os.environ | tools, stdout=printed, stderr=subprocess.STDOUT
        )
        while running.poll() is None and not (log.exists() and "epoch 3/" in log.read_text()):
            time.sleep(0.1)
        job, node = project.run("squeue", "-h", "-t", "running", "-o", "%i %N").split()
        for one in commands:
            project.run(*one.format(job=job, node=node).split())
        running.wait(timeout=300)
        printed.seek(0)
        return printed.read()


@pytest.mark.slurm
@pytest.mark.parametrize("event", EVENTS)
def test_a_job_that_is_interrupted_ends_with_the_same_bits(cluster: Project, event: str) -> None:
    cluster.edit("params.yaml", "epochs: {tiny: 3, laptop: 8", "epochs: {tiny: 60, laptop: 8")
    cluster.run("snakemake", ENCODER)
    expected = made(cluster)
    cluster.run("rm", ENCODER, LOG)
    printed = interrupt(cluster, EVENTS[event])
    assert "going on after step " in (cluster.path / LOG).read_text(), printed
    assert made(cluster) == expected
    assert not (cluster.path / "results/checkpoints/tiny/phase2/seed0").exists()
