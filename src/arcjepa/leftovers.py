"""What runs that were killed leave behind: locks, marks of incomplete outputs, temporary files."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from arcjepa.asking import read_small
from arcjepa.dvc_records import output_of

PLACES = ("data", "results", ".snakemake", "logs")
"""Where jobs write."""
TEMPORARY = re.compile(r"\..+\.(\d+)")
"""Names of `files.write_atomic`: .NAME.PROCESS."""


def locks(root: Path) -> list[Path]:
    """Snakemake's lock files of this folder. Errors: OSError where they cannot be listed."""
    return _files(root / ".snakemake/locks")


def _files(folder: Path) -> list[Path]:
    """At any depth, sorted; none where there is no folder. Errors: OSError for one that cannot be listed."""

    def report(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    return sorted(Path(here, name) for here, _, names in os.walk(folder, onerror=report) for name in names)


def is_stale(root: Path) -> bool:
    """Whether there are locks, and no Snakemake of this machine to hold them."""
    try:
        return bool(locks(root)) and not live_snakemakes(root)
    except OSError:  # Snakemake, which cannot read them either, says so itself
        return False


def live_snakemakes(root: Path) -> list[int]:
    """Processes of this machine that are Snakemake at work in this folder; this process and its parents left out."""
    here, own = root.resolve(), {os.getpid(), os.getppid()}
    found = []
    for process, words in _processes():
        if process in own or not any(Path(word).name == "snakemake" for word in words[:3]):
            continue
        try:
            at = Path(f"/proc/{process}/cwd").resolve(strict=True)
        except OSError:  # it ended, or is another user's
            continue
        if at == here:
            found.append(process)
    return sorted(found)


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Every process with its command line; none where the system does not tell."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        yield int(folder.name), [word.decode(errors="replace") for word in words if word]


def incomplete_outputs(root: Path) -> list[str]:
    """Outputs that Snakemake marked as begun and never as done. Errors: OSError where the marks cannot be listed."""
    folder = root / ".snakemake/incomplete"
    found = []
    for path in _files(folder):
        try:
            found.append(output_of(path.relative_to(folder)))
        except ValueError:  # not a mark of Snakemake's
            found.append(path.relative_to(root).as_posix())
    return found


def dead_writes(root: Path) -> list[Path]:
    """Temporary files of processes that are gone; those of a live one may be written right now."""
    found = []
    for place in PLACES:
        for here, folders, names in os.walk(root / place):
            folders[:] = [name for name in folders if name not in ("conda", "metadata")]
            marks = ((name, TEMPORARY.fullmatch(name)) for name in names)
            found += [Path(here, name) for name, mark in marks if mark and not is_alive(int(mark[1]))]
    return sorted(found)


def foreign_dvc_holders(root: Path) -> list[int]:
    """Processes that .dvc/tmp/rwlock names and that are others by now: dvc would wait for them, not for dead ones.

    Errors: OSError where that file cannot be read, ValueError where it is not as dvc writes it.
    """
    try:
        held = json.loads(read_small(root / ".dvc/tmp/rwlock") or "{}")
        writers, readers = held.get("write", {}), held.get("read", {})
        named = {int(one["pid"]) for one in (*writers.values(), *(one for some in readers.values() for one in some))}
    except FileNotFoundError:
        return []
    except (AttributeError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f".dvc/tmp/rwlock: {error}") from None
    return [process for process, words in _processes() if process in named and not any("dvc" in one for one in words)]


def is_alive(process: int) -> bool:
    """Whether there is such a process on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
