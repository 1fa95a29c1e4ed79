"""`python -m benchmarks`: measure, and write tables and charts.

The CPU's part, and the GPU's where torch finds one; --cpu or --gpu for one of them. Each device has files of its own in
--out (benchmarks/results): cpu.csv, cpu.md and cpu/, gpu.csv, gpu.md and gpu/. With --parts only those are measured,
and printed; they are written where --out is given. The GPU's part needs torch, numpy and this project's package. What
fails is told in the tables, and the exit status is 1.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import jobs, pages, runner
from benchmarks.measuring import ROOT, Job, Row

RESULTS = ROOT / "benchmarks" / "results"
LIMITS = {"cpu": 1800.0, "cuda": 540.0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 1 where anything failed."""
    options = _parser().parse_args(arguments)
    if options.work:
        part, _, choice = options.work.partition(":")
        runner.work(Job(part, choice, "cuda" if options.gpu else "cpu", options.small, options.scratch))
        return 0
    if options.draw:
        return int(not any([pages.redraw(device, options.out or RESULTS) for device in pages.STEMS]))
    return int(sum(_measure(device, options) for device in _devices(options)) > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", action="store_true", help="the CPU's part alone")
    parser.add_argument("--gpu", action="store_true", help="the GPU's part alone; fails where torch finds none")
    parser.add_argument("--draw", action="store_true", help="measure nothing: pages and charts from the CSV files")
    parser.add_argument("--out", type=Path, help=f"where results go ({RESULTS.relative_to(ROOT)})")
    parts = sorted({part for device in jobs.PARTS.values() for part in device})
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts, help="only these", metavar="PART")
    parser.add_argument(
        "--limit", type=float, default=0.0, help=f"seconds for a device ({LIMITS}); what is late is told"
    )
    parser.add_argument("--small", action="store_true", help="sizes that only show that it runs")
    parser.add_argument("--work", default="", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    return parser


def _devices(options: argparse.Namespace) -> list[str]:
    import torch

    asked = ["cpu"] * options.cpu + ["cuda"] * options.gpu or ["cpu", "cuda"]
    return asked if options.gpu or torch.cuda.is_available() else ["cpu"]


def _measure(device: str, options: argparse.Namespace) -> int:
    """Measure one device's part, print it and write it; returns how many things failed."""
    parts = [part for part in jobs.PARTS[device] if part in options.parts]
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        rows = _rows(device, parts, Path(folder), options)
    where = {"date": time.strftime("%Y-%m-%d"), "machine": jobs.module("machine").describe(device)}
    took = f"{time.monotonic() - started:.0f} s in all"
    rows.append(Row(pages.ABOUT, pages.STEMS[device], {}, {**where, "took": took}))
    print(pages.page(device, rows))
    if options.out or len(parts) == len(jobs.PARTS[device]):
        out = options.out or RESULTS
        pages.write(device, rows, out)
        print(f"written: {out / pages.STEMS[device]}.csv, .md", file=sys.stderr)
    return pages.failures(rows)


def _rows(device: str, parts: Sequence[str], scratch: Path, options: argparse.Namespace) -> list[Row]:
    """First what others need, then the rest: on a GPU side by side, but for measuring."""
    deadline = time.monotonic() + (options.limit or LIMITS[device])
    first = ["machine"] * ("machine" in parts) + [jobs.CORPUS] * any(part in parts for part in jobs.NEEDS_CORPUS)
    rows = runner.measure_in_turn(first, device, scratch, options.small, deadline)
    rest = jobs.names(device, [part for part in parts if part != "machine"], options.small)
    if device == "cuda":
        return rows + runner.measure_together(rest, device, scratch, options.small, deadline)
    return rows + runner.measure_in_turn(rest, device, scratch, options.small, deadline)


if __name__ == "__main__":
    sys.exit(main())
