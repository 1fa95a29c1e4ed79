"""One command as several processes that train together, each of which learns its place as under torchrun.

Without torch's elastic agent: before torch 2.12 it always kills what has not ended 30 s after a signal, although a rank
that still compiles saves its state later, and it waits as long for a rank that is stopped.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from types import FrameType

from arcjepa.errors import UserError
from arcjepa.signals import ENDING, FAILED

GRACE = 5.0
"""Seconds that ranks have, once one has ended, to say what they have to and to end themselves."""
POLL = 0.1
"""Seconds between two looks at the ranks."""
SETTINGS = {
    # Numbers must not depend on the machine's cores.
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    # NCCL aborts a rank that waits too long, ranks.LAST_RESORT after it should have said so and ended; 0 never would.
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    # Ranks meet at the store of who started them, as under torchrun: where one is gone, it is still there.
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "0",
}
"""What ranks have in their environment."""


def launch(arguments: Sequence[str], ranks: int, patience: float) -> None:
    """Run `python ARGUMENTS` once for each of so many ranks, and wait for them.

    ENDING is passed on to all, which have as long as the scheduler gives them to save their state. Where one fails, or
    is stopped for `patience` seconds, all are ended. Errors: UserError saying which rank failed first and how, after
    what it printed itself; SystemExit after a signal.
    """
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": str(ranks)}
    started: list[Popen[bytes]] = []
    with _passed_on(started) as passed:
        try:
            for rank in map(str, range(ranks)):
                own = {**os.environ, **SETTINGS, **place, "RANK": rank, "LOCAL_RANK": rank}
                # In a session of its own: what a terminal sends to all is for who started them.
                started.append(Popen([sys.executable, *arguments], env=own, start_new_session=True))
            _pass_on(passed, started)
            failed = _first_to_fail(started, patience)
            stopped = [rank for rank, one in enumerate(started) if one.poll() is None and is_stopped(one.pid)]
            if failed is not None:
                _wait([one for rank, one in enumerate(started) if rank not in stopped], GRACE)
        finally:
            for one in started:
                one.kill()
            _wait(started, GRACE)
    if failed is not None or stopped:
        raise _failure(started, failed, stopped, passed)


@contextmanager
def _passed_on(started: Sequence[Popen[bytes]]) -> Iterator[list[int]]:
    """Meanwhile ENDING is passed on to these; gives those that were, in their order."""
    passed: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        passed.append(number)
        _pass_on([number], started)

    before = {number: signal.signal(number, note) for number in ENDING}
    try:
        yield passed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pass_on(numbers: Sequence[int], started: Sequence[Popen[bytes]]) -> None:
    for number in tuple(numbers):
        for one in started:
            one.send_signal(number)


def _first_to_fail(started: Sequence[Popen[bytes]], patience: float) -> int | None:
    """Waits until a rank fails, and gives it; None where all end well, or one was stopped for so many seconds.

    Those are counted in looks at it: where this process is suspended with the ranks, they do not pass.
    """
    looks = [0] * len(started)
    while True:
        statuses = [one.poll() for one in started]
        failed = [rank for rank, status in enumerate(statuses) if status]
        if failed or None not in statuses:
            return failed[0] if failed else None
        looks = [(count + 1) * is_stopped(one.pid) for count, one in zip(looks, started, strict=True)]
        if max(looks) * POLL > patience:
            return None
        time.sleep(POLL)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, as by SIGSTOP or a debugger; False where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False


def _wait(processes: Sequence[Popen[bytes]], seconds: float) -> None:
    end = time.monotonic() + seconds
    while any(one.poll() is None for one in processes) and time.monotonic() < end:
        time.sleep(POLL)


def _failure(
    started: Sequence[Popen[bytes]], failed: int | None, stopped: Sequence[int], passed: Sequence[int]
) -> UserError | SystemExit:
    """What to end with."""
    parts = [f"rank {rank} of {len(started)} was stopped, as by SIGSTOP" for rank in stopped]
    if failed is not None:
        status = started[failed].returncode
        if status > FAILED or -status in passed:  # it saved its state after a signal, or had none yet
            return SystemExit(status if status > 0 else FAILED - status)
        how = f"killed by signal {-status}" if status < 0 else f"status {status}"
        parts.append(f"rank {failed} of {len(started)} ended{'' if stopped else ' first'}, {how}")
    return UserError(
        f"{', '.join(parts)}, and the others were ended; once what it said is mended, type the same command again, "
        "which goes on from the last checkpoint"
    )
