"""What is measured where: the parts, in the order of the tables, and the jobs of a CPU and of a GPU."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType

from benchmarks.measuring import Job, Row

PARTS = {
    "cpu": (
        *("machine", "tokeniser", "generator", "preparation", "sigreg", "quantizer", "training", "evaluation"),
        "workflow",
    ),
    "cuda": ("machine", "training", "public_code", "evaluation", "sigreg", "ranks"),
}
CORPUS = "corpus"
NEEDS_CORPUS = ("training", "evaluation", "ranks")
"""The job that makes the tokens which others train on, and these."""
CHOICES = {
    "cpu": {
        "preparation": ("1000", "2000", "4000", "8000"),
        "training": ("", "phase2@tasks=8000", "phase2@tasks=32000", "phase2@batch=64", "phase2@batch=256"),
    },
    "cuda": {
        "training": ("baseline", "phase1", "phase2", "phase3", "phase3@window=7", "phase2@tasks=50000"),
        "public_code": (),  # measured beside the training of the phases that it has
        "ranks": ("baseline", "phase2", "baseline@batch=2048", "phase2@batch=2048"),
    },
}


def module(part: str) -> ModuleType:
    """The module of a part, which says TITLE, ABOUT and CHARTS, and measures."""
    return import_module(f"benchmarks.{part}")


def names(device: str, parts: Iterable[str], small: bool) -> list[str]:
    """The jobs of some parts, as `Job.name`; the first two of each where it only has to run."""
    choices, most = CHOICES[device], 2 if small else None
    return [f"{part}:{choice}".rstrip(":") for part in parts for choice in choices.get(part, ("",))[:most]]


def run(job: Job) -> Iterator[Row]:
    """What a job measures, row by row."""
    if job.part == CORPUS:
        return module("training").prepare(job)
    return module(job.part).measure(job)
