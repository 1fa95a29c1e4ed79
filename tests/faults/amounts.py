"""How often a fault is tried: a few times in continuous integration, often with ARCJEPA_FAULTS=full.

ARCJEPA_FAULTS_DEVICE=cuda has the trainings of test_resume_killed, test_resume_signals and test_ranks_ended on GPUs.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

FULL = os.environ.get("ARCJEPA_FAULTS") == "full"
DEVICE = os.environ.get("ARCJEPA_FAULTS_DEVICE", "cpu")
ON_DEVICE = "" if DEVICE == "cpu" else ", on a GPU"
EPOCHS = 6 if DEVICE == "cpu" else 300
"""Of a training that is to be hit by a fault: a GPU takes milliseconds for one of a tiny one."""
SIGNALS_EPOCHS = 24 if DEVICE == "cpu" else 1500
"""Of one that writes no checkpoint until a signal comes."""


def amount(few: int, many: int, on_gpu: int | None = None) -> int:
    """`few`, or `many` where the full suite is asked for, or so many of them on a GPU."""
    return (many if DEVICE == "cpu" or on_gpu is None else on_gpu) if FULL else few


def examples(few: int = 300, many: int = 10_000) -> settings:
    """So many examples of Hypothesis's, none of them with a time limit, as machines are shared."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=amount(few, many), deadline=None, suppress_health_check=slow)


def fault(name: str, times: int = 1) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test that tries a fault, so often, and passes where it is survived: counted where a tally is kept."""

    def counting(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(*arguments: Any, **named: Any) -> None:
            _count("tried", name, times)
            test(*arguments, **named)
            _count("survived", name, times)

        return counted

    return counting


def _count(what: str, name: str, times: int) -> None:
    if tally := os.environ.get("ARCJEPA_FAULTS_TALLY"):
        with Path(tally).open("a", encoding="utf-8") as file:
            file.write(f"{what}\t{times}\t{name}\n")
