"""Every count that is told of a data set stands in data.csv."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from arcjepa.data_settings import TokenSettings
from arcjepa.frames import Frames
from arcjepa.inventory import COUNTS, data_table
from arcjepa.splits import REAL, make_splits
from arcjepa.tables import write_table
from arcjepa.tasks import Collection, Pair, Task
from arcjepa.tokens import Tokens, tokenise

MAX_TASKS = 3
SETTINGS = TokenSettings(connectivity=8, background="most_frequent", max_objects=16)


def task(name: str, train: int, test: int, seed: int) -> Task:
    """A task of random pairs, which is like no other of another seed."""
    grids = np.random.default_rng(seed).integers(0, 10, (train + test, 2, 5, 5), dtype=np.uint8)
    pairs = [Pair(*both) for both in grids]
    return Task(name, tuple(pairs[:train]), tuple(pairs[train:]))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    pool = [task(f"t{i}", 3, 1, 10 + i) for i in range(8)]
    arc = {"arcagi1": {"evaluation": [task("e1", 3, 1, 1)]}, "arcagi2": {"evaluation": [], "training": pool}}
    mine = [task("b", 2, 2, 30), task("a", 1, 1, 31), task("c", 2, 0, 32), task("d", 2, 1, 33)]
    yours = [task("copy", 3, 1, 1), task("same", 2, 1, 33), task("lone", 1, 0, 34), task("new", 2, 1, 35)]
    users = {
        "mine": Collection(mine, problems=["a problem"], hidden_tests={"c": 2}, ignored=["a.zip", "b.txt"]),
        "yours": Collection(yours, hidden_tests={"lone": 1}),
    }
    splits, report = make_splits(arc, users, ["yours"], 0.2)
    splits |= {"heldout": [task("h", 3, 0, 50)], "synthetic-000": [task("s", 3, 0, 51)]}
    return data_table({name: tokens(tasks) for name, tasks in splits.items()}, report, MAX_TASKS).set_index("set")


def tokens(tasks: list[Task]) -> Tokens:
    return tokenise(Frames.from_tasks(tasks), SETTINGS)


def row(table: pd.DataFrame, name: str, *columns: str) -> list[Any]:
    return [None if pd.isna(value) else value for value in table.loc[name, list(columns)]]


def test_every_set_has_a_row_and_a_role(table: pd.DataFrame) -> None:
    roles = {name: "training" for name in ("training", "synthetic-000", "yours")} | {"validation": "validation"}
    assert table["role"].to_dict() == roles | dict.fromkeys(("arc1", "arc2", "mine", "heldout"), "test")


def test_what_is_not_ranked_is_counted(table: pd.DataFrame) -> None:
    columns = ("tasks", "unranked", "cut_tasks", "queries", "one_demonstration", "lone_pairs")
    # Of a, b and c, the first three by id: one, two and no test pairs.
    assert row(table, "mine", *columns) == [4, 1, 1, 3, 1, 0]
    assert row(table, "heldout", "unranked", "cut_tasks", "queries") == [None] * 3


def test_what_was_not_read_is_counted(table: pd.DataFrame) -> None:
    columns = ("hidden_tests", "problems", "ignored_files", "kept_out")
    assert row(table, "mine", *columns) == [2, 1, 2, None]
    assert row(table, "yours", *columns) == [1, 0, 0, 2]
    assert row(table, "arc1", *columns) == [None] * 4
    assert row(table, "yours", "tasks", "frames", "lone_pairs", "max_objects") == [4, 22, 1, None]


def test_overlaps_are_counted_in_the_rows_of_both(table: pd.DataFrame) -> None:
    columns = [f"overlap_{name}" for name in (*REAL, "user")]
    assert row(table, "yours", *columns) == [0, 0, 1, 0, 1]
    assert row(table, "mine", *columns) == [0, 0, 0, 0, 1]
    assert row(table, "arc1", *columns) == [0, 0, None, 0, 1]
    assert row(table, "synthetic-000", *columns) == [None] * 5


def test_counts_stay_whole_numbers_in_a_file(table: pd.DataFrame, tmp_path: Path) -> None:
    assert (table[["frames", "components", "merged_cells", *COUNTS]].dtypes == "Int64").all()
    write_table(tmp_path / "data.csv", table.reset_index())
    read = pd.read_csv(tmp_path / "data.csv", dtype=str, keep_default_na=False)
    assert set(COUNTS) < set(read)
    assert all(value == "" or value.isdigit() for name in COUNTS for value in read[name])
