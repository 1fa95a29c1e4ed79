"""Synthetic tasks a second, rules for training and held-out ones, beside RE-ARC's generators of pairs."""

from collections.abc import Iterator
from importlib.util import find_spec

from benchmarks.charts import Chart
from benchmarks.measuring import Job, Row, seconds
from benchmarks.settings import params_at

TITLE = "The generator of tasks"
ABOUT = (
    "Tasks of four pairs as params.yaml has them, in memory; CPU time of one thread, in turn, a new shard each time. "
    "RE-ARC: the hand-written generators of its 400 tasks, from reasoning-gym, one pair each."
)
CHARTS = (Chart("generator", "Generating against tasks", "tasks", "s"),)
SIZES, SMALL = (250, 500, 1000, 2000), (5, 10)


def measure(job: Job) -> Iterator[Row]:
    """Rows by kind and number of tasks."""
    from arcjepa.synthetic import generate_shard

    settings = params_at("laptop").data.synthetic
    kinds = {"rules for training": False, "held-out rules": True}
    for held_out in kinds.values():  # compiles, and reads what was compiled before
        generate_shard(settings, 0, 0, 20, held_out)
    for shard, size in enumerate(SMALL if job.small else SIZES, 1):
        for name, held_out in kinds.items():
            took = seconds(lambda: generate_shard(settings, 0, shard, size, held_out))  # noqa: B023
            yield _row(name, size, settings.pairs * size, took)
    if find_spec("reasoning_gym") and not job.small:
        from arcjepa.rearc import generate_rearc, generators

        count = len(generators())
        yield _row("RE-ARC", count, count, seconds(lambda: generate_rearc(1, 0)))


def _row(name: str, tasks: int, pairs: int, took: float) -> Row:
    return Row("generator", name, {"tasks": tasks}, {"tasks/s": tasks / took, "pairs/s": pairs / took, "s": took})
