"""ARC tasks, and a strict reader of the JSON files that hold them.

Three shapes of file are read: one task `{"train": [pair, ...], "test": [pair, ...]}`, named after its file;
many tasks `{id: task, ...}`; Kaggle's `*_challenges.json`, joined with the `*_solutions.json` beside it.
A pair is `{"input": grid, "output": grid}`, a grid 1 to 30 rows of 1 to 30 integers from 0 to 9.
Further keys are ignored. Indices in messages count from 0.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from arcjepa.errors import UserError
from arcjepa.files import JsonObject, check_duplicates, enumerated, find_files, leads_out, read_json, show, show_value

MAX_SIDE = 30
N_COLOURS = 10
MAX_ID_LENGTH = 200
TASK = '{"train": [pair, ...], "test": [pair, ...]}'
PAIR = '{"input": grid, "output": grid}'
CHALLENGES, SOLUTIONS = "_challenges.json", "_solutions.json"


@dataclass(frozen=True, eq=False)
class Pair:
    """One demonstration or test: two (H, W) uint8 grids, sides 1 to 30, colours 0 to 9."""

    input: np.ndarray
    output: np.ndarray


@dataclass(frozen=True, eq=False)
class Task:
    """One puzzle: pairs that share a rule. `rule` is the program of a synthetic task, "" if unknown."""

    id: str
    train: tuple[Pair, ...]
    test: tuple[Pair, ...] = ()
    rule: str = ""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Demonstrations, then tests."""
        return self.train + self.test


@dataclass(frozen=True, eq=False)
class Collection:
    """What a file or folder holds: the good tasks, and one line for each problem.

    `hidden_tests` counts, by task id, the test pairs that were left out because they have no output. `ignored`
    names the files of a folder that are not read, as they do not end in .json.
    """

    tasks: list[Task] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    hidden_tests: dict[str, int] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


def load_collection(path: str | Path, within: Path | None = None) -> Collection:
    """All tasks of a file, or of the *.json files at any depth of a folder, in the order of their paths.

    `within`: the folder that no link may lead out of, by default `path` or what it lies in.

    Raises nothing for bad content: every problem is a line of `problems`, and the good tasks are kept.
    Two files of one name in different folders that hold different tasks are told apart by their path.
    """
    root = Path(path)
    result = Collection()
    if not root.exists():
        result.problems.append(f"{show(root)}: no such file or folder")
        return result
    files, within = [root], within or (root if root.is_dir() else root.parent)
    if root.is_dir():
        found = find_files(root, result.problems, within)
        foreign = {file for file in found if leads_out(file, within)}
        result.problems.extend(_foreign(file, within) for file in sorted(foreign))
        found = [file for file in found if file not in foreign]
        files = [file for file in found if is_json(file)]
        result.ignored.extend(show(file.relative_to(root)) for file in found if not is_json(file))
    if not files and not result.problems:
        beside = f", but {enumerated(result.ignored)}" if result.ignored else ""
        empty = f"no .json file in it{beside}; put ARC tasks there as .json or remove the folder"
        result.problems.append(f"{show(root)}: {empty}")
    origin: dict[str, tuple[Path, Task]] = {}
    for file in files:
        if not is_joined_solutions(file, files):
            _add(result, origin, load_file(file, within), file, root)
    return result


def _foreign(file: Path, within: Path) -> str:
    return f"{show(file)}: is a link that leads out of {show(within)}; copy there what it leads to"


def is_json(path: Path) -> bool:
    """Whether the name is that of a file to read."""
    return path.suffix.lower() == ".json"


def _add(result: Collection, origin: dict[str, tuple[Path, Task]], loaded: Collection, file: Path, root: Path) -> None:
    """Move what `file` holds into `result`, where no id may come twice. `origin`: where each id came from."""
    result.problems.extend(loaded.problems)
    for found in loaded.tasks:
        task = found
        if task.id in origin and task.id == file.stem and not same_pairs(task, origin[task.id][1]):
            task = replace(task, id=file.relative_to(root).with_suffix("").as_posix())
        if task.id in origin:
            used = f"this id is already used in {show(origin[task.id][0])}; ids must differ"
            result.problems.append(f"{show(file)}: task {show(task.id)}: {used}")
            continue
        origin[task.id] = (file, task)
        result.tasks.append(task)
        if found.id in loaded.hidden_tests:
            result.hidden_tests[task.id] = loaded.hidden_tests[found.id]


def load_file(path: Path, within: Path) -> Collection:
    """All tasks of one JSON file; problems are collected, one a task at most. `within`: as for a collection."""
    result = Collection()
    try:
        data = _read(path, within)
        solutions = _solutions_of(path, within)
        if "train" in data or "test" in data:
            data = {path.stem: data}
        elif not data:
            raise UserError(f"{show(path)}: holds no task; allowed: {TASK} or {{id: task, ...}}")
        check_duplicates(data, show(path))
    except UserError as error:
        result.problems.append(str(error))
        return result
    for task_id, content in data.items():
        try:
            task, hidden = parse_task(task_id, content, show(path), solutions.get(task_id))
        except UserError as error:
            result.problems.append(str(error))
            continue
        result.tasks.append(task)
        if hidden:
            result.hidden_tests[task_id] = hidden
    return result


def is_joined_solutions(file: Path, files: list[Path]) -> bool:
    """Whether this is a solutions file whose challenges are read too, which will take it in."""
    beside = file.with_name(file.name.removesuffix(SOLUTIONS) + CHALLENGES)
    return file.name.endswith(SOLUTIONS) and beside in files


