"""Ranks that are killed, stopped, warned or counted anew: the training ends soon, and goes on to the same bits."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
from amounts import DEVICE, FULL, ON_DEVICE, amount, fault
from amounts import EPOCHS as OF_ONE
from model_cases import PARAMS, tiny_corpus
from trainings import newest_step, results_of_run

from arcjepa.params import put, read_params
from arcjepa.signals import ENDING, FAILED
from arcjepa.tokens import save_tokens
from arcjepa.training_job import TrainingJob

START = """
import json, sys
from pathlib import Path
from arcjepa.errors import UserError
from arcjepa.training_job import TrainingJob
try:
    TrainingJob(**json.loads(Path(sys.argv[1]).read_text())).start(print)
except UserError as error:
    raise SystemExit(f"error: {error}")
"""
EPOCHS = 12 if DEVICE == "cpu" else OF_ONE
STEPS, LIMIT = 4 * EPOCHS, 300
SIGNALS = [number for number in ENDING for _ in range(amount(1, 20, 2))] if FULL else [signal.SIGUSR1]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, corpus = tmp_path_factory.mktemp("tokens"), tiny_corpus()
    save_tokens(folder / "training.safetensors", corpus.training)
    save_tokens(folder / "validation.safetensors", corpus.validation)
    return folder


class Ranks:
    """A tiny baseline on two ranks in a folder, and the processes that it is."""

    def __init__(self, tokens: Path, folder: Path, **leaves: Any) -> None:
        self.folder, self.log = folder, folder / "log"
        folder.mkdir(exist_ok=True)
        training = {"epochs": EPOCHS, "sequences": 64, "batch_size": 16, "checkpoint_seconds": 3600}
        changes = {f"base.training.{name}": value for name, value in training.items()}
        changes |= {"scale": "tiny", "device": DEVICE, "ranks": 2, "base.model.dropout": 0.3, **leaves}
        job = TrainingJob(
            config=put(read_params(PARAMS), changes),
            phase="baseline",
            seed=0,
            training=str(tokens / "training.safetensors"),
            synthetic=[],
            validation=str(tokens / "validation.safetensors"),
            near_misses=[],
            folder=str(folder),
            events=str(folder / "events"),
            checkpoints=str(folder / "kept"),
            code="",
            log=str(self.log),
        )
        (folder / "job.json").write_text(json.dumps(asdict(job)))
        self.log.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", START, str(folder / "job.json")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def workers(self) -> list[psutil.Process]:
        """The ranks, in their order."""
        return sorted(psutil.Process(self.process.pid).children(), key=lambda one: one.environ()["RANK"])

    def until(self, text: str) -> None:
        """Wait until a line of the log has it."""
        end = time.monotonic() + LIMIT
        while text not in self.log.read_text():
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < end
            time.sleep(0.002)

    def end(self) -> tuple[int, str]:
        """Exit status, and what was printed."""
        output, _ = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, output

    def results(self) -> dict[str, str]:
        return results_of_run(self.folder)


@pytest.fixture(scope="module")
def whole(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What nothing interrupts."""
    ranks = Ranks(tokens, tmp_path_factory.mktemp("whole"))
    assert ranks.end() == (0, ranks.log.read_text())
    return ranks.results()


def test_two_ranks_repeat_bitwise(tokens: Path, whole: dict[str, str], tmp_path: Path) -> None:
    again = Ranks(tokens, tmp_path / "run", **{"base.training.checkpoint_seconds": 0})
    assert again.end()[0] == 0
    assert again.results() == whole
    assert json.loads((tmp_path / "run/run.json").read_text())["ranks"] == 2


@pytest.mark.parametrize("number", range(amount(1, 20, 18)))
@fault(f"a rank killed{ON_DEVICE}")
def test_a_killed_rank_ends_the_job_soon(tokens: Path, whole: dict[str, str], number: int, tmp_path: Path) -> None:
    rng, saving = random.Random(number), {"base.training.checkpoint_seconds": 0}
    ranks = Ranks(tokens, tmp_path / "run", **saving)
    ranks.until(f"epoch {rng.randint(1, EPOCHS // 3)}/")
    which = rng.randrange(2)
    victim = ranks.workers()[which]
    time.sleep(0.3 * rng.random())
    victim.kill()
    began = time.monotonic()
    status, output = ranks.end()
    assert time.monotonic() - began < 10
    assert status == 1
    assert f"error: rank {which} of 2 ended first, killed by signal 9" in output
    assert "Traceback" not in output
    step = newest_step(ranks.folder)
    again = Ranks(tokens, ranks.folder, **saving)
    status, output = again.end()
    assert status == 0, output
    assert f"going on after step {step}, from" in output
    assert again.results() == whole


