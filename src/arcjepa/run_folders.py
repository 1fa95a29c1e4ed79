"""Folders of runs, .../NAME/seedN, and the JSON that jobs leave in them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from arcjepa.errors import UserError


def by_name(files: Iterable[Path | str]) -> dict[str, list[Path]]:
    """The folders of these files, .../NAME/seedN/FILE, by the name of the phase, scenario or control, in order."""
    folders: dict[str, list[Path]] = {}
    for path in map(Path, files):
        folders.setdefault(path.parts[-3], []).append(path.parent)
    return folders


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file that a job wrote. Errors: UserError naming the file where it is no JSON."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run the workflow") from None
    return content
