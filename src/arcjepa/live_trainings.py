"""Trainings that go on although the Snakemake that started them does not: killed, or cut off from its cluster's jobs.

Snakemake deletes the outputs of a job before it starts, and again when it fails: those that such a training is writing.
"""

import fcntl
import time
from collections.abc import Iterable
from pathlib import Path

from arcjepa.errors import UserError

OWNER = "owner"
"""In a folder of checkpoints: locked by the process that trains, whose text it is."""
SECONDS = 30.0
"""For one that is about to end."""
PAUSE = 0.2


def wait_for_trainings(folders: Iterable[Path], seconds: float = SECONDS) -> None:
    """Wait until no process trains with its checkpoints in one of `folders`.

    Errors: UserError naming those that still do after so many seconds; nothing of theirs was touched.
    """
    end, live = time.monotonic() + seconds, _live(folders)
    while live and time.monotonic() < end:
        time.sleep(PAUSE)
        live = _live(live)
    if live:
        told = "; ".join(
            f"{folder / OWNER}: {who} still trains this phase with this seed" for folder, who in live.items()
        )
        raise UserError(
            f"{told}; wait until it has ended, or end it, and type the same command again, which goes on from its last "
            "checkpoint; nothing was deleted"
        )


def _live(folders: Iterable[Path]) -> dict[Path, str]:
    """Of these the ones with a process that trains, and who that is."""
    found = {folder: _owner(folder / OWNER) for folder in folders}
    return {folder: who for folder, who in found.items() if who}


def _owner(path: Path) -> str:
    """Who holds the lock; "" where nobody does, or where files cannot be locked, of which a training warns itself."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read(200).decode(errors="replace") or "another process"
    except OSError:
        return ""
    return ""
