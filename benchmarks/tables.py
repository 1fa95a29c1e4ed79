"""Rows as a CSV file with one value a line, and as tables in Markdown."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.measuring import FAILED, Row

SIZE = re.compile(r"([^= ][^=]*)=(\S+)")
COLUMNS = ("part", "form", "at", "measure", "value")


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """One line for every value; `at` is "tasks=2000 frames=3"."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            for measure, value in row.values.items():
                shown = f"{value:.6g}" if isinstance(value, float) else value
                writer.writerow((row.part, row.form, at_text(row), measure, shown))


def read_csv(path: Path) -> list[Row]:
    """What `write_csv` wrote."""
    found: dict[tuple[str, str, str, str], Row] = {}
    number = 0
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            at = {name: float(size) for name, size in SIZE.findall(line["at"])}
            key = (line["part"], line["form"], line["at"], str(number))
            if key in found and line["measure"] in found[key].values:  # the next row of the same form and size
                number += 1
                key = (*key[:3], str(number))
            row = found.setdefault(key, Row(line["part"], line["form"], at, {}))
            row.values[line["measure"]] = _number(line["value"])
    return list(found.values())


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def at_text(row: Row) -> str:
    """The size in one cell."""
    return " ".join(f"{name}={value:g}" for name, value in row.at.items())


def markdown(title: str, about: str, rows: Sequence[Row]) -> str:
    """A section: heading, how it was measured, a table, and what failed."""
    good = [row for row in rows if FAILED not in row.values]
    lines = [f"## {title}", "", about, ""]
    if good:
        sizes, measures = _names(row.at for row in good), _names(row.values for row in good)
        lines += [_line(["", *sizes, *measures]), _line(["---"] * (1 + len(sizes) + len(measures)))]
        for row in good:
            cells = [row.at.get(name, "") for name in sizes] + [row.values.get(name, "") for name in measures]
            lines.append(_line([row.form, *map(_shown, cells)]))
        lines.append("")
    for row in rows:
        if FAILED in row.values:
            where = f" at {at_text(row)}" if row.at else ""
            lines += [f"**Failed: {row.form}{where}:** {row.values[FAILED]}", ""]
    return "\n".join(lines)


def _names(mappings: Iterable[Iterable[str]]) -> list[str]:
    """All keys, in the order in which they first appear."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: float | str) -> str:
    """Three digits, or all before the point."""
    if isinstance(value, str):
        return value
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    return (
        f"{value:.{max(0, 2 - len(str(int(abs(value)))) + (abs(value) >= 1))}f}" if abs(value) >= 1 else f"{value:.3g}"
    )
