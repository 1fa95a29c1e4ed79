"""One command as several processes that train together: torch's elastic agent, which is what torchrun runs."""

import logging
import os
import sys
import uuid
from collections.abc import Sequence

from arcjepa.errors import UserError
from arcjepa.signals import ENDING, FAILED

ENDED_TOO = ("SIGINT", "SIGHUP", "SIGQUIT")
"""Signals that end ranks as they end one process."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that say how many threads a rank has: numbers must not depend on the machine's cores."""


def launch(arguments: Sequence[str], ranks: int) -> None:
    """Run `python ARGUMENTS` once for each of so many ranks, and wait for them.

    Each learns its place from the environment, as under torchrun. ENDING is passed on to all, which have 30 seconds to
    save their state. Where one fails, the others are ended. Errors: UserError saying which rank failed first and how,
    after what it printed itself; SystemExit after a signal.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    quiet = logging.getLogger("torch.distributed.elastic")  # which has pages about what is said here
    quiet.propagate, quiet.handlers = False, [logging.NullHandler()]
    os.environ.update(dict.fromkeys(THREADS, "1"))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        local_addr="127.0.0.1",  # the host's own name may lead nowhere
        signals_to_handle=",".join([*(number.name for number in ENDING), *ENDED_TOO]),
    )
    try:
        elastic_launch(config, sys.executable)(*arguments)
    except SignalException as error:
        raise SystemExit(FAILED + error.sigval) from None
    except ChildFailedError as error:
        place, failure = error.get_first_failure()
        if failure.exitcode > FAILED:  # it saved its state after a signal
            raise SystemExit(failure.exitcode) from None
        how = f"killed by signal {-failure.exitcode}" if failure.exitcode < 0 else f"status {failure.exitcode}"
        raise UserError(
            f"rank {place} of {ranks} ended first, {how}, and the others were ended; once what it said is mended, type "
            "the same command again, which goes on from the last checkpoint"
        ) from None
