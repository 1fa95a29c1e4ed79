"""Every job in a process of its own, so that one that fails, or takes too long, costs no other its results."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import jobs
from benchmarks.measuring import FAILED, ROOT, Job, Row

POLL = 0.05
LAST_WORDS = 300


def work(job: Job) -> None:
    """Measure in this process: rows go to NAME.jsonl one by one, and the turn is waited for by files beside it."""
    path = file_of(job.scratch, job.name, "jsonl")

    def wait() -> None:
        file_of(job.scratch, job.name, "ready").touch()
        while not file_of(job.scratch, job.name, "go").exists():
            time.sleep(POLL)

    with path.open("w", encoding="utf-8") as file:
        for row in jobs.run(Job(**{**vars(job), "turn": wait})):
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()


def file_of(scratch: Path, name: str, kind: str) -> Path:
    return scratch / f"{name.replace(':', '+')}.{kind}"


@dataclass
class Running:
    """A job's process."""

    name: str
    process: subprocess.Popen[bytes]
    scratch: Path
    gone: bool = False
    """Whether it was given its turn."""

    @classmethod
    def start(cls, name: str, device: str, scratch: Path, small: bool, threads: int) -> "Running":
        command = [sys.executable, "-m", "benchmarks", "--work", name, "--scratch", str(scratch)]
        command += ["--gpu" if device == "cuda" else "--cpu", *(["--small"] if small else [])]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
            "TORCHINDUCTOR_COMPILE_THREADS": str(threads),
            "TORCHINDUCTOR_CACHE_DIR": str(scratch / f"compiled-{name.replace(':', '+')}"),  # empty, as in a first run
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
        }
        with file_of(scratch, name, "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        return cls(name, process, scratch)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def ready(self) -> bool:
        return file_of(self.scratch, self.name, "ready").exists()

    def go(self) -> None:
        """Its turn."""
        self.gone = True
        file_of(self.scratch, self.name, "go").touch()

    def stop(self) -> None:
        """With the processes that it started, such as a compiler's."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def rows(self, stopped: bool) -> list[Row]:
        """What it measured, and why it ended if it did not end well."""
        path = file_of(self.scratch, self.name, "jsonl")
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found = [Row(**json.loads(line)) for line in lines if line.endswith("}")]
        if self.process.returncode:
            part, _, choice = self.name.partition(":")
            reason = "took too long" if stopped else self._last_words()
            found.append(Row(part, choice or part, {}, {FAILED: reason}))
        return found

    def _last_words(self) -> str:
        said = file_of(self.scratch, self.name, "log").read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(said) if line.strip()), "no output")
        return f"{last.strip()[:LAST_WORDS]} (exit status {self.process.returncode})"


def measure_in_turn(names: Sequence[str], device: str, scratch: Path, small: bool, deadline: float) -> list[Row]:
    """Jobs one after the other, until a time by the monotonic clock."""
    return [row for name in names for row in measure_together([name], device, scratch, small, deadline)]


def measure_together(names: Sequence[str], device: str, scratch: Path, small: bool, deadline: float) -> list[Row]:
    """Jobs that prepare (compile), the first alone and then all others side by side, and then measure one at a time, in
    this order as far as it goes.
    """
    cores, now = os.cpu_count() or 1, time.monotonic()
    patience, alone = now + 0.6 * (deadline - now), now + 0.3 * (deadline - now)
    running = [Running.start(name, device, scratch, small, cores) for name in names[:1]]
    while running and running[0].alive and not running[0].ready and time.monotonic() < alone:
        time.sleep(POLL)
    threads = max(1, cores // max(1, len(names) - 1))
    running += [Running.start(name, device, scratch, small, threads) for name in names[1:]]
    while time.monotonic() < deadline and any(one.alive for one in running):
        waiting = [one for one in running if one.alive]
        ready = [one for one in waiting if one.ready and not one.gone]
        measuring = any(one.gone for one in waiting)
        if ready and not measuring and (len(ready) == len(waiting) or time.monotonic() > patience):
            ready[0].go()
        time.sleep(POLL)
    late = [one for one in running if one.alive]
    for one in late:
        one.stop()
    return [row for one in running for row in one.rows(one in late)]
