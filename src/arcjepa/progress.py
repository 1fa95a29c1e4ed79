"""What a job of the workflow says: plain lines, on the terminal and in its log; a user's error is one line."""

import gc
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOBase, TextIOWrapper
from pathlib import Path
from signal import SIGINT
from typing import Any, NoReturn, TextIO

from arcjepa.errors import UserError
from arcjepa.files import unwritable

ENVIRONMENT = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "SLURMD_NODENAME")
Say = Callable[[str], None]


class Tee(TextIOBase):
    """A text stream that writes to a terminal and to a log, at once and unbuffered.

    A log that cannot be written to is told once, and done without.
    """

    def __init__(self, terminal: TextIO, log: TextIO) -> None:
        self.terminal, self.log = terminal, log
        self.failed = False

    def write(self, text: str) -> int:
        self.terminal.write(text)
        self.terminal.flush()
        self.note(text)
        return len(text)

    def note(self, text: str) -> None:
        """To the log alone."""
        if self.failed:
            return
        try:
            self.log.write(text)
            self.log.flush()
        except OSError as error:
            self.failed = True
            line = "" if text.endswith("\n") else "\n"
            self.terminal.write(f"{line}warning: {self.log.name}: {error.strerror}; what follows is not in it\n")


@contextmanager
def job(snakemake: Any) -> Iterator[Say]:
    """Run a script's body: `with job(snakemake) as say`. `say` prints a line after rule and wildcards.

    What the body prints, warnings included, goes to the terminal and to the first log file of the rule, which
    begins with the machine and ends with the time taken. UserError is printed as one line and ends the script
    with status 1, as does a disk that is full or read-only, Ctrl-C likewise with status 130; any other exception is a
    defect, and leaves its traceback in both places.
    """
    gc.freeze()  # what a script has imported stays: not searching it for garbage saves up to a second of each job
    about = [value for name, value in snakemake.wildcards.items() if name != "scale"]
    title = " ".join([snakemake.rule, *about])
    path = Path(snakemake.log[0])
    with _log(path, title) as log:  # at once, as the ranks of a training do
        both = Tee(sys.stderr, log)
        both.note(f"{title} on {platform.node()}, {_environment()}\n")
        started = time.monotonic()
        with redirect_stdout(both), redirect_stderr(both):
            try:
                yield lambda line: print(f"{title}: {line}\n", end="")  # at once: jobs share a terminal
            except UserError as error:
                _end(title, error)
            except OSError as error:
                if told := unwritable(error):
                    _end(title, told)
                raise
            except KeyboardInterrupt:
                print(f"{title}: interrupted")
                raise SystemExit(128 + SIGINT) from None
            finally:
                # Python prints a defect's traceback to the terminal, once it leaves here.
                failure = sys.exc_info()[1]
                if failure is not None and not isinstance(failure, SystemExit):
                    both.note("".join(traceback.format_exception(failure)))
        both.note(f"done in {time.monotonic() - started:.1f} s\n")


def _log(path: Path, title: str) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        return unbuffered(path)
    except OSError as error:
        _end(title, unwritable(error) or error)


def unbuffered(path: Path) -> TextIO:
    """A text file to append to, of which nothing is left to be written when it is closed. Errors: OSError."""
    return TextIOWrapper(path.open("ab", buffering=0), encoding="utf-8", write_through=True)


def _end(title: str, error: Exception) -> NoReturn:
    print(f"{title}: error: {error}\n", end="", file=sys.stderr)
    raise SystemExit(1) from None


def _environment() -> str:
    """What decides how fast a job is, and on which device: "name value" or "name unset"."""
    return ", ".join(f"{name} {os.environ.get(name, 'unset')}" for name in ENVIRONMENT)
