"""Several GPUs: sequences a second of ranks that each have as many sequences in a step as one GPU alone has."""

import multiprocessing
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import torch

from benchmarks.charts import Chart
from benchmarks.measuring import Job, Row, in_turn, ratio, seconds
from benchmarks.training import corpus_of, scale_of, settings_of, steps

TITLE = "Several GPUs"
ABOUT = (
    "A phase at scale production as in the table of training, on 1, 2, 4 and 8 of the GPUs that there are: a process "
    "for each, and the batch of one GPU on every one of them: that of production, and a larger one. `% of linear` is "
    "sequences/s against so many times those of one GPU alone, round by round in the same run. Steps wait for all."
)
CHARTS = (Chart("ranks", "Sequences a second against ranks, with production's batch", "ranks", "sequences/s"),)
COUNTS = (1, 2, 4, 8)
ROUNDS, STEPS, WARM_UP = 7, 100, 5
PATIENCE = 600.0


class Group:
    """Processes that train a phase together, and take as many steps as they are told to."""

    def __init__(self, job: Job, ranks: int) -> None:
        context = multiprocessing.get_context("spawn")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.ends: list[Connection] = []
        self.processes = []
        for rank in range(ranks):
            ours, theirs = context.Pipe()
            arguments = theirs, scale_of(job), job.choice, job.device, job.scratch, rank, ranks, port
            self.processes.append(context.Process(target=_train, args=arguments, daemon=True))
            self.processes[-1].start()
            theirs.close()  # or its end would not be seen
            self.ends.append(ours)

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.kill()
            process.join()

    def take(self, count: int) -> float:
        """Milliseconds of a step, of the slowest. Errors: EOFError where a rank failed."""
        for end in self.ends:
            end.send(count)
        return max(end.recv() for end in self.ends)


def measure(job: Job) -> Iterator[Row]:
    """A row for every number of ranks that there are GPUs for; on a CPU, which only shows that it runs, of two."""
    counts = [count for count in COUNTS if count <= (torch.cuda.device_count() if job.device == "cuda" else 2)]
    params, name, _ = settings_of(scale_of(job), job.choice)
    batch = params.phase_settings(name).training.batch_size
    with ExitStack() as stack:
        groups = {count: stack.enter_context(Group(job, count)) for count in counts}
        for group in groups.values():
            group.take(WARM_UP)
        job.turn()
        number = 2 if job.small else STEPS
        calls = {str(count): lambda group=group: group.take(number) for count, group in groups.items()}
        times = in_turn(calls, ROUNDS)
    for count in counts:
        step, linear = median(times[str(count)]), 100 * ratio(times["1"], times[str(count)])
        values = {"sequences/s": 1000 * count * batch / step, "ms a step": step, "% of linear": linear}
        yield Row("ranks", name, {"ranks": count, "sequences a rank": batch}, values)


def _train(
    told: Connection, scale: str, choice: str, device: str, scratch: Path, rank: int, ranks: int, port: int
) -> None:
    """One rank: for every number that it is told, it takes so many steps, and tells how long one took."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(ranks))
    torch.set_num_threads(1)
    from arcjepa.ranks import form_group
    from arcjepa.trainer import Trainer

    if device == "cuda":
        torch.cuda.set_device(rank)
    form_group(PATIENCE)
    params, name, _ = settings_of(scale, choice)
    batch = params.phase_settings(name).training.batch_size
    params, _, _ = settings_of(scale, f"{choice}@batch={ranks * batch}")  # the last one counts
    trainer = Trainer(params.phase_settings(name), corpus_of(scratch, params, 0), 0, device)
    while True:
        count = told.recv()
        told.send(1000 * seconds(lambda count=count: steps(trainer, count), device) / count)
