"""The training of one phase with one seed as the workflow asks for it: in this process, or in one for each GPU.

`python -m arcjepa.training_job FILE` is one rank of it, started by `start`, or by torchrun on one machine; FILE is the
job as JSON.
"""

import json
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from arcjepa.config import Params, from_mapping
from arcjepa.errors import UserError
from arcjepa.files import unwritable
from arcjepa.launch import GRACE, is_stopped, launch
from arcjepa.progress import Say, Tee
from arcjepa.ranks import LATE, MOST, form_group, gathered

ENDED_BY_THEN = 3.0
"""Seconds that a rank that fails waits before it says so: one that only lost another is ended by then."""


@dataclass(frozen=True)
class TrainingJob:
    """Everything a training is asked for with, in plain values."""

    config: Mapping[str, Any]
    """params.yaml with everything that overrides it."""
    phase: str
    seed: int
    training: str
    """A file of tokens, as the following ones."""
    synthetic: list[str]
    validation: str
    near_misses: list[str]
    """Of validation, then of training and synthetic tasks; or none."""
    folder: str
    events: str
    checkpoints: str
    code: str
    log: str

    def start(self, say: Say) -> None:
        """Train. Errors: as `runs.train` and `launch`."""
        settings = from_mapping(self.config)
        ranks, batch = ranks_of(settings), settings.phase_settings(self.phase).training.batch_size
        if batch % ranks or ranks > MOST:
            raise UserError(
                f"params.yaml: ranks: auto is {ranks} here, as many as there are GPUs; allowed are divisors of "
                f"training.batch_size, {batch}, up to {MOST}"
            )
        if ranks == 1:
            self.run(settings, say)
            return
        with TemporaryDirectory() as folder:
            file = Path(folder) / "job.json"
            file.write_text(json.dumps(asdict(self)), encoding="utf-8")
            patience = settings.rank_timeout + GRACE  # the ranks themselves say more
            launch(["-u", "-m", "arcjepa.training_job", str(file)], ranks, patience)

    def run(self, settings: Params, say: Say) -> None:
        """Train in this process, which may be one of several."""
        from arcjepa.corpus import Corpus
        from arcjepa.runs import Run, train
        from arcjepa.shards import join_tokens
        from arcjepa.tokens import load_tokens

        real, *synthetic = (load_tokens(path) for path in (self.training, *self.synthetic))
        misses = [load_tokens(path) for path in self.near_misses]
        near_misses = (join_tokens(misses[1:]), misses[0]) if misses else None
        validation = load_tokens(self.validation)
        corpus = Corpus(join_tokens([real, *synthetic]), len(real.task_ids), validation, settings.tokens, near_misses)
        places = Path(self.folder), Path(self.events), Path(self.checkpoints)
        run = Run(self.seed, settings.device, *places, self.code, settings.change_ranks)
        train(settings.phase_settings(self.phase), corpus, run, say)


def ranks_of(settings: Params) -> int:
    """How many processes train: as many as `ranks` says, or as this job has GPUs.

    Errors: UserError where each is to have a GPU, and there are fewer.
    """
    import torch

    found = 0 if settings.device == "cpu" else torch.cuda.device_count()
    if settings.ranks == "auto":
        return max(1, found)
    if found and settings.ranks > found:
        raise UserError(
            f"params.yaml: ranks: is {settings.ranks}, and torch finds {found} GPU{'s' * (found > 1)} here; allowed "
            f"are auto and 1 to {found}"
        )
    return settings.ranks


def main(path: str) -> None:
    """One of the processes that train together, as the environment says which."""
    started_by = os.getppid()
    import torch
    from torch import distributed

    job = TrainingJob(**json.loads(Path(path).read_text(encoding="utf-8")))
    settings = from_mapping(job.config)
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    with Path(job.log).open("a", encoding="utf-8") as log:
        both = Tee(sys.stderr, log)
        say = _sayer(both, job, "" if rank == 0 else f"rank {rank}: ")
        others: list[int] = []
        try:
            if settings.device != "cpu" and torch.cuda.is_available():
                torch.cuda.set_device(local)
            form_group(settings.rank_timeout)
            others = _end_with_others(started_by)
            job.run(settings, say)
            distributed.barrier()
            os._exit(0)  # at once: to the others, a rank that is gone is one that failed
        except UserError as told:
            _fail(others if rank > 0 else None, say, f"error: {told}")
        except SystemExit as ended:  # after a signal; not through what waits for the others
            os._exit(int(ended.code or 0))
        except Exception as error:
            if isinstance(error, OSError) and (disk := unwritable(error)):
                _fail(others if rank > 0 else None, say, f"error: {disk}")
            if isinstance(error, RuntimeError) and re.search(f"Timed out waiting|Wait timeout|{LATE}", str(error)):
                late = f"did not answer within {settings.rank_timeout} s (params.yaml: rank_timeout)"
                _fail(others, say, f"error: {_named(others)} {late}")
            _fail(others, both.write, "".join(traceback.format_exception(error)))


def _sayer(stream: Tee, job: TrainingJob, prefix: str) -> Say:
    title = f"train_encoder {job.phase} {job.seed}: {prefix}"
    return lambda line: print(f"{title}{line}", file=stream)


def _fail(others: list[int] | None, tell: Callable[[str], object], what: str) -> NoReturn:
    """End, and say why, unless one of the others, where they are given, was the first to fail."""
    if others is not None:
        time.sleep(ENDED_BY_THEN)
    if all(_is_there(pid) for pid in others or []):
        tell(what)
    os._exit(1)  # not through what waits for the ranks that are gone


def _named(others: list[int]) -> str:
    """Who does not answer, where that can be known."""
    stopped = [str(number) for number, pid in enumerate(others) if is_stopped(pid)]
    return f"rank {' and '.join(stopped)}, which is stopped," if stopped else "a rank"


def _end_with_others(started_by: int) -> list[int]:
    """From now on this process ends soon after another rank, or the process that started them, is gone: all ranks.

    Its main thread may wait for a GPU that waits for a rank that is no more, and see no signal.
    """
    import torch

    ranks: list[int] = gathered(torch.tensor([os.getpid()])).tolist()

    def watch() -> None:
        while os.getppid() == started_by and all(_is_there(pid) for pid in ranks):
            time.sleep(0.5)
        time.sleep(ENDED_BY_THEN)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return ranks


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1])
