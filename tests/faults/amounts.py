"""How often a fault is tried: a few times in continuous integration, often with ARCJEPA_FAULTS=full."""

import os
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings

FULL = os.environ.get("ARCJEPA_FAULTS") == "full"


def amount(few: int, many: int) -> int:
    """`few`, or `many` where the full suite is asked for."""
    return many if FULL else few


def examples(few: int = 300, many: int = 10_000) -> settings:
    """So many examples of Hypothesis's, none of them with a time limit, as machines are shared."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=amount(few, many), deadline=None, suppress_health_check=slow)


def survived(fault: str) -> None:
    """One more fault of this kind was tried, and all was as it should be: a line in the tally, where one is kept."""
    if tally := os.environ.get("ARCJEPA_FAULTS_TALLY"):
        with Path(tally).open("a", encoding="utf-8") as file:
            file.write(f"{fault}\n")


def counted(tally: Path) -> Counter[str]:
    """How many of each kind a tally holds."""
    return Counter(tally.read_text(encoding="utf-8").splitlines()) if tally.exists() else Counter()
