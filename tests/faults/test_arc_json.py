"""Malformed ARC JSON through the door that a user has: one line with file, task, pair, row and column, and no good task
refused."""

import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amounts import amount, examples, fault
from hypothesis import given
from hypothesis import strategies as st
from test_tasks import CASES, GRIDS, task_text
from token_cases import random_grid

from arcjepa.errors import UserError
from arcjepa.tasks import load_collection, parse_grid, task_to_json
from arcjepa.users import load_users

MORE = {
    "byte order mark twice": b"\xef\xbb\xbf\xef\xbb\xbf{}",
    "utf-16": task_text().encode("utf-16"),
    "utf-32": task_text().encode("utf-32"),
    "latin-1": '{"é": 1}'.encode("latin-1"),
    "nul": task_text().encode() + b"\0",
    "nothing but nul": bytes(4096),
    "cut within a character": '{"é'.encode()[:-1],
    "lone surrogate": b'{"\xed\xa0\x80": {}}',
    "two documents": f"{task_text()}\n{task_text()}".encode(),
    "half a literal": b'{"train": [{"input": [[tru',
    "minus nan": task_text(train='[{"input": [[-NaN]], "output": [[1]]}]').encode(),
    "minus infinity": task_text(train='[{"input": [[-Infinity]], "output": [[1]]}]').encode(),
    "minus zero point": task_text(train='[{"input": [[-0.0]], "output": [[1]]}]').encode(),
    "hexadecimal": task_text(train='[{"input": [[0x1]], "output": [[1]]}]').encode(),
    "leading zero": task_text(train='[{"input": [[01]], "output": [[1]]}]').encode(),
    "trailing comma": task_text(train='[{"input": [[1,]], "output": [[1]]}]').encode(),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "gzip": b"\x1f\x8b\x08" + bytes(64),
    "pickle": b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "yaml": b"train:\n- input: [[1]]\n",
    "html": b"<html><body>404</body></html>",
    "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "merge conflict": b"<<<<<<< HEAD\n" + task_text().encode() + b"\n=======\n",
}
NAMED = {name: text.encode() for name, (text, _) in CASES.items()} | MORE
BAD = (10, -1, 2**31, 2**63, -(2**70), 10**30, 0.5, 3.0, 1e300, float("nan"), float("inf"), True, False, None, "1", "")
BAD += ([1], {}, [], {"a": 1})
"""Values that are no colour."""


def problems_of(folder: Path, content: bytes, good: str = task_text()) -> list[str]:
    """What is said of a file beside a good one, of which the task is kept."""
    users = folder / "user"
    shutil.rmtree(users, ignore_errors=True)
    (users / "mine").mkdir(parents=True)
    (users / "mine/bad.json").write_bytes(content)
    (users / "mine/good.json").write_text(good)
    mine = load_users(users)["mine"]
    assert "good" in [task.id for task in mine.tasks]
    for line in mine.problems:
        assert line.isprintable()
        assert len(line) < 400
        assert line.startswith(f"{users}/mine/bad.json: ")
    return mine.problems


@pytest.mark.parametrize("name", NAMED)
@fault("malformed ARC JSON, named cases")
def test_a_malformed_file_is_one_line_and_the_good_one_beside_it_is_read(tmp_path: Path, name: str) -> None:
    found = problems_of(tmp_path, NAMED[name])
    assert len(found) == 1


@pytest.mark.parametrize("name", GRIDS)
@fault("malformed ARC JSON, named cases")
def test_the_place_of_a_bad_grid_is_told(tmp_path: Path, name: str) -> None:
    (line,) = problems_of(tmp_path, NAMED[name])
    assert "bad.json: task 'bad': train pair 1, input" in line


def test_there_are_as_many_cases_as_promised() -> None:
    assert len(NAMED) >= 40


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_every_bad_cell_is_found_where_it_is(tmp_path: Path, part: str, side: str) -> None:
    rng = random.Random(f"{part} {side}")
    for value in BAD * amount(1, 10):
        pairs = [[drawn_grid(rng).tolist() for _ in range(2)] for _ in range(rng.randint(1, 4))]
        task = {
            "train": [dict(zip(("input", "output"), pair, strict=True)) for pair in pairs],
            "test": [{"input": [[0]], "output": [[0]]}],
        }
        task[part] = copy.deepcopy(task["train"])
        pair = rng.randrange(len(pairs))
        grid = task[part][pair][side]
        row, column = rng.randrange(len(grid)), rng.randrange(len(grid[0]))
        grid[row][column] = value
        (line,) = problems_of(tmp_path, json.dumps(task).encode())
        place = f"bad.json: task 'bad': {part} pair {pair}, {side}, row {row}, column {column}: "
        assert place in line, line


