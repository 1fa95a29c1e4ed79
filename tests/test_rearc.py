"""RE-ARC pairs are a function of seed and id alone, and valid ARC."""

import random
import subprocess
import sys

import numpy as np
import pytest

from arcjepa import rearc
from arcjepa.errors import UserError
from arcjepa.rearc import generate_rearc, generate_task, generators
from arcjepa.tasks import Task, same_pairs

SOME = ["007bbfb7", "239be575", "72ca375d", "f9012d9b"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {task_id: generators()[task_id] for task_id in reversed(SOME)}
    monkeypatch.setattr(rearc, "generators", lambda: chosen)


def assert_same(found: list[Task], expected: list[Task]) -> None:
    assert [task.id for task in found] == [task.id for task in expected]
    assert all(same_pairs(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_two_runs_are_equal_whatever_the_order() -> None:
    first = generate_rearc(3, seed=4)
    assert [task.id for task in first] == SOME
    assert_same(first, generate_rearc(3, seed=4, workers=2))
    assert_same(first, [generate_task(task_id, 3, 4) for task_id in SOME])
    assert not any(same_pairs(a, b) for a, b in zip(first, generate_rearc(3, seed=5), strict=True))


def test_every_task_draws_its_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def noise(rng: random.Random, low: float, high: float) -> dict:
        return {side: [[rng.randrange(10) for _ in range(30)]] for side in ("input", "output")}

    monkeypatch.setattr(rearc, "generators", lambda: {"x": noise, "y": noise})
    x, y = generate_rearc(1)
    assert not same_pairs(x, y)


@pytest.mark.usefixtures("few")
def test_more_pairs_extend_the_list() -> None:
    few_pairs, more_pairs = generate_rearc(2, seed=1), generate_rearc(4, seed=1)
    assert_same(few_pairs, [Task(task.id, task.train[:2]) for task in more_pairs])


@pytest.mark.slow
def test_all_400_give_valid_grids() -> None:
    assert len(generators()) == 400
    for task in generate_rearc(pairs_per_task=1):
        for grid in (task.train[0].input, task.train[0].output):
            assert grid.dtype == np.uint8
            assert max(grid.shape) <= 30
            assert grid.max() <= 9


@pytest.mark.slow
def test_hash_seed_does_not_matter() -> None:
    code = "from arcjepa.rearc import generate_task as g; print(g('239be575', 3, 0).train[2].input.tolist())"
    runs = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        for env in ({"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)} for seed in ("1", "2"))
    ]
    assert runs[0] == runs[1] != ""


def test_too_large_grids_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = [[0] * 31], [[3]]
    drawn = iter(
        [
            {"input": large, "output": small},
            {"input": small, "output": large},
            {"input": small, "output": small},
        ]
    )
    monkeypatch.setattr(rearc, "generators", lambda: {"x": lambda rng, low, high: next(drawn)})
    assert generate_task("x", 1, 0).train[0].input.tolist() == small
    monkeypatch.setattr(rearc, "generators", lambda: {"x": lambda rng, low, high: {"input": large, "output": large}})
    with pytest.raises(UserError, match="task x gave no valid grid"):
        generate_task("x", 1, 0)


def test_the_stand_in_packages_are_gone() -> None:
    generators()["007bbfb7"](random.Random(0), 0.0, 1.0)
    assert not any(name.split(".")[0] == "reasoning_gym" for name in sys.modules)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"run: pip install --no-deps reasoning-gym==0\.1\.25"):
        generators.__wrapped__()