@pytest.mark.parametrize(("number", "which"), [*enumerate(SIGNALS)])
@fault(f"SIGTERM, SIGUSR1 or SIGUSR2 to ranks{ON_DEVICE}")
def test_a_signal_to_any_saves_on_all(
    tokens: Path, whole: dict[str, str], number: int, which: signal.Signals, tmp_path: Path
) -> None:
    """To the launcher, to one rank, to all processes of the job as Slurm does: all ranks end after the same step."""
    rng = random.Random(number)
    ranks = Ranks(tokens, tmp_path / "run")
    ranks.until(f"epoch {rng.randint(1, EPOCHS // 3)}/")
    workers = ranks.workers()
    for pid in ([ranks.process.pid], [workers[1].pid], [ranks.process.pid, *(one.pid for one in workers)])[number % 3]:
        os.kill(pid, which)
    status, output = ranks.end()
    step = newest_step(ranks.folder)
    assert status == FAILED + which, output
    assert f"{which.name}: ended after step {step}, which is kept in {ranks.folder}" in output
    assert 4 <= step < STEPS
    again = Ranks(tokens, ranks.folder)
    status, output = again.end()
    assert status == 0, output
    assert f"going on after step {step}, from" in output
    assert again.results() == whole


@pytest.mark.parametrize("number", range(amount(0, 5, 2)))
@fault(f"a rank stopped{ON_DEVICE}")
def test_a_stopped_rank_ends_the_job_after_the_timeout(tokens: Path, number: int, tmp_path: Path) -> None:
    ranks, which = Ranks(tokens, tmp_path / "run", rank_timeout=15), (number + 1) % 2
    ranks.until("epoch 1/")
    workers = ranks.workers()
    workers[which].suspend()
    began = time.monotonic()
    status, output = ranks.end()
    assert time.monotonic() - began < 15 + 20
    assert status == 1
    assert f"rank {which}, which is stopped, did not answer within 15 s (params.yaml: rank_timeout)" in output
    assert f"error: rank {which} of 2 was stopped, as by SIGSTOP, rank {1 - which} of 2 ended, status 1" in output
    assert "Traceback" not in output
    assert psutil.wait_procs(workers, timeout=0)[1] == []


def test_ranks_end_with_who_started_them(tokens: Path, tmp_path: Path) -> None:
    ranks = Ranks(tokens, tmp_path / "run")
    ranks.until("epoch 1/")
    workers = ranks.workers()
    ranks.process.kill()
    assert psutil.wait_procs(workers, timeout=10)[1] == []


@fault("ranks changed at resume")
def test_other_ranks_go_on_only_where_asked_for(tokens: Path, tmp_path: Path) -> None:
    unstopped = {"base.stopping.enabled": False}  # as the ranks that go on would stop at another epoch
    ranks = Ranks(tokens, tmp_path / "run", **unstopped)
    ranks.until("epoch 2/")
    ranks.process.terminate()
    ranks.end()
    step = newest_step(ranks.folder)
    for count, before in ((1, 2), (4, 2))[: amount(1, 2)]:
        status, output = Ranks(tokens, ranks.folder, ranks=count, **unstopped).end()
        assert status == 1
        assert f"params.yaml: ranks: is {count}, and the checkpoint in {ranks.folder}/kept" in output
        assert f"is of {before}: set it back, or go on with other roundings by change_ranks: true" in output
        assert newest_step(ranks.folder) == step
    other = Ranks(tokens, ranks.folder, ranks=1, change_ranks=True, **unstopped)
    status, output = other.end()
    assert status == 0, output
    losses = (ranks.folder / "losses.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in losses[1:]] == [str(1 + number) for number in range(STEPS)]
