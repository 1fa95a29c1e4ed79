"""Who is trained on and who is tested: the role of every real task, and a report of what overlaps.

| split        | tasks                                                                              |
|--------------|------------------------------------------------------------------------------------|
| `training`   | the pool (ARC-AGI-2 training without any ARC-AGI-1 evaluation id) minus validation, |
|              | and the user's sets that were opted in, minus what overlaps an evaluation task      |
| `validation` | a fraction of the pool, by task                                                     |
| `arc1`       | ARC-AGI-1 evaluation                                                                |
| `arc2`       | ARC-AGI-2 evaluation without the ids that are in `arc1`                             |
| `<name>`     | each set of the user's that was not opted into training                             |
"""

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from arcjepa.canonical import Overlaps, find_overlaps
from arcjepa.errors import UserError
from arcjepa.files import show
from arcjepa.sources import Subsets
from arcjepa.tasks import Collection, Task, is_joined_solutions, load_collection

EVALUATION = ("validation", "arc1", "arc2")
RESERVED_PREFIXES = ("synthetic-", "candidates-")
RESERVED = {"training", *EVALUATION, "rearc", "synthetic", "heldout", "pool", "calibration", "user"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# So many problems of a set are shown, the rest are counted.
MAX_SHOWN = 5

Splits = dict[str, list[Task]]


def make_splits(
    arckit: dict[str, Subsets],
    users: dict[str, Collection],
    in_training: Sequence[str] = (),
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Splits, dict[str, Any]]:
    """The tasks of every split, in the order of the table above, and a report that JSON can hold.

    `users` is what `load_users` gives, `in_training` names those to train on. A task that is trained on has
    the id "<name>/<id>". UserError if `in_training` names no set.
    """
    if unknown := sorted(set(in_training) - set(users)):
        found = ", ".join(users) or "none"
        raise UserError(f"user sets to train on: {show(unknown[0])} is not in data/raw/user; allowed: {found}")
    splits = arc_splits(arckit, validation_fraction, seed)
    splits |= {name: users[name].tasks for name in users if name not in in_training}
    tested = [task for name in splits if name != "training" for task in splits[name]]
    kept_out = {name: find_overlaps(users[name].tasks, tested) for name in in_training}
    overlaps = _overlaps(splits, {name: users[name].tasks for name in users})
    for name in in_training:
        kept = [task for task in users[name].tasks if task.id not in kept_out[name]]
        splits["training"] = splits["training"] + [replace(task, id=f"{name}/{task.id}") for task in kept]
    report = {
        "validation_fraction": validation_fraction,
        "seed": seed,
        "splits": {name: count(tasks) for name, tasks in splits.items()},
        "overlaps": overlaps,
        "user": {name: _user_report(users[name], kept_out.get(name)) for name in users},
    }
    return splits, report


def arc_splits(arckit: dict[str, Subsets], validation_fraction: float, seed: int) -> Splits:
    """Training, validation, arc1 and arc2 from what `load_arckit` gives."""
    arc1 = arckit["arcagi1"]["evaluation"]
    known = {task.id for task in arc1}
    pool = [task for task in arckit["arcagi2"]["training"] if task.id not in known]
    arc2 = [task for task in arckit["arcagi2"]["evaluation"] if task.id not in known]
    held = {task.id for task in pool if is_validation(task.id, validation_fraction, seed)}
    return {
        "training": [task for task in pool if task.id not in held],
        "validation": [task for task in pool if task.id in held],
        "arc1": arc1,
        "arc2": arc2,
    }


def is_validation(task_id: str, fraction: float, seed: int) -> bool:
    """Whether a task of the pool is held out: by its id and the seed alone, so no other task moves it."""
    digest = hashlib.sha256(f"validation {seed} {task_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def load_users(folder: str | Path) -> dict[str, Collection]:
    """The user's sets by name, sorted: each folder below `folder`, and each JSON file directly in it.

    UserError if a name cannot be used, or if a set holds nothing good: its problems, one a line.
    Problems beside good tasks stay in `Collection.problems`, and are warnings on stderr.
    """
    return {name: _load_set(path) for name, path in user_paths(folder).items()}


def user_paths(folder: str | Path) -> dict[str, Path]:
    """Where the user's sets lie, by name, sorted; nothing is read. UserError if a name cannot be used."""
    root = Path(folder)
    entries = sorted(path for path in root.iterdir() if _is_set(path)) if root.is_dir() else []
    paths: dict[str, Path] = {}
    for path in entries:
        if not (path.is_file() or path.is_dir()):
            raise UserError(f"{show(path)}: is no file and no folder; allowed: JSON files and folders; move it away")
        if is_joined_solutions(path, entries):
            continue
        name = path.name if path.is_dir() else path.stem
        _check_name(name, path, paths)
        paths[name] = path
    return paths


def _is_set(path: Path) -> bool:
    lost = path.is_symlink() and not path.exists()
    return not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() == ".json" or lost)


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


def _load_set(path: Path) -> Collection:
    collection = load_collection(path)
    if not collection.tasks:
        problems = collection.problems
        head = f"{show(path)}: no good task in it, {len(problems)} problems; mend it or move it away"
        raise UserError("\n".join([head, *_first(problems)]))
    hidden = sum(collection.hidden_tests.values())
    notes = [f"{show(path)}: {hidden} test pairs without output left out"] if hidden else []
    for line in [*_first(collection.problems), *notes]:
        print(f"warning: {line}", file=sys.stderr)
    return collection


def _first(problems: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(problems) - MAX_SHOWN
    return problems[:MAX_SHOWN] + ([f"... and {more} more problems in this set"] if more > 0 else [])


def count(tasks: Sequence[Task]) -> dict[str, int]:
    """How many tasks, pairs and frames."""
    pairs = sum(len(task.pairs) for task in tasks)
    return {"tasks": len(tasks), "pairs": pairs, "frames": 2 * pairs}


def _overlaps(splits: Splits, users: Splits) -> dict[str, dict[str, Overlaps]]:
    """{set: {other set: {task id: ids there that share a pair up to D8 and colours}}}, empty ones left out.

    Looked at: training against every evaluation split, these against each other, and the user's sets
    against all of them and training.
    """
    real = {name: splits[name] for name in ("training", *EVALUATION)}
    ranked = list(real)
    wanted = [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1 :]]
    wanted += [(name, other) for name in users for other in ranked]
    result: dict[str, dict[str, Overlaps]] = {}
    for name, other in wanted:
        tasks = users[name] if name in users else real[name]
        if found := find_overlaps(tasks, real[other]):
            result.setdefault(name, {})[other] = found
    return result


def _user_report(collection: Collection, kept_out: Overlaps | None) -> dict[str, Any]:
    """What became of one set; `kept_out` is None where it is a test set."""
    return {
        **count(collection.tasks),
        "in_training": kept_out is not None,
        "kept_out": sorted(kept_out or {}),
        "hidden_tests": collection.hidden_tests,
        "problems": collection.problems,
    }
