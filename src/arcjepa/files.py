"""JSON files of unknown origin: found, read with limits, quoted in one line. Files written whole, and vouched for.

Half a table is still a table, but half a JSON file is none: so the JSON file of a job holds, under `files`, the SHA-256
of the tables beside it.
"""

import errno
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from arcjepa.errors import UserError

# The parsed form of a hostile file takes about 20 times its size, so this bounds memory near one GiB.
MAX_FILE_BYTES = 64 * 2**20
MAX_NAMED = 5
VOUCHERS = dict.fromkeys(("losses.csv", "steps.csv", "epochs.csv"), "run.json") | {"scores.csv": "evaluation.json"}
"""Which file beside a table vouches for it."""
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR}
"""Errors that come from where files are, not from what is done with them."""
MADE = {"data": ("frames", "tokens"), "results": ("runs", "comparison", "encoders")}
"""Where a folder for each scale is."""
LITERALS = {None: "null", True: "true", False: "false"}


class JsonObject(dict[str, Any]):
    """A JSON object that remembers which of its keys came twice."""

    duplicates: tuple[str, ...] = ()


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file (UTF-8, with or without a byte order mark); UserError on anything else.

    Keys that come twice are left to `check_duplicates`, so that the caller can say in which task they are.
    """
    try:
        data = json.loads(_read_text(path), object_pairs_hook=_to_object)
    except RecursionError as error:
        raise UserError(f"{show(path)}: nested too deeply; allowed: the nesting of ARC tasks") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{show(path)}: not valid JSON: {error}; allowed: ARC tasks as JSON") from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        # Python refuses to convert integers of thousands of digits.
        raise UserError(f"{show(path)}: not usable JSON: {error}") from error
    if not isinstance(data, dict):
        raise UserError(f"{show(path)}: holds {show_value(data)}; allowed: a JSON object of ARC tasks")
    return data


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():
            raise UserError(f"{show(path)}: is no file, or a link to nothing; allowed: JSON files; remove it")
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise UserError(f"{show(path)}: {size} bytes; allowed: {MAX_FILE_BYTES} at most; split it")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{show(path)}: cannot be read: {error.strerror}; make it readable or remove it") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{show(path)}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


def _to_object(items: list[tuple[str, Any]]) -> JsonObject:
    result = JsonObject(items)
    if len(result) < len(items):
        counts = Counter(key for key, _ in items)
        result.duplicates = tuple(key for key in result if counts[key] > 1)
    return result


def check_duplicates(data: dict[str, Any], where: str) -> None:
    """UserError, beginning with `where`, if a key came twice in this JSON object."""
    if isinstance(data, JsonObject) and data.duplicates:
        raise UserError(f"{where}: key {show(data.duplicates[0])} comes twice; keys and task ids must differ")


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write a file that no reader ever sees half of, even after a crash; its folder is made if need be.

    Errors: OSError that names the file, and then what was there before is there still, with nothing beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """Have the names in a folder survive a loss of power, as fsync has the bytes of a file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unwritable(error: OSError) -> UserError | None:
    """What a job says of a disk that is full, read-only or gone; None where the error is of another kind."""
    if error.errno not in OF_THE_DISK:
        return None
    path = Path(error.filename or ".")
    return UserError(
        f"{path if error.filename else 'a file'}: {error.strerror}, {free(path)} MB free there; make room, or have the "
        "folder readable and writable, and type the same command again"
    )


def free(path: Path) -> int:
    """MB that are free where a file or folder is, or would be."""
    there = next(one for one in (path.absolute(), *path.absolute().parents) if os.path.exists(one))
    return shutil.disk_usage(there).free // 2**20


def write_json(path: Path, content: Any, sort_keys: bool = False) -> None:
    """Write JSON as `write_atomic` does, indented."""
    write_atomic(path, (json.dumps(content, indent=1, sort_keys=sort_keys) + "\n").encode())


