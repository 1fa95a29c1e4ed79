"""The flat store of grids gives back what went in, and its files are checked."""

import contextlib
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcjepa.errors import UserError
from arcjepa.frames import Frames, Grids, load_frames, save_frames
from arcjepa.tasks import Pair, Task, same_pairs


def random_grid(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 10, rng.integers(1, 31, 2), dtype=np.uint8)


def random_tasks(seed: int, n_tasks: int) -> list[Task]:
    """Tasks of 0 to 4 demonstrations and 0 to 2 tests."""
    rng = np.random.default_rng(seed)

    def some(most: int) -> tuple[Pair, ...]:
        return tuple(Pair(random_grid(rng), random_grid(rng)) for _ in range(rng.integers(0, most + 1)))

    return [Task(f"täsk {i}", some(4), some(2), rule=f"rule {i}" if i % 2 else "") for i in range(n_tasks)]


def assert_same(found: list[Task], expected: list[Task]) -> None:
    assert [(task.id, task.rule) for task in found] == [(task.id, task.rule) for task in expected]
    assert all(same_pairs(a, b) for a, b in zip(found, expected, strict=True))


stores = st.builds(random_tasks, st.integers(0, 2**32), st.integers(0, 6))


@given(stores)
def test_tasks_come_back(tasks: list[Task]) -> None:
    frames = Frames.from_tasks(tasks)
    assert_same(frames.tasks(), tasks)
    assert len(frames) == 2 * frames.n_pairs == 2 * sum(len(task.pairs) for task in tasks)
    assert np.diff(frames.task_start).tolist() == [len(task.pairs) for task in tasks]


@given(stores, st.data())
def test_select_and_concat_are_those_of_lists(tasks: list[Task], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(tasks) - 1), max_size=8)) if tasks else []
    frames = Frames.from_tasks(tasks)
    assert_same(frames.select(chosen).tasks(), [tasks[i] for i in chosen])
    both = Frames.concat([frames.select(chosen), frames])
    assert_same(both.tasks(), [tasks[i] for i in chosen] + tasks)
    assert both.pair_task.dtype == np.int32
    assert both.cells.dtype == np.uint8


def test_grids_by_index() -> None:
    rng = np.random.default_rng(0)
    grids = [random_grid(rng) for _ in range(5)]
    packed = Grids.from_list(grids)
    for found, expected in zip(packed, grids, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(packed.take(np.array([3, 3, 0]))[2], grids[0])
    with pytest.raises(IndexError):
        packed[5]
    assert len(Grids.from_list([])) == 0


@pytest.mark.parametrize("grid", [np.zeros((0, 1)), np.zeros((31, 1), int), np.zeros(3, int), np.full((1, 1), 10)])
def test_what_is_no_grid_is_refused(grid: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"allowed|colours"):
        Grids.from_list([grid])


def test_floats_are_no_colours() -> None:
    with pytest.raises(ValueError, match="float64"):
        Grids.from_list([np.zeros((2, 2))])


def test_files_are_the_same_bytes_and_come_back(tmp_path: Path) -> None:
    tasks = random_tasks(1, 8)
    save_frames(tmp_path / "new" / "a.npz", Frames.from_tasks(tasks))
    save_frames(tmp_path / "b.npz", Frames.from_tasks(random_tasks(1, 8)))
    assert (tmp_path / "new" / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert_same(load_frames(tmp_path / "b.npz").tasks(), tasks)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b.npz"]


def is_refused(path: Path, tasks: list[Task]) -> bool:
    """Whether the file is refused by name; if it is not, it still holds these tasks."""
    with contextlib.suppress(UserError):
        assert_same(load_frames(path).tasks(), tasks)
        return False
    with pytest.raises(UserError, match=path.name):
        load_frames(path)
    return True


@pytest.mark.slow
def test_every_damage_is_found_or_harmless(tmp_path: Path) -> None:
    tasks = [Task("a", (Pair(np.ones((2, 3), np.uint8), np.zeros((1, 1), np.uint8)),))]
    save_frames(tmp_path / "a.npz", Frames.from_tasks(tasks))
    whole = (tmp_path / "a.npz").read_bytes()
    rng = random.Random(0)
    path = tmp_path / "damaged.npz"
    refused = 0
    for trial in range(600):
        content = bytearray(whole)
        if trial % 2:
            del content[rng.randrange(len(whole)) :]
        else:
            content[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        refused += is_refused(path, tasks)
    assert refused > 400


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("cells", np.full(7, 10, np.uint8), "colour above 9"),
        ("cells", np.zeros(6, np.uint8), "6 cells for 7"),
        ("height", np.array([2, 0], np.uint8), "not within 1 to 30"),
        ("height", np.array([2], np.uint8), "1 heights and 2 widths"),
        ("pair_task", np.array([1], np.int32), "not ordered"),
        ("pair_is_test", np.zeros(2, bool), "2 marks"),
        ("rules", (), "0 rules"),
        ("task_ids", (3,), "no string"),
    ],
)
def test_inconsistent_files_are_refused(tmp_path: Path, field: str, value: object, expected: str) -> None:
    good = Frames.from_tasks([Task("a", (Pair(np.ones((2, 3), np.uint8), np.zeros((1, 1), np.uint8)),))])
    save = {**vars(good), field: value}
    bad = object.__new__(Frames)
    bad.__dict__.update({name: save[name] for name in Frames.__dataclass_fields__})
    save_frames(tmp_path / "a.npz", bad)
    with pytest.raises(UserError, match=expected):
        load_frames(tmp_path / "a.npz")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_frames(tmp_path / "none.npz")
    np.savez(tmp_path / "part.npz", cells=np.zeros(3, np.uint8))
    with pytest.raises(UserError, match="height"):
        load_frames(tmp_path / "part.npz")
    np.savez(tmp_path / "pickled.npz", cells=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="not a readable"):
        load_frames(tmp_path / "pickled.npz")
