"""Folders of runs, .../NAME/seedN, and the JSON that jobs leave in them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from arcjepa.errors import UserError
from arcjepa.files import remake, show_value
from arcjepa.vouchers import is_as_written


def by_name(files: Iterable[Path | str]) -> dict[str, list[Path]]:
    """The folders of these files, .../NAME/seedN/FILE, by the name of the phase, scenario or control, in order."""
    folders: dict[str, list[Path]] = {}
    for path in map(Path, files):
        folders.setdefault(path.parts[-3], []).append(path.parent)
    return folders


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file that a job wrote. Errors: UserError naming the file where it is not as written."""
    again = f"make it again with `{remake(path)}`"
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; {again}") from None
    except (ValueError, RecursionError) as error:  # of JSON and of UTF-8
        raise UserError(f"{path}: not valid JSON ({error}); {again}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {show_value(content)} in place of an object; {again}")
    if not is_as_written(content, path.name):
        raise UserError(f"{path}: is not what was written there, by the SHA-256 that it records of itself; {again}")
    return content
