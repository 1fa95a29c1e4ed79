"""What the record of a run costs: training steps with and without it in turn, and each part of it by itself.

Usage: python benchmarks/record.py [--scale laptop] [--phase phase2] [--device cpu] [--epochs 3]. About a minute.
CPU time of one thread, or wall-clock time of a GPU. The difference between steps is noisy, the parts are not.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from arcjepa.config import Params, from_mapping
from arcjepa.corpus import Corpus
from arcjepa.frames import Frames
from arcjepa.jepa import Outputs
from arcjepa.moments import geometry, sides
from arcjepa.params import read_params
from arcjepa.record import Averages, Record, rows
from arcjepa.synthetic import generate_shard
from arcjepa.tokens import tokenise
from arcjepa.trainer import Trainer

TASKS, WARM_UP = 400, 4


class Unrecorded(Trainer):
    """Keeps nothing of a step."""

    def _collect(self, *_: Any) -> None:
        pass


class Recorded(Trainer):
    """Notes how long it takes to keep what a step leaves, in milliseconds."""

    def _collect(self, *values: Any) -> None:
        self.collecting = milliseconds(self.device, lambda: super(Recorded, self)._collect(*values))[0]


def milliseconds(device: str, call: Callable[[], Any]) -> tuple[float, Any]:
    """Time of a call, with the work that it gave the device, and what it returned."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    if device == "cuda":
        torch.cuda.synchronize()
    started = clock()
    made = call()
    if device == "cuda":
        torch.cuda.synchronize()
    return 1000 * (clock() - started), made


def _row(trainer: Trainer, outputs: Outputs) -> dict[str, Any]:
    row, found = trainer.step_row(outputs, 1)
    return row | sides(geometry(found))


def measure(kept: Recorded, plain: Unrecorded, record: Record, steps: int) -> dict[str, list[float]]:
    """Milliseconds of steps with and without the record, and of its parts."""
    times: dict[str, list[float]] = {name: [] for name in ("with", "without", "step", "row", "epoch")}
    averages = Averages()

    def take(trainer: Trainer, name: str) -> Any:
        taken, step = milliseconds(kept.device, lambda: trainer.train_step(averages))
        times[name].append(taken)
        return step.outputs

    for step in range(steps):
        if step % 2:  # in turn first and second, as the second finds the caches warm
            take(plain, "without")
        outputs = take(kept, "with")
        if not step % 2:
            take(plain, "without")
        times["step"].append(kept.collecting)
        if step % kept.row_interval == 0:
            row = milliseconds(kept.device, lambda: record.steps.append(_row(kept, outputs)))[0]  # noqa: B023
            times["row"].append(row)
        if (step + 1) % kept.steps_per_epoch == 0:
            written = milliseconds(kept.device, lambda: record.losses.append(*rows(averages.columns())))[0]  # noqa: B023
            times["epoch"].append(written)
            averages = Averages()
    return {name: values[WARM_UP:] if name in ("with", "without", "step") else values for name, values in times.items()}


def tell(times: dict[str, list[float]], kept: Trainer) -> None:
    """Print medians, and what they come to in a step."""
    step = median(times["without"])
    ratio = median(a / b for a, b in zip(times["with"], times["without"], strict=True))
    print(f"step without the record {step:.2f} ms; with it, before what is written: ratio {ratio:.4f}, noisy")
    parts = (
        ("a row of losses.csv", "step", 1),
        ("a row of steps.csv", "row", kept.row_interval),
        ("writing", "epoch", kept.steps_per_epoch),
    )
    for what, name, every in parts:
        each = median(times[name])
        print(f"  {what}: {each:.2f} ms every {every} steps, {100 * each / every / step:.2f} % of a step")
    cost = sum(median(times[name]) / every for _, name, every in parts)
    print(f"with the record / without, by its parts: {1 + cost / step:.4f}")


def made_up_corpus(params: Params) -> Corpus:
    """Synthetic tasks of the training rules, and a tenth as many held-out ones to validate with."""
    drawn = (generate_shard(params.data.synthetic, 0, 0, n, side) for n, side in ((TASKS, False), (TASKS // 10, True)))
    training, validation = (tokenise(Frames.from_tasks(part), params.tokens) for part in drawn)
    return Corpus(training, TASKS // 2, validation, params.tokens)


def main() -> None:
    """One block for a phase at a scale."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--phase", default="phase2")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--epochs", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    params = from_mapping({**read_params(Path(__file__).parents[1] / "params.yaml"), "scale": asked.scale})
    phase, corpus = params.phase_settings(asked.phase), made_up_corpus(params)
    print(f"torch {torch.__version__}, {asked.device}, {asked.phase} at scale {asked.scale}, {asked.epochs} epochs")
    kept, plain = (kind(phase, corpus, 0, asked.device) for kind in (Recorded, Unrecorded))
    with TemporaryDirectory() as folder, Record(Path(folder)) as record:
        tell(measure(kept, plain, record, asked.epochs * kept.steps_per_epoch), kept)


if __name__ == "__main__":
    main()
