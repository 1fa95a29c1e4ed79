"""Training steps a second of every phase: `python benchmarks/training.py [--scale production] [--device cuda]`.

Each phase as it trains, and beside it the same code with every kernel started from Python (what a GPU does without
compiling and recording), in turn. Setting up, compiling and validating are measured apart. Synthetic tasks only.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from arcjepa.config import Params, from_mapping
from arcjepa.corpus import Corpus
from arcjepa.frames import Frames
from arcjepa.params import read_params
from arcjepa.record import Averages
from arcjepa.synthetic import generate_shard
from arcjepa.tokens import tokenise
from arcjepa.trainer import Trainer

ROUNDS, STEPS = 5, {"cpu": 5, "cuda": 60}


def corpus(params: Params, tasks: int) -> Corpus:
    """Half of the tasks are called real, so that sources are mixed as in a run."""
    parts = [
        tokenise(Frames.from_tasks(generate_shard(params.data.synthetic, 0, 0, count, held_out)), params.tokens)
        for count, held_out in ((tasks, False), (200, True))
    ]
    return Corpus(parts[0], tasks // 2, parts[1], params.tokens)


def timed(device: str, call: Any) -> float:
    """Seconds of a call, with the work that it gave the device."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def steps(trainer: Trainer, count: int) -> None:
    """Some steps of training, recorded."""
    averages = Averages()
    for _ in range(count):
        trainer.train_step(averages)


class Plain(Trainer):
    """Started kernel by kernel."""

    fast = property(lambda self: False, lambda self, value: None)  # type: ignore[assignment]


def measure(params: Params, held: Corpus, phase: str, device: str) -> str:
    """A row of the table."""
    settings = params.phase_settings(phase)
    trainers: list[Trainer] = []
    set_up = timed(device, lambda: trainers.append(Trainer(settings, held, 0, device)))
    if device == "cuda":
        trainers.append(Plain(settings, held, 0, device))
        steps(trainers[1], 2)
    first = timed(device, lambda: steps(trainers[0], 1))
    compiling = timed(device, lambda: steps(trainers[0], 4))
    rates: list[list[float]] = [[] for _ in trainers]
    for _ in range(ROUNDS):
        for trainer, mine in zip(trainers, rates, strict=True):
            count = STEPS[device] if trainer is trainers[0] else max(2, STEPS[device] // 6)
            took = timed(device, lambda: steps(trainer, count))  # noqa: B023
            mine.append(count * settings.training.batch_size / took)
    for _ in range(4):
        trainers[0].validate(Averages())
    validating = timed(device, lambda: trainers[0].validate(Averages()))
    fast, *plain = (median(mine) for mine in rates)
    run = settings.training.epochs * (settings.training.sequences / fast + validating)
    return (
        f"| {phase} | {fast:,.0f} | {''.join(f'{fast / rate:.1f}' for rate in plain)} | {set_up:.1f} | "
        f"{first + compiling:.1f} | {1000 * validating:.1f} | {run:.0f} |"
    )


def main() -> None:
    """A table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="production")
    parser.add_argument("--device", choices=list(STEPS), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--phases", nargs="*", default=[])
    options = parser.parse_args()
    path = Path(__file__).parents[1] / "params.yaml"
    params = from_mapping({**read_params(path), "scale": options.scale})
    held = corpus(params, options.tasks)
    machine = torch.cuda.get_device_name() if options.device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {machine}, scale {options.scale}\n")
    print("| phase | sequences/s | over kernel by kernel | set-up s | first steps s | validation ms | run s |")
    print("|---|---|---|---|---|---|---|")
    for phase in options.phases or params.names:
        print(measure(params, held, phase, options.device), flush=True)


if __name__ == "__main__":
    main()
