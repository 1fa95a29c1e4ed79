"""What was tried and survived, as a table: `python tests/faults/table.py TALLY TABLE`, which `make faults` types."""

import sys
from collections import Counter
from pathlib import Path


def table(tally: str) -> str:
    """Markdown, a row for every kind of fault, by name."""
    counts: dict[str, Counter[str]] = {}
    for line in tally.splitlines():
        what, times, name = line.split("\t")
        counts.setdefault(name, Counter())[what] += int(times)
    rows = [f"| {name} | {count['tried']} | {count['survived']} |" for name, count in sorted(counts.items())]
    return "\n".join(["| fault | tried | survived |", "|---|---:|---:|", *rows, ""])


if __name__ == "__main__":
    made = table(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(made, encoding="utf-8")
    print(made)
