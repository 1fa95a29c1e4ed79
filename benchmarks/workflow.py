"""What the workflow takes to find out that there is nothing to do, or what there is to do."""

import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from statistics import median

from benchmarks.measuring import FAILED, ROOT, Job, Row

TITLE = "The workflow before it runs anything"
ABOUT = (
    "Median of 3, processes and all that they start: CPU time, and the wall clock, which other work on the machine is "
    "in too. `dvc repro --dry` checks what `dvc repro` checks, and runs nothing; the state says what it found."
)
CHARTS: tuple[()] = ()
COMMANDS = (("snakemake", "-n", "--quiet"), ("dvc", "repro", "--dry"))
ROUNDS = 3


def measure(job: Job) -> Iterator[Row]:
    """A row for each command."""
    for command in COMMANDS:
        name = " ".join(command)
        if shutil.which(command[0]) is None:
            yield Row("workflow", name, {}, {FAILED: f"{command[0]} is not installed here"})
            continue
        runs = [_run(command) for _ in range(1 if job.small else ROUNDS)]
        took, cpu = (median(column) for column in zip(*((run[0], run[1]) for run in runs), strict=True))
        yield Row("workflow", name, {}, {"CPU s": cpu, "s": took, "state": runs[-1][2]})


def _run(command: tuple[str, ...]) -> tuple[float, float, str]:
    """Seconds by the wall clock and of CPU time, and what it said of the state."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = done.stdout + done.stderr
    if done.returncode:
        return took, cpu, f"failed: {said.strip().splitlines()[-1][:100] if said.strip() else done.returncode}"
    idle = "Nothing to be done" in said or "up to date" in said
    return took, cpu, "nothing to do" if idle else "there is work to do"
