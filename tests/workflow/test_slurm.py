"""`snakemake --profile slurm` on a real slurmctld and two slurmd with fake GPUs."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from amounts import FULL, fault
from conftest import Project

LAB = Path("workflow/slurm-lab")
UNAVAILABLE = 3
EPOCHS = 40
"""Of a training that is to be interrupted."""


@pytest.fixture
def cluster(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The project with Slurm running; skipped only where it cannot run, and never in continuous integration."""
    state = Path(tempfile.mkdtemp(prefix="slurm-lab-"))  # not below the project, whose path is too long for its sockets
    monkeypatch.setenv("LAB", str(state))
    up = subprocess.run([str(LAB / "up.sh")], cwd=project.path, capture_output=True, text=True, timeout=120)
    if up.returncode == UNAVAILABLE and not os.environ.get("CI"):
        pytest.skip(up.stderr.strip())
    assert up.returncode == 0, up.stdout + up.stderr
    yield project
    project.run(str(LAB / "down.sh"))


def test_a_lab_in_too_long_a_path_is_refused(tmp_path: Path) -> None:
    """Slurm would hold every job for ever, and say why in the log of a node alone."""
    lab = tmp_path / ("x" * 80)
    up = [str(Path(__file__).parents[2] / LAB / "up.sh")]
    done = subprocess.run(up, env=os.environ | {"LAB": str(lab)}, capture_output=True, text=True, timeout=120)
    if done.returncode == 0:
        subprocess.run([up[0].replace("up.sh", "down.sh")], env=os.environ | {"LAB": str(lab)}, check=False)
    assert done.returncode == 1
    assert "too long for Slurm's sockets; type: export LAB=/tmp/slurm-lab" in done.stderr


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
URGENT = "sbatch --partition=urgent --nodes=2 --exclusive --mem=0 --output=/dev/null --wrap=true"
EVENTS = {
    "cancelled": "scancel {job}",
    "requeued": "scontrol requeue {job}",
    "warned": "scancel --signal=USR1 {job}",
    "preempted": URGENT,
    "on a node that goes down": "scontrol update nodename={node} state=down reason=test",
    "on a node that is drained": "scontrol update nodename={node} state=drain reason=test",
}
"""What is done to the job of a training that is going on."""
TRIED = [*EVENTS] if FULL else ["warned"]
GO_ON = set(EVENTS) - {"on a node that is drained"}
"""After these a training begins anew; a drained node lets its jobs end."""


@pytest.fixture(scope="module")
def whole(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, str]]:
    """A project whose phase2 trains for long enough to be interrupted, and what that makes where nothing does."""
    project = Project(tmp_path_factory.mktemp("whole") / "project")
    shutil.copytree(finished.path, project.path, symlinks=True)
    project.edit("params.yaml", "epochs: {tiny: 3, laptop: 6", f"epochs: {{tiny: {EPOCHS}, laptop: 6")
    project.run("snakemake", ENCODER)
    return project, made(project)


@pytest.fixture
def project(request: pytest.FixtureRequest, finished: Project, tmp_path: Path) -> Project:
    """A copy of `whole` without its encoder for a test that asks for that, else of the finished project."""
    long = "whole" in request.fixturenames
    source = request.getfixturevalue("whole")[0] if long else finished
    shutil.copytree(source.path, tmp_path / "project", symlinks=True)
    copy = Project(tmp_path / "project")
    if long:
        copy.run("rm", ENCODER, LOG)
    return copy


