"""How often a fault is tried: a few times in continuous integration, often with ARCJEPA_FAULTS=full."""

import os

from hypothesis import HealthCheck, settings

FULL = os.environ.get("ARCJEPA_FAULTS") == "full"


def amount(few: int, many: int) -> int:
    """`few`, or `many` where the full suite is asked for."""
    return many if FULL else few


def examples(few: int = 300, many: int = 10_000) -> settings:
    """So many examples of Hypothesis's, none of them with a time limit, as machines are shared."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=amount(few, many), deadline=None, suppress_health_check=slow)
