"""Clocks, repeats in turn, and the row that every measurement is.

CPU time of this process on the CPU, as other work on the machine would be in a wall clock; the wall clock around a
synchronised device on a GPU. Nothing but the standard library and torch is imported, and torch only where it is asked.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
FAILED = "failed"
"""The measure of a row that says what could not be measured, and why."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    part: str
    form: str
    """Whose: ours, a peer's, a phase's."""
    at: dict[str, float] = field(default_factory=dict)
    """The size that it was measured at, by name: {"tasks": 2000}."""
    values: dict[str, float | str] = field(default_factory=dict)
    """By measure and unit: {"ms": 1.3, "over ours": 2.0}."""


@dataclass(frozen=True)
class Job:
    """One thing to measure, in a process of its own."""

    part: str
    choice: str = ""
    """Which of the part's variants; "" for all."""
    device: str = "cpu"
    small: bool = False
    """Sizes that only show that it runs."""
    scratch: Path = Path()
    """A folder for what jobs leave one another."""
    turn: Callable[[], None] = lambda: None
    """Returns once no other job uses the device: called between preparing and measuring."""

    @property
    def name(self) -> str:
        return f"{self.part}:{self.choice}" if self.choice else self.part


def seconds(call: Callable[[], Any], device: str = "cpu") -> float:
    """Of one call: CPU time, or the wall clock with all work that it gave the GPU."""
    clock, wait = time.process_time, _nothing
    if device == "cuda":
        import torch

        clock, wait = time.perf_counter, torch.cuda.synchronize
    wait()
    started = clock()
    call()
    wait()
    return clock() - started


def _nothing() -> None:
    pass


def in_turn(calls: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each call returns, round by round: whatever slows the machine down meets all of them alike."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        order = list(calls) if turn % 2 else list(calls)[::-1]  # the second finds the caches warm
        for name in order:
            found[name].append(calls[name]())
    return found


def ratio(values: list[float], ours: list[float]) -> float:
    """Median of the ratios round by round: how many times more than ours."""
    return median(value / our for value, our in zip(values, ours, strict=True))


def burst(step: Callable[[], Any], count: int) -> float:
    """Milliseconds of a step on the GPU by its own clock: many of them, as one is as short as the clock's own cost."""
    import torch

    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    first.record()
    for _ in range(count):
        step()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / count
