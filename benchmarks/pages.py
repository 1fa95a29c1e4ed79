"""One device's results: a CSV file that has everything, and a page and charts drawn from it."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import charts, jobs, tables
from benchmarks.measuring import FAILED, Row

STEMS = {"cpu": "cpu", "cuda": "gpu"}
ABOUT = "about"
"""The part whose one row says when and where the others were measured."""


def page(device: str, rows: Sequence[Row]) -> str:
    """The tables in Markdown."""
    said = ", ".join(f"{value}" for row in rows if row.part == ABOUT for value in row.values.values())
    lines = [f"# What it costs: {STEMS[device].upper()}", "", said + ".", ""]
    for part in _parts(device, rows):
        module = jobs.module(part)
        lines.append(tables.markdown(module.TITLE, module.ABOUT, _of(part, rows)))
    failed = [row for row in rows if row.part not in (*jobs.PARTS[device], ABOUT)]
    if failed:
        lines.append(tables.markdown("Preparations", "What others need.", failed))
    return "\n".join(lines)


def write(device: str, rows: Sequence[Row], out: Path) -> None:
    """The CSV file first; then the page, and charts where what draws them is installed, which are put beneath it."""
    out.mkdir(parents=True, exist_ok=True)
    tables.write_csv(out / f"{STEMS[device]}.csv", rows)
    written = out / f"{STEMS[device]}.md"
    written.write_text(page(device, rows), encoding="utf-8")
    try:
        pictures = _charts(device, rows, out)
    except ModuleNotFoundError as error:
        pictures = [f"No charts here: {error}. With matplotlib and pandas: `python -m benchmarks --draw`"]
    written.write_text("\n".join([page(device, rows), *pictures, ""]), encoding="utf-8")


def redraw(device: str, out: Path) -> bool:
    """Page and charts anew from the CSV file; whether there is one."""
    path = out / f"{STEMS[device]}.csv"
    if path.exists():
        write(device, tables.read_csv(path), out)
    return path.exists()


def failures(rows: Sequence[Row]) -> int:
    """How many things could not be measured."""
    return sum(FAILED in row.values for row in rows)


def _charts(device: str, rows: Sequence[Row], out: Path) -> list[str]:
    """Draws them; returns the lines of Markdown that show them."""
    lines = []
    for part in _parts(device, rows):
        module = jobs.module(part)
        stamp = f"{module.TITLE}, {STEMS[device].upper()}"
        for path in charts.draw(module.CHARTS, _of(part, rows), out / STEMS[device], stamp):
            lines += [f"![{path.stem}]({path.relative_to(out)})", ""]
    return lines


def _parts(device: str, rows: Sequence[Row]) -> list[str]:
    measured = {row.part for row in rows}
    return [part for part in jobs.PARTS[device] if part in measured]


def _of(part: str, rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.part == part]