def drawn_grid(rng: random.Random) -> np.ndarray:
    return random_grid(rng.randrange(2**32))


# --- by an oracle: what is a task is written down a second time, in other words


def is_grid(value: Any) -> bool:
    if type(value) is not list or len(value) not in range(1, 31) or any(type(row) is not list for row in value):
        return False
    widths = {len(row) for row in value}
    if len(widths) != 1 or widths.pop() not in range(1, 31):
        return False
    return {(type(cell), cell in range(10)) for row in value for cell in row if not unhashable(cell)} == {
        (int, True)
    } and (not any(unhashable(cell) for row in value for cell in row))


def unhashable(value: Any) -> bool:
    return isinstance(value, list | dict)


def is_task(value: Any) -> bool:
    if not isinstance(value, dict) or not all(isinstance(value.get(part), list) and value[part] for part in PARTS):
        return False
    pairs = [(part, pair) for part in PARTS for pair in value[part]]
    return all(
        isinstance(pair, dict)
        and is_grid(pair.get("input"))
        # A test without an output is hidden, which is no fault.
        and (is_grid(pair.get("output")) or (part == "test" and "output" not in pair))
        for part, pair in pairs
    )


PARTS = ("train", "test")
cells = st.integers(0, 9) | st.sampled_from(BAD)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def nearly_tasks(draw: st.DrawFn) -> Any:
    """A good task, and up to three faults put into it anywhere."""
    rng = random.Random(draw(seeds))
    task: dict[str, Any] = {
        part: [
            {side: random_grid(rng.randrange(2**32))[:5, :5].tolist() for side in ("input", "output")}
            for _ in range(rng.randint(1, 3))
        ]
        for part in PARTS
    }
    for _ in range(draw(st.integers(0, 3))):
        mutate(task, rng, draw(cells))
    return task


def mutate(task: Any, rng: random.Random, value: Any) -> None:
    """Put `value` somewhere, or drop or repeat what is there."""
    node, steps = task, rng.randint(1, 6)
    for _ in range(steps):
        inside = list(node.values()) if isinstance(node, dict) else node
        deeper = [child for child in inside if isinstance(child, list | dict) and child]
        if not deeper or rng.random() < 0.15:
            break
        node = rng.choice(deeper)
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    if not keys:  # an earlier fault emptied it
        return
    key = rng.choice(keys)
    action = rng.choice(("replace", "drop", "repeat"))
    if action == "replace":
        node[key] = copy.deepcopy(value)  # as it may itself be changed by the next fault
    elif action == "drop":
        del node[key]
    elif isinstance(node, list):
        node.extend(copy.deepcopy([node[key]] * rng.choice((1, 1, 30))))


@fault("malformed ARC JSON, random", amount(300, 10_000))
@examples()
@given(data=nearly_tasks())
def test_a_task_is_read_where_it_is_one_and_named_where_it_is_none(tmp_path: Path, data: Any) -> None:
    content = json.dumps(data).encode()
    problems = problems_of(tmp_path, content)
    assert len(problems) == (not is_task(data)), (problems, data)
    if problems and ("row" in problems[0] or " pair " in problems[0]):
        assert "bad.json: task 'bad': " in problems[0]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | cells,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["train", "test", "input", "output", "a", "", "\n"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@fault("malformed ARC JSON, random", amount(300, 10_000))
@examples()
@given(data=anything, text=st.none() | st.binary(max_size=80), cut=st.integers(0, 200))
def test_whatever_lies_there_is_tasks_or_lines(tmp_path: Path, data: Any, text: bytes | None, cut: int) -> None:
    content = json.dumps(data).encode() if text is None else text
    problems_of(tmp_path, content)
    problems_of(tmp_path, content[: len(content) * cut // 200])


@examples()
@given(st.lists(st.lists(cells, max_size=4), max_size=4) | cells)
def test_grids_are_what_the_oracle_says(data: Any) -> None:
    if is_grid(data):
        assert parse_grid(data, "here").tolist() == data
    else:
        with pytest.raises(UserError, match=r"^here"):
            parse_grid(data, "here")


@fault("good tasks that no check refuses", amount(60, 1000))
@examples(few=60, many=1000)
@given(seed=seeds)
def test_no_good_task_is_refused(tmp_path: Path, seed: int) -> None:
    """Every side from 1 to 30, every colour, and what is nothing but background."""
    rng = random.Random(seed)
    task = {
        part: [
            {"input": drawn_grid(rng).tolist(), "output": drawn_grid(rng).tolist()} for _ in range(rng.randint(1, 5))
        ]
        for part in PARTS
    }
    path = tmp_path / "good.json"
    path.write_text(json.dumps(task, indent=rng.choice((None, 1))))
    found = load_collection(path)
    assert found.problems == []
    assert [task_to_json(one) for one in found.tasks] == [task]
