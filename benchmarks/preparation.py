"""Synthetic tasks from nothing to tokens on disk: generating, packing, writing, reading, tokenising, writing."""

import resource
from collections.abc import Iterator
from pathlib import Path

from benchmarks.charts import Chart
from benchmarks.measuring import Job, Row, seconds
from benchmarks.settings import params_at

TITLE = "Preparation: tasks, frames, tokens, files"
ABOUT = (
    "Tasks of four pairs in shards of 1,000, as the workflow writes them; CPU time of one thread, each size in a "
    "process of its own. Peak memory is that of the process, libraries included. The last column is what 200,000 "
    "tasks would take on two such cores."
)
CHARTS = (
    Chart("preparation", "Preparing against tasks", "tasks", "s"),
    Chart("preparation_memory", "Peak memory of preparing against tasks", "tasks", "peak MiB"),
)
SHARD, SMALL_SHARD, GOAL = 1000, 20, 200_000


def measure(job: Job) -> Iterator[Row]:
    """One row: `job.choice` tasks."""
    shard = SMALL_SHARD if job.small else SHARD
    shards = int(job.choice) // SHARD
    _prepare(job.scratch, 0, SMALL_SHARD)
    parts = [_prepare(job.scratch, number, shard) for number in range(1, shards + 1)]
    took = [sum(column) for column in zip(*parts, strict=True)]
    tasks, total = shards * shard, sum(took)
    shares = {f"% {name}": 100 * part / total for name, part in zip(("generating", "tokenising"), took, strict=False)}
    values = {"tasks/s": tasks / total, "s": total, **shares, "peak MiB": _peak_mib()}
    yield Row("preparation", "ours", {"tasks": tasks}, values | {"min for 200,000": GOAL / (tasks / total) / 2 / 60})


def _prepare(folder: Path, number: int, tasks: int) -> tuple[float, float, float]:
    """Seconds of generating, of tokenising, and of files, for one shard; the files are removed."""
    from arcjepa.frames import Frames, load_frames, save_frames
    from arcjepa.synthetic import generate_shard
    from arcjepa.tokens import manifest_path, save_tokens, tokenise

    params, made = params_at("laptop"), {}
    frames, tokens = folder / f"frames-{number}.npz", folder / f"tokens-{number}.safetensors"

    def generate() -> None:
        made["frames"] = Frames.from_tasks(generate_shard(params.data.synthetic, 0, number, tasks, False))

    def exchange() -> None:
        save_frames(frames, made.pop("frames"))
        made["frames"] = load_frames(frames)

    generating, files = seconds(generate), seconds(exchange)
    tokenising = seconds(lambda: made.update(tokens=tokenise(made["frames"], params.tokens)))
    files += seconds(lambda: save_tokens(tokens, made["tokens"]))
    for path in (frames, tokens, manifest_path(tokens)):
        path.unlink()
    return generating, tokenising, files


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