def made(project: Project) -> dict[str, str]:
    """What a training leaves, without what a clock filled."""
    folder = (project.path / ENCODER).parent
    names = ("encoder.safetensors", "losses.csv", "steps.csv")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def interrupt(project: Project, *commands: str) -> str:
    """Train on the cluster, and do this to the job once it is at work; returns what Snakemake printed."""
    log, tools = project.path / LOG, {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with (project.path / "printed").open("w+") as printed:
        running = subprocess.Popen(
            ["snakemake", "--profile", "slurm", ENCODER], cwd=project.path, env=os.environ | tools,
            stdout=printed, stderr=subprocess.STDOUT,
        )  # fmt: skip
        began = time.monotonic()
        while running.poll() is None and not (log.exists() and "epoch 3/" in log.read_text()):
            _in_time(began, running, printed)
            time.sleep(0.1)
        job, node = project.run("squeue", "-h", "-t", "running", "-o", "%i %N").split()
        for command in commands:
            project.run(*command.format(job=job, node=node, pid=running.pid, project=project.path).split())
        began = time.monotonic()
        while running.poll() is None:
            _in_time(began, running, printed)
            # Slurm lets what it puts back into the queue wait for two minutes, so that nothing is left of it on a node.
            if time.monotonic() - began > 15:
                for job in project.run("squeue", "-h", "-t", "pending", "-o", "%i").split():
                    project.run("scontrol", "update", f"jobid={job}", "starttime=now")
            time.sleep(1)
        printed.seek(0)
        return printed.read()


def _in_time(began: float, running: subprocess.Popen[bytes], printed: IO[str]) -> None:
    if time.monotonic() - began > 300:
        running.kill()
        printed.seek(0)
        pytest.fail(printed.read())


@pytest.mark.slurm
@pytest.mark.parametrize("event", TRIED)
@fault("Slurm: job cancelled, requeued, warned, preempted, its node down or drained")
def test_a_job_that_is_interrupted_ends_with_the_same_bits(
    whole: tuple[Project, dict[str, str]], cluster: Project, event: str
) -> None:
    printed = interrupt(cluster, EVENTS[event])
    assert ("going on after step " in (cluster.path / LOG).read_text()) == (event in GO_ON), printed
    assert made(cluster) == whole[1], printed
    assert not (cluster.path / "results/checkpoints/tiny/phase2/seed0").exists()
    assert "Nothing to be done" in cluster.run("snakemake", "-n", ENCODER)


@pytest.mark.slurm
@pytest.mark.skipif(not FULL, reason="the same without Slurm is in test_faults.py")
@fault("Slurm: Snakemake killed while its job goes on")
def test_a_job_whose_snakemake_was_killed_ends_with_the_same_bits(
    whole: tuple[Project, dict[str, str]], cluster: Project
) -> None:
    """The next Snakemake does not delete what it writes: it names it, or waits where it is about to end."""
    interrupt(cluster, "pkill -STOP -f {project}/.snakemake/scripts/", "kill -KILL {pid}")
    before = (cluster.path / ENCODER).with_name("steps.csv").read_bytes()
    cluster.run("snakemake", "--unlock")
    printed = cluster.run("snakemake", "--profile", "slurm", ENCODER, status=1)
    assert re.search(r"^error: .*/phase2/seed0/owner: process \d+ on .* still trains", printed, re.MULTILINE), printed
    assert (cluster.path / ENCODER).with_name("steps.csv").read_bytes() == before
    cluster.run("pkill", "-CONT", "-f", f"{cluster.path}/.snakemake/scripts/")
    printed = cluster.run("snakemake", "--profile", "slurm", ENCODER)
    assert made(cluster) == whole[1], printed
    assert "Nothing to be done" in cluster.run("snakemake", "-n", ENCODER)


@pytest.mark.slurm
@pytest.mark.skipif(not FULL, reason="Slurm counts a job's time in minutes")
@fault("Slurm: job out of time")
def test_a_job_that_is_out_of_time_ends_with_the_same_bits(
    whole: tuple[Project, dict[str, str]], cluster: Project
) -> None:
    """It hangs, so that it hears no warning either, and is killed."""
    hang = "pkill -STOP -f {project}/.snakemake/scripts/"
    printed = interrupt(cluster, "scontrol update jobid={job} timelimit=1", hang)
    assert made(cluster) == whole[1], printed
