"""The public code of the analysed run beside ours: its own data, loader and loop, at its own published settings.

It has no licence, so that nothing of it is here or installed: ARCJEPA_PUBLIC_CODE names a folder with a checkout of
github.com/fergusmeiklejohn/arc-jepa-rl, whose functions are called as its scripts call them.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import Job, Row, in_turn, ratio, seconds

if TYPE_CHECKING:
    from arcjepa.tasks import Task

TITLE = "Training: the public code of the analysed run"
ABOUT = (
    "Its training loop on tokens that it made of our synthetic tasks, with its loader's workers, beside the phase that "
    "does the same, in turn in one process: 3 frames of context, 16 objects. Ours with the batch that it has, and with "
    "that of the public code, whose steps are of two. `run s` is 80 epochs of 50,000 sequences without validation."
)
CHARTS = ()
CHECKOUT = "ARCJEPA_PUBLIC_CODE"
SETTINGS = {"baseline": "jepa_stable_production", "phase2": "jepa_lejepa_aligned"}
"""Of which of our phases: its file of the same objective, in configs/training."""
TOKENISED, REPEATS, SMALL = 4096, 6, 96
"""Sequences, which its loader reads so many times over in an epoch; and sequences where it only has to run."""
RUN, ROUNDS = 80 * 50_000, 3
Steps = Callable[..., Any]
"""Takes steps: an epoch, or as many as it is told."""


def prepared(job: Job, phase: str, ours: Mapping[int, Steps], make: Callable[[int], Steps]) -> Callable[[], list[Row]]:
    """What measures it beside ours, by sequences of a batch: those given, and its own batch, which is made here.

    No rows for a phase that it has no settings of; one that says so where there is no checkout.
    """
    name = SETTINGS.get(phase)
    if name is None:
        return list
    if CHECKOUT not in os.environ:
        return lambda: [Row("public_code", name, {}, {"note": f"not measured: {CHECKOUT} names no checkout"})]
    config = _config(Path(os.environ[CHECKOUT]), name, job)
    epoch, sequences = _epoch(config, job.device)
    epoch()  # its workers start, its kernels are chosen
    batch = config["training"]["batch_size"]
    ours = {**ours, batch: ours.get(batch) or make(batch)}
    return lambda: _rows(job, (f"public, {name}", f"ours, {phase}"), config["training"], (epoch, sequences), ours)


def _rows(
    job: Job, forms: tuple[str, str], training: dict[str, Any], public: tuple[Steps, int], ours: Mapping[int, Steps]
) -> list[Row]:
    """In turn, by the sequence."""

    def clock(call: Callable[[], Any], sequences: int) -> Callable[[], float]:
        return lambda: seconds(call, job.device) / sequences

    epoch, sequences = public
    count = {batch: max(1, sequences // batch) for batch in ours}
    calls = {0: clock(epoch, sequences)}
    calls |= {batch: clock(partial(take, count[batch]), count[batch] * batch) for batch, take in ours.items()}
    each = in_turn(calls, ROUNDS)
    at = {"sequences": training["batch_size"], "batches a step": training["grad_accum_steps"]}
    rows = [Row("public_code", forms[0], at, _rates(each[0]))]
    for batch in ours:
        times = {"times the public code's": ratio(each[0], each[batch])}
        rows.append(Row("public_code", forms[1], {"sequences": batch}, _rates(each[batch]) | times))
    return rows


def _rates(each: list[float]) -> dict[str, float | str]:
    return {"sequences/s": 1 / median(each), "run s": RUN * median(each)}


def _config(checkout: Path, name: str, job: Job) -> dict[str, Any]:
    """Its settings, whose tokens are those that it makes here."""
    sys.path.insert(0, str(checkout))
    config = dict(import_module("training.jepa").load_jepa_config(checkout / f"configs/training/{name}.yaml"))
    config["pre_tokenized"] |= {"path": str(_tokens(config, job))}
    if job.small:
        config["training"] |= {"batch_size": 16, "num_workers": 0}
    return config


def _tokens(config: dict[str, Any], job: Job) -> Path:
    """A folder of its token shards, which its index names several times."""
    from arcjepa.synthetic import generate_shard
    from benchmarks.training import SMALL_TASKS, TASKS, params_at, scale_of

    tasks = generate_shard(params_at(scale_of(job)).data.synthetic, 0, 0, SMALL_TASKS if job.small else TASKS, False)
    folder = job.scratch / f"public-{job.choice.replace('@', '+')}"
    manifest = folder.with_suffix(".jsonl")
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in _sequences(tasks)), encoding="utf-8")
    settings = import_module("training.jepa.object_pipeline").build_object_tokenizer_config(config["tokenizer"])
    made = import_module("training.jepa.pretokenizer").pretokenize_manifest(
        manifest,
        folder,
        tokenizer_cfg=settings,
        context_window=config["data"]["context_window"],
        target_offset=config["data"]["target_offset"],
        limit=SMALL if job.small else TOKENISED,
    )
    index = folder / "metadata.json"
    index.write_text(json.dumps(made | {"shards": list(made["shards"]) * (1 if job.small else REPEATS)}))
    return folder


def _sequences(tasks: "list[Task]") -> Iterator[dict[str, Any]]:
    """Of every pair but the first: a demonstration, the input, and as the target the output."""
    for task in tasks:
        shown = task.pairs[0]
        for pair in task.pairs[1:]:
            context = [grid.tolist() for grid in (shown.input, shown.output, pair.input)]
            yield {"context": context, "target": pair.output.tolist()}


def _epoch(config: dict[str, Any], device: str) -> tuple[Steps, int]:
    """One epoch of its training, and how many sequences that is."""
    experiment = import_module("training.jepa").ObjectCentricJEPAExperiment(config, device=device)
    loader, *_ = import_module("scripts._jepa_loader").build_jepa_dataloader(
        config, experiment.trainer.tokenizer_config
    )
    return lambda: experiment.train_epoch(loader), len(loader) * config["training"]["batch_size"]
