"""The table data.csv: what each data set holds, and what of it was refused, kept out, skipped or cut.

| column                        | tasks unless it says otherwise                                                      |
|-------------------------------|-------------------------------------------------------------------------------------|
| `set`, `role`                 | name; "training", "validation" or "test"                                            |
| `tasks`, `frames`             | what is used                                                                        |
| `max_objects` ...             | as `tokens.overflow_summary`; empty for a set of the user's that trains, as its     |
|                               | tokens are among those of `training`                                                |
| `lone_pairs`                  | with one pair only, from which nothing is learned                                   |
| `one_demonstration`           | with one demonstration, which are not in `retrieval_augmented`                      |
| `unranked`                    | of a test set without a test pair that has an output                                |
| `cut_tasks`                   | of a test set beyond `evaluation.max_tasks`, by id                                  |
| `queries`                     | test pairs that are ranked                                                          |
| `hidden_tests`                | test pairs left out, as they have no output                                         |
| `problems`, `ignored_files`   | refused files and tasks; files whose names do not end in .json                      |
| `kept_out`                    | not trained on, as they share a pair with a test                                    |
| `overlap_<set>`               | that share a pair with <set> up to symmetry and colours; `user`: with other sets of |
|                               | the user's                                                                          |

What does not apply to a set is empty.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.candidates import first_tasks
from arcjepa.splits import REAL
from arcjepa.tokens import Tokens, overflow_summary

TESTS = ("arc1", "arc2")
MADE = ("rearc", "heldout")
OVERLAPS = tuple(f"overlap_{name}" for name in (*REAL, "user"))
COUNTS = (
    *("lone_pairs", "one_demonstration", "unranked", "cut_tasks", "queries"),
    *("hidden_tests", "problems", "ignored_files", "kept_out", *OVERLAPS),
)


def data_table(stores: Mapping[str, Tokens], report: Mapping[str, Any], max_tasks: int) -> pd.DataFrame:
    """One row per data set. `stores`: tokens by name; `report`: splits.json; `max_tasks`: evaluation.max_tasks."""
    trained = [name for name, entry in report["user"].items() if entry["in_training"]]
    rows = [_stored_row(name, tokens, report, max_tasks) for name, tokens in stores.items()]
    table = pd.DataFrame([*rows, *(_trained_row(name, report) for name in trained)])
    shares = [name for name in table if str(name).endswith("_share")]
    return table.astype({name: "Int64" for name in table if name not in ("set", "role", *shares)})


def _stored_row(name: str, tokens: Tokens, report: Mapping[str, Any], max_tasks: int) -> dict[str, Any]:
    """Of a set that has tokens of its own."""
    tasks, user = len(tokens.task_ids), report["user"].get(name)
    role = "test" if user or name in TESTS + MADE else "validation" if name == "validation" else "training"
    tests = np.bincount(tokens.pair_task[tokens.pair_is_test], minlength=tasks)
    demonstrations = np.bincount(tokens.pair_task[~tokens.pair_is_test], minlength=tasks)
    row = {"set": name, "role": role, "tasks": tasks, **overflow_summary(tokens), **dict.fromkeys(COUNTS)}
    row["lone_pairs"] = int((tests + demonstrations == 1).sum())
    row["one_demonstration"] = int((demonstrations == 1).sum())
    if user or name in TESTS:
        ranked = first_tasks(tokens.task_ids, max_tasks)
        row |= {"unranked": int((tests == 0).sum()), "cut_tasks": tasks - len(ranked)}
        row["queries"] = int((tests * (demonstrations > 0))[ranked].sum())
    return row | _overlaps(name, report) | (_told(user) if user else {})


def _trained_row(name: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """Of a set of the user's that trains."""
    entry = report["user"][name]
    row: dict[str, Any] = {"set": name, "role": "training", "tasks": entry["tasks"], "frames": entry["frames"]}
    row |= {key: len(entry[key]) for key in ("lone_pairs", "one_demonstration", "kept_out")}
    return row | _overlaps(name, report) | _told(entry)


def _told(entry: Mapping[str, Any]) -> dict[str, int]:
    """What was not read of a set of the user's."""
    return {
        "hidden_tests": sum(entry["hidden_tests"].values()),
        "problems": len(entry["problems"]),
        "ignored_files": len(entry["ignored"]),
    }


def _overlaps(name: str, report: Mapping[str, Any]) -> dict[str, int]:
    """How many tasks of a real set share a pair with each of the others; made sets share none."""
    if name not in (*REAL, *report["user"]):
        return {}
    found = report["overlaps"].get(name, {})
    counts = {f"overlap_{other}": len(found.get(other, {})) for other in REAL if other != name}
    users = [shared for other, shared in found.items() if other in report["user"]]
    return counts | {"overlap_user": len(set().union(*users))}
