"""The reader of ARC JSON: what it accepts, and one line for each thing that it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcjepa.files import MAX_FILE_BYTES
from arcjepa.tasks import Collection, load_collection, parse_task, task_to_json

GOOD_PAIR = '{"input": [[1, 2], [3, 4]], "output": [[5]]}'


def task_text(train: str = f"[{GOOD_PAIR}]", test: str = f"[{GOOD_PAIR}]") -> str:
    return f'{{"train": {train}, "test": {test}}}'


def grid_text(grid: str, side: str = "input") -> str:
    """A task whose second demonstration has this text as one of its grids."""
    other = "output" if side == "input" else "input"
    return task_text(train=f'[{GOOD_PAIR}, {{"{side}": {grid}, "{other}": [[0]]}}]')


GRIDS = {
    "ragged_short": ("[[1, 2], [3]]", "train pair 1, input, row 1: 1 columns; allowed: 2"),
    "ragged_long": ("[[1], [2, 3]]", "row 1: 2 columns; allowed: 1"),
    "colour_10": ("[[1, 2], [3, 10]]", "row 1, column 1: 10; allowed: an integer from 0 to 9"),
    "colour_minus_1": ("[[-1]]", "row 0, column 0: -1; allowed"),
    "colour_huge": ("[[1" + "0" * 50 + "]]", "row 0, column 0: 1000"),
    "empty_grid": ("[]", "train pair 1, input: a list of 0 in place of a grid; allowed: 1 to 30 rows"),
    "empty_row": ("[[]]", "input, row 0: a list of 0; allowed: a list of 1 to 30 colours"),
    "empty_rows": ("[[], []]", "row 0: a list of 0"),
    "empty_second_row": ("[[1], []]", "row 1: a list of 0"),
    "rows_31": (json.dumps([[0] * 30] * 31), "a list of 31 in place of a grid"),
    "columns_31": (json.dumps([[0] * 31] * 30), "row 0: a list of 31"),
    "both_31": (json.dumps([[0] * 31] * 31), "a list of 31"),
    "float": ("[[1, 0.5]]", "row 0, column 1: 0.5; allowed"),
    "whole_float": ("[[3.0]]", "column 0: 3.0; allowed"),
    "exponent": ("[[1e0]]", "column 0: 1.0; allowed"),
    "true": ("[[true]]", "column 0: true; allowed"),
    "false": ("[[0, false]]", "column 1: false; allowed"),
    "null_cell": ("[[null]]", "column 0: null; allowed"),
    "string_cell": ('[["1"]]', "column 0: the string '1'; allowed"),
    "nan": ("[[NaN]]", "column 0: nan; allowed"),
    "infinity": ("[[Infinity]]", "column 0: inf; allowed"),
    "overflowing_float": ("[[1e999]]", "column 0: inf; allowed"),
    "list_cell": ("[[[1]]]", "column 0: a list of 1; allowed"),
    "object_cell": ('[[{"a": 1}]]', "column 0: an object of 1; allowed"),
    "flat_grid": ("[1, 2]", "row 0: 1; allowed: a list"),
    "string_row": ('["12"]', "row 0: the string '12'; allowed: a list"),
    "string_grid": ('"12"', "input: the string '12' in place of a grid"),
    "null_grid": ("null", "input: null in place of a grid"),
    "number_grid": ("7", "input: 7 in place of a grid"),
    "object_grid": ("{}", "input: an object of 0 in place of a grid"),
    "nested_cell": ("[[" + "[" * 200 + "]" * 200 + "]]", "column 0: a list of 1"),
    "control_character": ('[["\\u0007\\n"]]', r"column 0: the string '\x07\n'"),
}
TASKS = {
    "no_train": (f'{{"test": [{GOOD_PAIR}]}}', "train is missing"),
    "no_test": (f'{{"train": [{GOOD_PAIR}]}}', "test is missing"),
    "empty_train": (task_text(train="[]"), "train is a list of 0"),
    "empty_test": (task_text(test="[]"), "test is a list of 0"),
    "train_object": (task_text(train="{}"), "train is an object of 0"),
    "train_null": (task_text(train="null"), "train is null"),
    "pair_list": (task_text(train="[[1, 2]]"), "train pair 0: a list of 2 in place of a pair"),
    "pair_null": (task_text(test="[null]"), "test pair 0: null in place of a pair"),
    "no_input": (task_text(train='[{"output": [[1]]}]'), "train pair 0: input is missing"),
    "no_output": (task_text(train='[{"input": [[1]]}]'), "train pair 0: output is missing"),
    "test_no_input": (task_text(test='[{"output": [[1]]}]'), "test pair 0: input is missing"),
    "test_bad_hidden": (task_text(test='[{"input": [[11]]}]'), "test pair 0, input, row 0, column 0: 11"),
    "test_bad_output": (
        task_text(test='[{"input": [[1]], "output": []}]'),
        "test pair 0, output: a list of 0",
    ),
    "twice_train": (f'{{"train": [], {task_text()[1:]}', "key 'train' comes twice"),
    "twice_input": (
        task_text(train='[{"input": [[1]], "input": [[2]], "output": [[1]]}]'),
        "train pair 0: key 'input' comes twice",
    ),
    "twice_id": (f'{{"a": {task_text()}, "a": {task_text()}}}', "key 'a' comes twice"),
    "id_empty": (f'{{"": {task_text()}}}', "task id ''; allowed: 1 to 200 printable"),
    "id_newline": (f'{{"a\\nb": {task_text()}}}', r"task id 'a\nb'; allowed"),
    "id_surrogate": (f'{{"\\ud800": {task_text()}}}', r"task id '\ud800'; allowed"),
    "id_long": (json.dumps({"x" * 201: {}}), "task id 'xxx"),
    "task_list": ('{"a": [1]}', "task 'a': a list of 1 in place of a task"),
    "task_null": ('{"a": null}', "task 'a': null in place of a task"),
    "no_tasks": ("{}", "holds no task"),
    "top_list": ("[]", "holds a list of 0"),
    "top_number": ("3", "holds 3"),
    "truncated": (task_text()[:-10], "not valid JSON"),
    "trailing": (task_text() + "]", "not valid JSON: Extra data"),
    "empty_file": ("", "not valid JSON"),
    "single_quotes": ("{'train': []}", "not valid JSON"),
    "comment": ("// tasks\n" + task_text(), "not valid JSON"),
    "digits": (grid_text("[[" + "1" * 5000 + "]]"), "not usable JSON"),
    "deep_lists": ("[" * 100_000, "nested too deeply"),
    "deep_objects": ('{"a":' * 100_000, "nested too deeply"),
    "deep_closed": ('{"train": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
}
CASES = {name: (grid_text(grid), message) for name, (grid, message) in GRIDS.items()} | TASKS


def refuse(path: Path) -> str:
    """The one line with which a file is refused."""
    message = load_collection(path).problems[0]
    assert message.isprintable()
    assert len(message) < 400
    assert message.startswith(str(path))
    return message


@pytest.mark.parametrize("name", CASES)
def test_malformed_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    text, expected = CASES[name]
    path = tmp_path / "t.json"
    path.write_text(text)
    assert expected in refuse(path)


@pytest.mark.parametrize("name", GRIDS)
def test_output_grids_are_checked_too(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(grid_text(GRIDS[name][0], side="output"))
    assert "task 't': train pair 1, output" in refuse(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        (task_text().encode("utf-16"), "not UTF-8"),
        (b'{"\xe9', "UTF-8"),
    ],
)
def test_other_encodings_are_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    assert expected in refuse(path)


def test_places_that_hold_no_task(tmp_path: Path) -> None:
    assert "no such file" in refuse(tmp_path / "none.json")
    assert "no .json file" in refuse(tmp_path)
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    assert "is no file" in load_collection(tmp_path).problems[0]
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    assert "split it" in refuse(tmp_path / "big.json")


def test_byte_order_mark_and_further_keys_are_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"name": "x", ' + task_text()[1:], encoding="utf-8-sig")
    (task,) = load_collection(path).tasks
    assert task.id == "t"
    np.testing.assert_array_equal(task.train[0].input, [[1, 2], [3, 4]])


def test_good_tasks_beside_bad_ones_are_kept(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "good.json").write_text(task_text())
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "many.json").write_text(f'{{"a": {task_text()}, "b": 3, "c": {task_text()}, "d": {{}}}}')
    (tmp_path / "._good.json").write_bytes(b"\x00\x05\x16")
    (tmp_path / "README.md").write_text("not a task")
    found = load_collection(tmp_path)
    assert [task.id for task in found.tasks] == ["good", "a", "c"]
    assert [Path(line.split(": ")[0]).name for line in found.problems] == [
        "bad.json",
        "many.json",
        "many.json",
    ]


def test_an_id_is_used_once(tmp_path: Path) -> None:
    for folder, colour in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.json").write_text(task_text(train=f'[{{"input": [[{colour}]], "output": [[0]]}}]'))
    (tmp_path / "z.json").write_text(f'{{"1": {task_text()}}}')
    found = load_collection(tmp_path)
    assert [task.id for task in found.tasks] == ["1", "c/1"]
    assert [Path(line.split(": ")[0]).relative_to(tmp_path).as_posix() for line in found.problems] == [
        "b/1.json",
        "z.json",
    ]


def test_hidden_test_outputs_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(task_text(test=f'[{{"input": [[1]]}}, {GOOD_PAIR}]'))
    found = load_collection(path)
    assert found.hidden_tests == {"t": 1}
    assert len(found.tasks[0].test) == 1


def test_kaggle_solutions_are_joined(tmp_path: Path) -> None:
    hidden = task_text(test='[{"input": [[1]]}]')
    (tmp_path / "x_challenges.json").write_text(f'{{"a": {hidden}, "b": {hidden}, "c": {hidden}}}')
    (tmp_path / "x_solutions.json").write_text('{"a": [[[7]]], "c": [[[7]], [[8]]]}')
    found = load_collection(tmp_path)
    assert found.tasks[0].test[0].output.tolist() == [[7]]
    assert found.hidden_tests == {"b": 1}
    assert len(found.problems) == 1
    assert "task 'c': solutions are a list of 2" in found.problems[0]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(task_text())
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    found = load_collection(tmp_path)
    assert len(found.tasks) == 1
    assert found.problems == []


grids = st.tuples(st.integers(1, 30), st.integers(1, 30)).flatmap(
    lambda size: st.integers(0, 2**32).map(
        lambda seed: np.random.default_rng(seed).integers(0, 10, size, dtype=np.uint8).tolist()
    )
)
pairs = st.lists(st.fixed_dictionaries({"input": grids, "output": grids}), min_size=1, max_size=3)


@given(st.fixed_dictionaries({"train": pairs, "test": pairs}))
def test_every_good_task_is_read_as_it_is(data: dict) -> None:
    task, hidden = parse_task("t", data, "here")
    assert task_to_json(task) == data
    assert hidden == 0
    assert all(grid.dtype == np.uint8 for pair in task.pairs for grid in (pair.input, pair.output))


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
keys = st.sampled_from(["train", "test", "input", "output", "a"])
anything = st.recursive(leaves, lambda x: st.lists(x, max_size=3) | st.dictionaries(keys, x, max_size=3))


@pytest.mark.slow
@given(anything | st.fixed_dictionaries({"train": anything, "test": anything}))
def test_any_json_gives_a_task_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    check_never_raises(tmp_path_factory, json.dumps(data).encode())


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,0123456789trainestipuo \n', max_size=60).map(str.encode))
def test_any_bytes_give_a_task_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    check_never_raises(tmp_path_factory, content)


def check_never_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    found = load_collection(path)
    assert isinstance(found, Collection)
    assert found.tasks or found.problems
    assert all(line.isprintable() for line in found.problems)


def test_the_table_is_as_long_as_promised() -> None:
    assert len(CASES) >= 40
