"""Every leaf of params.yaml, mistyped in every way that a hand mistypes: one line that names it, in no time."""

import json
import math
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from amounts import FULL, amount, examples, fault
from hypothesis import given
from hypothesis import strategies as st
from model_cases import PARAMS

from arcjepa.config import from_mapping, load
from arcjepa.errors import UserError
from arcjepa.params import leaves, read_params, typed

TREE = read_params(PARAMS)
SCALES = set(TREE["scales"])
LEAVES = {".".join(path): (path, value) for path, value in leaves(TREE)}
SECONDS = 2
SIMPLE = [name for name in LEAVES if not name.startswith(("scenarios.", "sets."))]
TRIED = list(LEAVES) if FULL else [*SIMPLE, *random.Random(0).sample([n for n in LEAVES if n not in SIMPLE], 20)]


def block(tree: Mapping[str, Any], twice: tuple[str, ...] = (), indent: str = "") -> Iterator[str]:
    """YAML, one leaf a line; that at the path `twice` comes twice."""
    for key, value in tree.items():
        rest = twice[1:] if twice[:1] == (key,) else ()
        if isinstance(value, Mapping) and value:
            yield f"{indent}{key}:"
            yield from block(value, rest, indent + "  ")
        else:
            line = f"{indent}{key}: {json.dumps(value)}"
            yield from [line, line] if twice == (key,) else [line]


def replaced(path: tuple[str, ...], value: Any, key: str = "") -> dict[str, Any]:
    """params.yaml with another value at this path, and another last key if one is given."""
    tree: dict[str, Any] = json.loads(json.dumps(TREE))
    inner = tree
    for part in path[:-1]:
        inner = inner[part]
    old = inner.pop(path[-1])
    inner[key or path[-1]] = old if key else value
    return tree


def refusal(tree: Mapping[str, Any]) -> str:
    """The line that refuses these params, at the price of a start."""
    started = time.process_time()
    with pytest.raises(UserError) as error:
        from_mapping(tree)
    assert time.process_time() - started < SECONDS
    message = str(error.value)
    assert message.isprintable()
    assert len(message) < 900
    return message


def wrong_values(value: Any) -> list[Any]:
    """Of another type than this one, or no number that can be meant."""
    if isinstance(value, bool):
        return [1, 0, 1.0, "true", "off", None, [True], {"x": True}]
    if isinstance(value, int | float):
        return [True, False, "1", "1e-4", "x", None, math.nan, math.inf, -math.inf, -1, -0.5, 1e300, [1], {"x": 1}]
    if isinstance(value, list):
        return [None, "x", 1, True, [None], [math.nan], [[1]], {"x": 1}]
    return [None, 1, True, 0.5, [value], {"x": value}, f"{value}x", ""]


@pytest.mark.parametrize("name", TRIED)
@fault("every param wrong, misspelt, twice")
def test_a_wrong_value_is_refused_by_its_name(name: str) -> None:
    path, value = LEAVES[name]
    for wrong in wrong_values(value):
        message = refusal(replaced(path, wrong))
        assert named(path, message), f"{wrong!r}: {message}"


def named(path: tuple[str, ...], message: str) -> bool:
    """Whether a message has the key of a leaf, as it is written."""
    return ".".join(path) in message or ("parent" in path and ".".join(path[:-1]) in message)


@pytest.mark.parametrize("name", TRIED)
@fault("every param wrong, misspelt, twice")
def test_a_misspelt_key_is_refused_and_the_right_one_is_offered(name: str) -> None:
    path, _ = LEAVES[name]
    key = path[-1]
    if path[0] in ("sets", "scales") or path[-2:-1] == ("scenarios",):
        return  # the user's own names
    for wrong in (key + "s", key[:-1], key[:1] + "x" + key[1:], key[1:] if len(key) > 4 else key + "q"):
        if wrong in SCALES or wrong in TREE:
            continue
        message = refusal(replaced(path, None, key=wrong))
        assert wrong in message
        # What is missing now may be found first; either way the right key is there to read.
        assert key in message, message


@pytest.mark.parametrize("name", TRIED)
@fault("every param wrong, misspelt, twice")
def test_a_key_that_comes_twice_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    path, _ = LEAVES[name]
    lines = list(block(TREE, path))
    file = tmp_path / "params.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(UserError, match=rf"line \d+, column \d+: key '{path[-1]}' is given twice"):
        load(file)


def test_the_file_of_these_tests_is_the_committed_one(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("\n".join(block(TREE)))
    assert read_params(file) == TREE
    load(file)


@pytest.mark.parametrize(
    "name", [name for name, (_, value) in LEAVES.items() if isinstance(value, float) and name in TRIED]
)
def test_a_number_may_be_written_as_anyone_writes_it(name: str, tmp_path: Path) -> None:
    """In the file, as DVC writes it there, and on the command line."""
    path, value = LEAVES[name]
    for text in (f"{value:e}", f"{value!r}", f"{value:.17e}", f"{value:E}", f"+{value!r}"):
        lines = [line.replace(json.dumps(value), text) for line in block({path[0]: replaced(path, value)[path[0]]})]
        file = tmp_path / "params.yaml"
        file.write_text("\n".join(lines))
        assert dict(leaves(read_params(file)))[path] == value
        nested: Any = text
        for part in reversed(path[1:]):
            nested = {part: nested}
        assert dict(leaves(typed({"x": {"y": nested}})))[("x", "y", *path[1:])] == value


@fault("any text as params.yaml", amount(300, 10_000))
@examples()
@given(st.text(max_size=200) | st.text(alphabet="ab:{}[]-&*!#|>'\" \n\t0123456789.e", max_size=200))
def test_any_text_is_a_mapping_or_one_line(tmp_path: Path, text: str) -> None:
    check_text(tmp_path, text.encode(errors="surrogatepass"))


@fault("any text as params.yaml", amount(300, 10_000))
@examples()
@given(start=st.integers(0, 10_000), length=st.integers(0, 30), new=st.binary(max_size=12))
def test_the_committed_file_with_an_accident_in_it_is_read_or_refused(
    tmp_path: Path, start: int, length: int, new: bytes
) -> None:
    content = PARAMS.read_bytes()
    check_text(tmp_path, content[:start] + new + content[start + length :])


def check_text(folder: Path, content: bytes) -> None:
    """Read, or refused in one line that names the file."""
    file = folder / "params.yaml"
    file.write_bytes(content)
    try:
        load(file)
    except UserError as error:
        line = str(error)
        assert "\n" not in line
        assert "params.yaml: " in line


def test_our_reader_knows_no_value_that_yaml_does_not(tmp_path: Path) -> None:
    """But for numbers such as 1e-4, the strict reader and PyYAML's agree on the committed file."""
    assert yaml.safe_load(PARAMS.read_text()) == TREE
