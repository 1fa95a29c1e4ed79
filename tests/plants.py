"""What a planted fault is: a function that spoils a healthy record, and where it can."""

from collections.abc import Callable

from record_cases import Healthy

Plant = Callable[[Healthy], None]
PHASES: dict[str, tuple[str, ...]] = {}
"""Which phases have the mechanism, by the name of the function."""
SHORTEST = {"growing_gradients": 60}
"""Epochs that a run has at least, where it is not 12: a growth that takes fewer is a spike."""


def of_phase(*phases: str) -> Callable[[Plant], Plant]:
    """Which phases have the mechanism."""

    def mark(plant: Plant) -> Plant:
        PHASES[plant.__name__] = phases
        return plant

    return mark
