"""The command `arcjepa`: `diagnose RUN` says what is wrong with a run, `evaluate ENCODER` what its file measures,
`verify` which files are not what was recorded of them, `doctor` what would stop the workflow here, `columns` what the
columns of its tables mean.

Exit status: 0, of `diagnose` with or without findings; 1 where `verify` or `doctor` found a problem; 2 for bad input
and for what cannot be read or written, with one line on stderr; 130 after Ctrl-C.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from arcjepa.errors import UserError
from arcjepa.params import read_params
from arcjepa.signals import FAILED

# What a subcommand alone needs it imports itself: Ctrl-C meanwhile is one line too.


class _Parser(argparse.ArgumentParser):
    """One that reports bad arguments as all other bad input is reported."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; type {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status."""
    try:
        options = _parser().parse_args(arguments)
        status: int = options.run_command(options)
        print(end="", flush=True)  # also where stdout is closed, and sys.stdout None
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as of `arcjepa verify | head`: who reads has enough
        _discard_output()
        return FAILED + signal.SIGPIPE
    except OSError as error:
        print(f"error: {error.filename or 'output'!s:.200}: {error.strerror}", file=sys.stderr)
        if error.filename is None:
            _discard_output()
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return FAILED + signal.SIGINT
    return status


def _discard_output() -> None:
    """What is buffered still, which Python would fail to write once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="arcjepa", description="Self-supervised learning on ARC.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    diagnose = commands.add_parser(
        "diagnose",
        help="what is wrong with a run, and what to try",
        description="Read a run's record, sparse ones too, print what is wrong with it, and write "
        "diagnosis.json and diagnosis.md.",
    )
    diagnose.add_argument(
        "folder",
        metavar="RUN",
        type=Path,
        help="folder with any of epochs.csv, steps.csv, run.json; or data/raw/analysis, for the run that its tables "
        "describe",
    )
    diagnose.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="thresholds, and settings if run.json has none"
    )
    diagnose.add_argument("--output", type=Path, metavar="FOLDER", help="where to write; RUN if not given")
    diagnose.set_defaults(run_command=_diagnose)
    evaluate = commands.add_parser(
        "evaluate",
        help="what an encoder's file measures, beside what is recorded of it",
        description="Measure an encoder again on the data of its scale, and print it beside what results/comparison/"
        "SCALE has of its phase, or of its scenario in a set. Minutes on one core; what needs a predictor is left out "
        "where the file has none.",
    )
    evaluate.add_argument(
        "file", metavar="ENCODER", type=Path, help="results/encoders/SCALE/NAME.safetensors, or of a run"
    )
    evaluate.set_defaults(run_command=_evaluate)
    for name, help, run in (
        ("verify", "which files are not what was recorded of them", _verify),
        ("doctor", "what would stop the workflow here", _doctor),
    ):
        command = commands.add_parser(name, help=help, description=f"Say {help}, and what to type next.")
        command.add_argument(
            "folder", metavar="PROJECT", type=Path, nargs="?", default=Path(), help="the folder with the Snakefile; ."
        )
        command.set_defaults(run_command=run)
    columns = commands.add_parser(
        "columns",
        help="what every column of a run's record and of metrics.csv means",
        description="Say unit, range and meaning of every column of a run's record and of metrics.csv.",
    )
    columns.add_argument("file", metavar="FILE", nargs="?", default="", help="of one file, such as epochs.csv; all")
    columns.set_defaults(run_command=_columns)
    return parser


def _columns(options: argparse.Namespace) -> int:
    from arcjepa.dictionary import as_text, dictionary

    print(as_text(dictionary(options.file)))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from arcjepa.remeasuring import measure_again

    measured = measure_again(options.file, _project(Path()))
    print(f"{'':24}{'this file':>28}{'recorded, all seeds':>28}", *measured, sep="\n")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from arcjepa.verification import verify  # here, as the others do not need it

    report = verify(_project(options.folder))
    print("\n".join(report.lines()))
    return 1 if report.problems else 0


def _doctor(options: argparse.Namespace) -> int:
    from arcjepa.doctor import examine_place

    findings = examine_place(_project(options.folder))
    print("\n".join(map(str, findings)))
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def _project(folder: Path) -> Path:
    if not (folder / "Snakefile").is_file():
        raise UserError(f"{folder}: has no Snakefile; give the folder of a project, or type it there")
    return folder


def _diagnose(options: argparse.Namespace) -> int:
    from arcjepa.analysed_run import is_analysis, write_record
    from arcjepa.config import from_mapping
    from arcjepa.diagnosis import FILES, examine, write_report
    from arcjepa.findings.markdown import overview
    from arcjepa.findings.record_files import read_record

    tree = read_params(options.params)
    analysed = is_analysis(options.folder)
    with TemporaryDirectory() as made:
        if analysed:
            write_record(Path(made), options.folder)
        record = read_record(Path(made), tree) if analysed else read_record(options.folder, tree, lenient=True)
    report = examine(record, from_mapping(tree).diagnosis)
    # The tables of the analysis are an input of the workflow: nothing is written beside them.
    folder = options.output or (None if analysed else options.folder)
    if folder is not None:
        write_report(report, folder)
    print(overview(report.findings))
    if report.not_judged:
        print(f"\nNot judged, as the record lacks what they read: {', '.join(report.not_judged)}.")
    if folder is None:
        print("\nNothing was written; --output FOLDER keeps the numbers, the causes and what to try.")
    else:
        print(f"\n{folder / FILES[1]} has the numbers, the causes and what to try.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
