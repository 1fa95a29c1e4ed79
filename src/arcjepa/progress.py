"""What a job of the workflow says: plain lines, on the terminal and in its log; a user's error is one line."""

import gc
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOBase
from pathlib import Path
from signal import SIGINT
from typing import Any, TextIO

from arcjepa.errors import UserError

ENVIRONMENT = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "SLURMD_NODENAME")
Say = Callable[[str], None]


class Tee(TextIOBase):
    """A text stream that writes to several, at once and unbuffered."""

    def __init__(self, *streams: TextIO) -> None:
        self.streams = streams

    def write(self, text: str) -> int:
        for stream in self.streams:
            stream.write(text)
            stream.flush()
        return len(text)


@contextmanager
def job(snakemake: Any) -> Iterator[Say]:
    """Run a script's body: `with job(snakemake) as say`. `say` prints a line after rule and wildcards.

    What the body prints, warnings included, goes to the terminal and to the first log file of the rule, which
    begins with the machine and ends with the time taken. UserError is printed as one line and ends the script
    with status 1, Ctrl-C likewise with status 130; any other exception is a defect, and leaves its traceback in both
    places.
    """
    gc.freeze()  # what a script has imported stays: not searching it for garbage saves up to a second of each job
    about = [value for name, value in snakemake.wildcards.items() if name != "scale"]
    title = " ".join([snakemake.rule, *about])
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("a", buffering=1, encoding="utf-8") as log:  # line by line, as the ranks of a training do
        log.write(f"{title} on {platform.node()}, {_environment()}\n")
        both = Tee(sys.stderr, log)
        started = time.monotonic()
        with redirect_stdout(both), redirect_stderr(both):
            try:
                yield lambda line: print(f"{title}: {line}")
            except UserError as error:
                print(f"{title}: error: {error}")
                raise SystemExit(1) from None
            except KeyboardInterrupt:
                print(f"{title}: interrupted")
                raise SystemExit(128 + SIGINT) from None
            finally:
                # Python prints a defect's traceback to the terminal, once it leaves here.
                failure = sys.exc_info()[1]
                if failure is not None and not isinstance(failure, SystemExit):
                    traceback.print_exception(failure, file=log)
        log.write(f"done in {time.monotonic() - started:.1f} s\n")


def _environment() -> str:
    """What decides how fast a job is, and on which device: "name value" or "name unset"."""
    return ", ".join(f"{name} {os.environ.get(name, 'unset')}" for name in ENVIRONMENT)