def digests(folder: Path, voucher: str) -> dict[str, str]:
    """SHA-256 by name of the files in `folder` that `voucher` vouches for: what it holds under `files`."""
    names = [name for name, other in VOUCHERS.items() if other == voucher]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def remake(path: Path | str) -> str:
    """The command that makes a file again, as its path is in the project: at the scale that it names."""
    parts = Path(path).parts
    made = len(parts) > 3 and parts[:2] in {(room, kind) for room, kinds in MADE.items() for kind in kinds}
    return f"snakemake --force {path}" + (f" --config scale={parts[2]}" if made else "")


def read_bytes(path: Path) -> bytes:
    """The content of a file. Errors: OSError; also for a pipe or a device, which could be waited for without end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "is a pipe or a device, not a file", str(path))
    return path.read_bytes()


def read_vouched(path: Path) -> bytes:
    """A file as it was written; it is believed where nothing beside it vouches for it.

    UserError where it cannot be read, or is not what the file beside it recorded: cut short, edited or damaged.
    """
    again = f"make it again with `{remake(path)}`"
    voucher = path.with_name(VOUCHERS.get(path.name, path.name))
    try:
        content = read_bytes(path)
        record = json.loads(read_bytes(voucher)) if voucher != path and voucher.exists() else {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with `{remake(path)}`") from None
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}; {again}") from None
    except ValueError as error:  # of JSON and of UTF-8
        raise UserError(f"{voucher}: not valid JSON ({error}); {again}") from None
    recorded = record.get("files", {}).get(path.name) if isinstance(record, dict) else None
    if recorded is not None and recorded != hashlib.sha256(content).hexdigest():
        raise UserError(f"{path}: {len(content)} bytes that are not those that {voucher.name} recorded; {again}")
    return content


def find_files(folder: Path, problems: list[str] | None = None, within: Path | None = None) -> list[Path]:
    """All entries at any depth that are no folders, sorted. Hidden ones are left out, links are followed once.

    What is found may be no file: a pipe, a link to nothing, or one that leads out of `within` (by default the folder),
    which is not followed. A folder that cannot be read adds a line to `problems`.
    """

    def report(error: OSError) -> None:
        if problems is not None:
            where = f"{show(Path(error.filename))}: cannot be read: {error.strerror}"
            problems.append(f"{where}; make it readable or remove it")

    return sorted(_walk(folder, within or folder, report))


def _walk(folder: Path, within: Path, report: Callable[[OSError], None]) -> Iterator[Path]:
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=report):
        foreign = [name for name in folders if leads_out(Path(here, name), within)]
        folders[:] = [name for name in folders if not name.startswith(".") and name not in foreign]
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        # A copy from a Mac brings a hidden, binary "._name.json" beside each file.
        yield from (Path(here, name) for name in (*names, *foreign) if name[0] != ".")


def leads_out(path: Path, within: Path) -> bool:
    """Whether a path is a link to a place outside of a folder: whoever unpacks an archive has not chosen its links."""
    if not path.is_symlink():
        return False
    inside = os.path.realpath(within)
    return os.path.commonpath([os.path.realpath(path), inside]) != inside


def show(text: str | Path) -> str:
    """A path (as it is, if printable) or a string (quoted, cut at 60 characters) for a one-line message."""
    plain = str(text)
    if isinstance(text, Path):
        return plain if plain.isprintable() else ascii(plain)
    cut = plain if len(plain) <= 60 else plain[:60] + "..."
    return repr(cut) if cut.isprintable() else ascii(cut)


def enumerated(names: Sequence[str]) -> str:
    """The first five of printable names, each cut at 60 characters, and how many more there are."""
    more = len(names) - MAX_NAMED
    cut = [name if len(name) <= 60 else f"{name[:60]}..." for name in names[:MAX_NAMED]]
    return ", ".join([*cut, f"and {more} more"] if more > 0 else cut)


def counted(count: int, noun: str) -> str:
    """ "1 file", "2 files"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def show_value(value: Any) -> str:
    """A JSON value for a one-line message; never recurses, as hostile nesting would overflow the stack."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, str):
        return f"the string {show(value)}"
    if value is None or isinstance(value, bool):
        return LITERALS[value]
    return f"{value!r:.40}"
