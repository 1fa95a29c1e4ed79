"""The user's sets of tasks: where they lie, what is read of them, and which of their files a workflow can watch."""

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from arcjepa.errors import UserError
from arcjepa.files import MAX_FILE_BYTES, find_files, leads_out, show
from arcjepa.tasks import Collection, is_joined_solutions, is_json, load_collection

RESERVED_PREFIXES = ("synthetic-", "candidates-", "near-misses-")
RESERVED = {
    *("training", "validation", "arc1", "arc2", "rearc", "synthetic", "heldout", "pool", "calibration", "user"),
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# So many problems of a set are shown, the rest are counted.
MAX_SHOWN = 5


def load_users(folder: str | Path) -> dict[str, Collection]:
    """The user's sets by name, sorted: each folder below `folder`, and each JSON file directly in it.

    UserError if a name cannot be used, or if a set holds nothing good: its problems, one a line.
    Problems beside good tasks stay in `Collection.problems`.
    """
    return {name: load_set(path) for name, path in user_paths(folder).items()}


def user_paths(folder: str | Path) -> dict[str, Path]:
    """Where the user's sets lie, by name, sorted; nothing is read. UserError if a name cannot be used."""
    entries = [path for path in _entries(Path(folder)) if _is_set(path)]
    paths: dict[str, Path] = {}
    for path in entries:
        if leads_out(path, Path(folder)):
            raise UserError(
                f"{show(path)}: is a link that leads out of {show(Path(folder))}; copy there what it leads to"
            )
        if not (path.is_file() or path.is_dir()):
            raise UserError(f"{show(path)}: is no file and no folder; allowed: JSON files and folders; move it away")
        if is_joined_solutions(path, entries):
            continue
        name = path.name if path.is_dir() else path.stem
        _check_name(name, path, paths)
        paths[name] = path
    return paths


def stray_files(folder: str | Path) -> list[Path]:
    """What lies directly in `folder` and is in no set, as its name does not end in .json; hidden files left out."""
    return [path for path in _entries(Path(folder)) if not _is_set(path)]


def _entries(root: Path) -> list[Path]:
    """What is in a folder, hidden entries left out, sorted; nothing where there is no folder."""
    try:
        return sorted(path for path in root.iterdir() if path.name[0] != ".")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{show(root)}: cannot be read: {error.strerror}; allowed: a folder of test sets") from None


def _is_set(path: Path) -> bool:
    lost = path.is_symlink() and not path.exists()
    return path.is_dir() or is_json(path) or lost


def _check_name(name: str, path: Path, others: dict[str, Path]) -> None:
    if not NAME.fullmatch(name):
        allowed = "1 to 64 letters, digits, - and _, a letter or digit first"
        raise UserError(f"{show(path)}: {show(name)} cannot name a test set; allowed: {allowed}; rename it")
    if name.lower() in RESERVED or name.lower().startswith(RESERVED_PREFIXES):
        reserved = ", ".join([*sorted(RESERVED), *(f"{prefix}..." for prefix in RESERVED_PREFIXES)])
        raise UserError(f"{show(path)}: {show(name)} is reserved; allowed: any name but {reserved}; rename it")
    for other in others:
        # Case matters too, because results/ may lie on a file system that ignores it.
        if other.lower() == name.lower():
            used = f"named as {show(others[other])}"
            raise UserError(f"{show(path)}: {used}; allowed: one set a name; rename it")


def load_set(path: Path) -> Collection:
    """One set. UserError if it holds nothing good: its problems, one a line."""
    collection = load_collection(path, path.parent)
    if not collection.tasks:
        problems = collection.problems
        head = f"{show(path)}: no good task in it, {len(problems)} problems; mend it or move it away"
        raise UserError("\n".join([head, *first_problems(problems)]))
    return collection


def first_problems(problems: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(problems) - MAX_SHOWN
    return problems[:MAX_SHOWN] + ([f"... and {more} more problems in this set"] if more > 0 else [])


def user_files(folder: str | Path) -> list[Path]:
    """Every file of the user's at any depth, those that are not read included; sorted, hidden ones left out."""
    root = Path(folder)
    inside = [
        find_files(path, within=root) if path.is_dir() and not leads_out(path, root) else [path]
        for path in _entries(root)
    ]
    return [file for files in inside for file in files]


def set_files(path: Path) -> list[Path]:
    """The files that are read for the set at `path`: what else lies beside them changes no task."""
    if path.is_dir():
        found = find_files(path, within=path.parent)
        return [file for file in found if is_json(file) or leads_out(file, path.parent)]
    return [path, *(other for other in _entries(path.parent) if is_joined_solutions(other, [path]))]


def watchable(files: Iterable[Path], within: str | Path) -> list[str]:
    """Those that can be inputs of a rule: readable, no link out of `within`, and without what Snakemake takes for a
    wildcard or refuses.

    The others are in `content_digest` all the same, and the job that reads them says what is wrong with them.
    """
    return [str(file) for file in files if _can_be_watched(file) and not leads_out(file, Path(within))]


def _can_be_watched(file: Path) -> bool:
    name = str(file)
    return name.isprintable() and not set("{}") & set(name) and file.is_file() and os.access(file, os.R_OK)


def content_digest(files: Iterable[Path], within: str | Path) -> str:
    """16 hex digits of names and contents; of what is not read, or leads out of `within`, names. Raises nothing."""
    total = hashlib.sha256()
    for file in sorted(files):
        content = b"leads out" if leads_out(file, Path(within)) else _content(file)
        for part in (os.fsencode(file), content):
            total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:16]


def _content(file: Path) -> bytes:
    """What a job would read; in place of it, why it could not."""
    try:
        # Opening a pipe would wait without end.
        if not is_json(file) or not stat.S_ISREG(file.stat().st_mode):
            return b"is not read"
        return file.read_bytes() if file.stat().st_size <= MAX_FILE_BYTES else b"is too large"
    except OSError as error:
        return f"cannot be read: {error.strerror}".encode()
