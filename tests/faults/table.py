"""What was tried and survived, as a table: `python tests/faults/table.py TALLY TABLE`, which `make faults` types."""

import os
import platform
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path


def table(tally: str) -> str:
    """Markdown, a row for every kind of fault, by name."""
    counts: dict[str, Counter[str]] = {}
    for line in tally.splitlines():
        what, times, name = line.split("\t")
        counts.setdefault(name, Counter())[what] += int(times)
    rows = [f"| {name} | {count['tried']} | {count['survived']} |" for name, count in sorted(counts.items())]
    return "\n".join(["| fault | tried | survived |", "|---|---:|---:|", *rows, ""])


def origin() -> str:
    """When, of what and where: a line."""
    git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    return f"`make faults` of {datetime.now(UTC):%Y-%m-%d}, at commit {commit}, on {machine}.\n\n"


if __name__ == "__main__":
    made = origin() + table(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(made, encoding="utf-8")
    print(made)
