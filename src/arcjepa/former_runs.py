"""The encoder and record of a run that is trained again, kept in its folder `former` until the new ones are complete.

Snakemake deletes the outputs of a job before it starts, and rightly calls nothing current that is not from its last
success; but what may have taken hours on a GPU should not be gone because of a typo.
"""

import shutil
from pathlib import Path

from arcjepa.errors import UserError

FILES = ("encoder.safetensors", "epochs.csv", "steps.csv", "losses.csv", "run.json")
FORMER = "former"


def is_complete(folder: Path) -> bool:
    """Whether a run was trained to its end."""
    return all((folder / name).is_file() for name in FILES)


def keep_former(folder: Path) -> None:
    """Copy a complete run aside, in place of what was kept before; nothing happens to one that is not complete.

    Errors: UserError where it cannot be written; the run, and what was kept before, are as they were.
    """
    if is_complete(folder):
        aside = folder / f".{FORMER}"
        try:
            _copy(folder, aside)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise UserError(
                f"{aside}: cannot be written: {error.strerror or error}; make room, or the folder writable, and type "
                "the same command again; nothing was deleted"
            ) from None
        shutil.rmtree(folder / FORMER, ignore_errors=True)
        aside.rename(folder / FORMER)


def _copy(folder: Path, aside: Path) -> None:
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for name in FILES:
        shutil.copy2(folder / name, aside / name)


def settle_former(runs: Path) -> list[Path]:
    """Delete what was kept of the runs that are complete now; returns where the others are kept, sorted.

    `runs`: the folder of one scale, with runs at <phase>/seed<n>.
    """
    kept = []
    for former in sorted(runs.glob(f"*/*/{FORMER}")):
        if is_complete(former.parent):
            shutil.rmtree(former)
        else:
            kept.append(former)
    return kept
