"""Training sequences a second of every phase, what share of the machine that is, and where the rest of a run goes.

Variants are a phase with changes: "phase3@window=7", "phase2@tasks=50000" (the same tasks many times over).
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import public_code
from benchmarks.charts import Chart
from benchmarks.machine import product_rate
from benchmarks.measuring import Job, Row, in_turn, ratio, seconds
from benchmarks.settings import params_at

if TYPE_CHECKING:
    from arcjepa.config import Params
    from arcjepa.corpus import Corpus
    from arcjepa.trainer import Trainer

TITLE = "Training"
ABOUT = (
    "A phase as it trains, its record included; synthetic tasks only. GPU: scale production, wall clock; the first row "
    "compiles alone, the others side by side, and all are measured one at a time. CPU: scale laptop, CPU time of one "
    "thread. `kernel by kernel` is the same code, every kernel started from Python. FLOP are those of matrix products, "
    "forward and backward; the peak is that of a large matrix product (bf16 on a GPU), measured beside. Drawing a "
    "batch with its views, and the record, are measured by themselves: their shares are upper bounds. `run s` is all "
    "epochs with validation and record, worked out from the figures beside it, without set-up and first steps."
)
CHARTS = (
    Chart("training_tasks", "A training step against the tasks to draw from", "tasks", "ms a step"),
    Chart("training_sequences", "A training step against its sequences", "sequences", "ms a step"),
)
SCALES = {"cuda": "production", "cpu": "laptop"}
TASKS, HELD_OUT, SMALL_TASKS = 2000, 200, 60
ROUNDS, STEPS = 5, {"cpu": 4, "cuda": 60}
CORPUS = "corpus-{}.safetensors"


def measure(job: Job) -> Iterator[Row]:
    """Rows of one variant, or of all the phases one after the other."""
    torch.set_num_threads(1)
    names = [job.choice] if job.choice else params_at(scale_of(job)).names
    for choice in names:
        yield from _variant(job, choice)


def prepare(job: Job) -> Iterator[Row]:
    """The tokens that all variants train on, in files."""
    from arcjepa.tokens import save_tokens

    for name, tokens in zip(("training", "validation"), _made_up(params_at(scale_of(job)), job.small), strict=True):
        save_tokens(job.scratch / CORPUS.format(name), tokens)
    yield from ()


def scale_of(job: Job) -> str:
    """The scale that is measured on a device."""
    return "tiny" if job.small else SCALES[job.device]


def _made_up(params: "Params", small: bool) -> list[Any]:
    from arcjepa.frames import Frames
    from arcjepa.synthetic import generate_shard
    from arcjepa.tokens import tokenise

    tasks, held_out = (SMALL_TASKS, SMALL_TASKS) if small else (TASKS, HELD_OUT)
    shards = [generate_shard(params.data.synthetic, 0, 0, n, side) for n, side in ((tasks, False), (held_out, True))]
    return [tokenise(Frames.from_tasks(shard), params.tokens) for shard in shards]


def corpus_of(folder: Path, params: "Params", tasks: int) -> "Corpus":
    """What `prepare` left, repeated up to so many tasks; half of them are called real, so that sources are mixed."""
    from arcjepa.corpus import Corpus
    from arcjepa.shards import join_tokens
    from arcjepa.tokens import load_tokens

    training, validation = (load_tokens(folder / CORPUS.format(name)) for name in ("training", "validation"))
    training = join_tokens([training] * max(1, tasks // len(training.task_ids)))
    return Corpus(training, len(training.task_ids) // 2, validation, params.tokens)


def settings_of(scale: str, choice: str) -> tuple["Params", str, int]:
    """Settings, phase and tasks of a variant; tasks 0 for as many as there are."""
    name, *changes = choice.split("@")
    said = dict(change.split("=") for change in changes)
    tree: dict[str, Any] = {}
    if "window" in said:
        tree[f"phases.{name}.sequence.window"] = int(said["window"])
    if "batch" in said:
        tree["base.training.batch_size"] = int(said["batch"])
    return params_at(scale, tree), name, int(said.get("tasks", 0))


def _variant(job: Job, choice: str) -> Iterator[Row]:
    from arcjepa.trainer import Trainer

    params, name, tasks = settings_of(scale_of(job), choice)
    phase, corpus = params.phase_settings(name), corpus_of(job.scratch, params, tasks)
    made: list[Trainer] = []
    values: dict[str, float | str] = {}
    values["set-up s"] = seconds(lambda: made.append(Trainer(phase, corpus, 0, job.device)), job.device)
    trainer, counter = made[0], FlopCounterMode(display=False)
    with counter:  # the first step is never compiled
        first = seconds(lambda: steps(trainer, 1), job.device)
    values["first steps s"] = first + seconds(lambda: steps(trainer, 4), job.device)
    if job.device == "cuda":
        values["peak MiB"] = torch.cuda.max_memory_allocated() / 2**20
    drawing = _drawing(trainer)
    rivals = {"ours": trainer} | ({"kernel by kernel": _by_kernel(trainer, corpus)} if job.device == "cuda" else {})
    beside = _public_code(job, choice, trainer) if job.device == "cuda" else list
    job.turn()
    times = _milliseconds(rivals, job.device)
    step = median(times["ours"])
    for rival in times.keys() - {"ours"}:
        values[f"{rival}, over ours"] = ratio(times[rival], times["ours"])
    achieved = counter.get_total_flops() / step / 1e9
    share = 100 * achieved / product_rate(job.device, 256 if job.small else 0)
    rates = {"sequences/s": 1000 * phase.training.batch_size / step, "ms a step": step, "TFLOP/s": achieved}
    shares = {"% of the peak": share, "% drawing": 100 * repeated(drawing, job.device) / step}
    at = {"tasks": len(corpus.training.task_ids), "sequences": phase.training.batch_size, "frames": trainer.jepa.frames}
    yield Row("training", name, at, rates | shares | _rest_of_run(trainer, step) | values)
    yield from beside()


def _public_code(job: Job, choice: str, trainer: "Trainer") -> Callable[[], list[Row]]:
    """What measures the public code of the analysed run beside a phase as it is."""
    from arcjepa.trainer import Trainer

    def made(batch: int) -> Callable[..., Any]:
        params, name, tasks = settings_of(scale_of(job), f"{choice}@batch={batch}")
        other = Trainer(params.phase_settings(name), corpus_of(job.scratch, params, tasks), 0, job.device)
        steps(other, 5)
        return partial(steps, other)

    ours = {trainer.phase.training.batch_size: partial(steps, trainer)}
    return public_code.prepared(job, choice, ours, made)


def _rest_of_run(trainer: "Trainer", step: float) -> dict[str, float]:
    """What a run is beside its steps of so many milliseconds, which already have a row of the record each."""
    from arcjepa.record import Averages

    each, rarely = _record_ms(trainer)
    validating = repeated(lambda: trainer.validate(Averages()), trainer.device)
    run = trainer.phase.training.epochs * (trainer.steps_per_epoch * (step + rarely) + validating) / 1000
    return {"% record": 100 * (each + rarely) / step, "ms a validation": validating, "run s": run}


def steps(trainer: "Trainer", count: int) -> None:
    """Some steps of training, recorded."""
    from arcjepa.record import Averages

    averages = Averages()
    for _ in range(count):
        trainer.train_step(averages)


def _by_kernel(trainer: "Trainer", corpus: "Corpus") -> "Trainer":
    """The same phase without compiling and recording: what a GPU does when Python starts every kernel."""
    from arcjepa.replay import Replay
    from arcjepa.trainer import Trainer

    plain = Trainer(trainer.phase, corpus, 0, trainer.device)
    plain.fast, plain._step = False, Replay(plain._update, False)
    steps(plain, 2)
    return plain


def _milliseconds(trainers: dict[str, "Trainer"], device: str) -> dict[str, list[float]]:
    """Of a step, in turn."""

    def clock(trainer: "Trainer", count: int) -> Callable[[], float]:
        return lambda: 1000 * seconds(lambda: steps(trainer, count), device) / count

    count = STEPS[device]
    calls = {name: clock(one, count if name == "ours" else max(2, count // 6)) for name, one in trainers.items()}
    return in_turn(calls, ROUNDS)


def repeated(call: Callable[[], Any], device: str) -> float:
    """Median milliseconds of a call that has been warmed up."""
    for _ in range(3):
        call()
    count = 10 if device == "cuda" else 1
    return median(1000 * seconds(lambda: [call() for _ in range(count)], device) / count for _ in range(ROUNDS))


def _drawing(trainer: "Trainer") -> Callable[[], Any]:
    """Drawing a batch and its views, compiled and recorded as they are within a step."""
    from arcjepa.inputs import blocks, view_kinds
    from arcjepa.replay import Replay
    from arcjepa.trainer import COMPILER

    def draw() -> Any:
        batch = trainer.draw(trainer.count)
        key = trainer.drawn_by, trainer.count
        return blocks(trainer.phase.loss, trainer.tokens, batch, view_kinds(batch, key), key, trainer.room)

    replay = Replay(torch.compile(draw, dynamic=False, options=COMPILER) if trainer.fast else draw, trainer.fast)
    for _ in range(3):
        replay()
    return replay


def _record_ms(trainer: "Trainer") -> tuple[float, float]:
    """Milliseconds that the record adds to a step: its row; and its share of rarer rows and of writing them."""
    from arcjepa.moments import geometry, sides
    from arcjepa.record import Averages, rows

    step, device, averages = trainer.train_step(Averages()), trainer.device, Averages()

    def row() -> None:
        _, found = trainer.step_row(step.outputs, 1)
        if device == "cpu":  # on a GPU eigenvalues are worked out beside the training
            sides(geometry(found))

    def written() -> None:
        averages._columns = None  # as if they had not been asked for
        list(rows(averages.columns()))

    each, rare = repeated(lambda: trainer._collect(step, averages), device), repeated(row, device)
    epoch = repeated(written, device) / len(averages.columns()["train_total"])
    return each, rare / trainer.row_interval + epoch
