"""JSON files of unknown origin: found, read with limits, quoted in one line. Files written whole or not."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arcjepa.errors import UserError

# The parsed form of a hostile file takes about 20 times its size, so this bounds memory near one GiB.
MAX_FILE_BYTES = 64 * 2**20
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
            raise UserError(f"{show(path)}: not a readable file")
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise UserError(f"{show(path)}: {size} bytes; allowed: {MAX_FILE_BYTES} at most; split it")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{show(path)}: cannot be read: {error.strerror}") from error
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
    """Write a file that no reader ever sees half of, even after a crash; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def find_json(folder: Path, problems: list[str]) -> list[Path]:
    """The *.json files at any depth, sorted. Hidden ones are left out, links are followed once.

    A folder that cannot be read adds a line to `problems`.
    """

    def report(error: OSError) -> None:
        problems.append(f"{show(Path(error.filename))}: cannot be read: {error.strerror}")

    return sorted(_walk(folder, report))


def _walk(folder: Path, report: Any) -> Iterator[Path]:
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=report):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        # A copy from a Mac brings a hidden, binary "._name.json" beside each file.
        yield from (Path(here, name) for name in names if name.lower().endswith(".json") and name[0] != ".")


def show(text: str | Path) -> str:
    """A path (as it is, if printable) or a string (quoted, cut at 60 characters) for a one-line message."""
    plain = str(text)
    if isinstance(text, Path):
        return plain if plain.isprintable() else ascii(plain)
    cut = plain if len(plain) <= 60 else plain[:60] + "..."
    return repr(cut) if cut.isprintable() else ascii(cut)


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