def _read(path: Path, within: Path) -> dict[str, Any]:
    if leads_out(path, within):
        raise UserError(_foreign(path, within))
    return read_json(path)


def _solutions_of(path: Path, within: Path) -> dict[str, Any]:
    """The solutions beside a Kaggle challenges file, {} where there are none."""
    beside = path.with_name(path.name.removesuffix(CHALLENGES) + SOLUTIONS)
    if not path.name.endswith(CHALLENGES) or not beside.exists():
        return {}
    solutions = _read(beside, within)
    check_duplicates(solutions, show(beside))
    return solutions


def parse_task(task_id: str, data: Any, where: str, solutions: Any = None) -> tuple[Task, int]:
    """A task from parsed JSON, and how many of its test pairs were left out as they have no output.

    `where` begins each message; `solutions` is Kaggle's list of this task's test outputs, None without.
    """
    if not task_id or not task_id.isprintable() or len(task_id) > MAX_ID_LENGTH:
        raise UserError(f"{where}: task id {show(task_id)}; allowed: 1 to {MAX_ID_LENGTH} printable characters")
    where = f"{where}: task {show(task_id)}"
    if not isinstance(data, dict):
        raise UserError(f"{where}: {show_value(data)} in place of a task; allowed: {TASK}")
    check_duplicates(data, where)
    train, tests = (_side(data, side, where) for side in ("train", "test"))
    if solutions is not None:
        tests = _with_solutions(tests, solutions, where)
    demonstrations = tuple(_parse_pair(pair, f"{where}: train pair {i}") for i, pair in enumerate(train))
    shown = []
    for i, pair in enumerate(tests):
        place = f"{where}: test pair {i}"
        if isinstance(pair, dict) and "output" not in pair:
            _parse_half(pair, "input", place)
        else:
            shown.append(_parse_pair(pair, place))
    return Task(task_id, demonstrations, tuple(shown)), len(tests) - len(shown)


def _side(data: dict[str, Any], side: str, where: str) -> list[Any]:
    """The list of train or test pairs."""
    if side not in data:
        raise UserError(f"{where}: {side} is missing; allowed: a list of pairs, at least one")
    if not isinstance(data[side], list) or not data[side]:
        raise UserError(f"{where}: {side} is {show_value(data[side])}; allowed: a list of pairs, at least one")
    return data[side]


def _with_solutions(tests: list[Any], grids: Any, where: str) -> list[Any]:
    """The test pairs with their outputs put in from Kaggle's solutions."""
    if not isinstance(grids, list) or len(grids) != len(tests):
        raise UserError(f"{where}: solutions are {show_value(grids)}; allowed: a list of {len(tests)} grids")
    joined = []
    for i, (pair, grid) in enumerate(zip(tests, grids, strict=True)):
        if isinstance(pair, dict) and "output" in pair:
            raise UserError(f"{where}: test pair {i}: output in both files; allowed: in one of them")
        joined.append(_with_output(pair, grid) if isinstance(pair, dict) else pair)
    return joined


def _with_output(pair: dict[str, Any], grid: Any) -> JsonObject:
    """A copy of the pair that has an output and still knows which of its keys came twice."""
    joined = JsonObject({**pair, "output": grid})
    joined.duplicates = getattr(pair, "duplicates", ())
    return joined


def _parse_pair(data: Any, where: str) -> Pair:
    return Pair(_parse_half(data, "input", where), _parse_half(data, "output", where))


def _parse_half(data: Any, side: str, where: str) -> np.ndarray:
    """The input or output grid of a pair."""
    if not isinstance(data, dict):
        raise UserError(f"{where}: {show_value(data)} in place of a pair; allowed: {PAIR}")
    check_duplicates(data, where)
    if side not in data:
        raise UserError(f"{where}: {side} is missing; allowed: {PAIR}")
    return parse_grid(data[side], f"{where}, {side}")


def parse_grid(data: Any, where: str) -> np.ndarray:
    """An (H, W) uint8 grid, read-only, from nested lists.

    UserError, beginning with `where`, names row, column, value and what is allowed.
    """
    if not isinstance(data, list) or not 1 <= len(data) <= MAX_SIDE:
        raise UserError(f"{where}: {show_value(data)} in place of a grid; allowed: 1 to {MAX_SIDE} rows")
    for i, row in enumerate(data):
        if not isinstance(row, list) or not 1 <= len(row) <= MAX_SIDE:
            raise UserError(f"{where}, row {i}: {show_value(row)}; allowed: a list of 1 to {MAX_SIDE} colours")
        if len(row) != len(data[0]):
            raise UserError(f"{where}, row {i}: {len(row)} columns; allowed: {len(data[0])}, as in row 0")
        for j, value in enumerate(row):
            # `type is int`, because True is an int to isinstance.
            if type(value) is not int or not 0 <= value < N_COLOURS:
                cell = f"row {i}, column {j}: {show_value(value)}"
                raise UserError(f"{where}, {cell}; allowed: an integer from 0 to {N_COLOURS - 1}")
    grid = np.array(data, dtype=np.uint8)
    grid.setflags(write=False)
    return grid


def task_to_json(task: Task) -> dict[str, Any]:
    """The task in ARC's JSON form, which `parse_task` reads back."""
    return {
        side: [{"input": pair.input.tolist(), "output": pair.output.tolist()} for pair in pairs]
        for side, pairs in (("train", task.train), ("test", task.test))
    }


def same_pairs(a: Task, b: Task) -> bool:
    """Whether two tasks hold the same pairs in the same order."""
    return task_to_json(a) == task_to_json(b)
