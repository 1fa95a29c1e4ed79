"""params.yaml is read strictly: what is not meant is an error, and the error names it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcjepa.errors import UserError
from arcjepa.params import (
    check_arguments,
    did_you_mean,
    leaf,
    leaves,
    number_hint,
    overlay,
    put,
    read_params,
    repeated_leaves,
    typed,
)

BASE = {"a": 1, "b": {"c": [1, 2], "d": {"e": "x"}}}
trees = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, min_size=1))
mappings = st.dictionaries(st.sampled_from("abcd"), trees, min_size=1)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a: 1\nb: 2\na: 3\n", ["line 3", "'a'", "twice"]),
        ("a:\n  b: 1\n  c: 2\n  b: 1\n", ["line 4", "'b'", "twice"]),
        ("a: {x: 1, x: 1}\n", ["line 1", "'x'", "twice"]),
        ("1: x\n", ["line 1", "1", "not text"]),
        ("on: x\n", ["line 1", "True", "not text"]),
        ("[a]: x\n", ["line 1", "not text"]),
        ("a: [1\nb: 2\n", ["line 2"]),
        ("a: !!python/object/apply:os.getcwd []\n", ["line 1, column 4", "tag !!python/object/apply:os.getcwd"]),
        ("a: !!int x\n", ["line 1, column 4", "tag !!int"]),
        ("a: &x [1]\nb: *x\n", ["line 2, column 4", "alias *x"]),
        ("a: &x [*x]\n", ["line 1, column 8", "alias *x"]),
        (f"a: {'[' * 9000}{']' * 9000}", ["line 1", "more than 16 levels deep"]),
        ("".join(" " * n + "a:\n" for n in range(900)), ["line 16", "more than 16 levels deep"]),
        (f"a: 1\nb: {'9' * 9000}\n", ["line 2, column 4", "99999999999999999999..."]),
        (f"a: 0x{'f' * 9000}\n", ["line 1, column 4", "too large", "2^63"]),
        ("a: 2020-13-45\n", ["line 1, column 4", "2020-13-45", "timestamp", "quote it"]),
        ("<<: {a: 1}\n", ["line 1, column 1", "<<"]),
        ("a:\n\tb: 1\n", ["line 2, column 1", "tab", "spaces"]),
        ("a: 1\n---\nb: 2\n", ["line 2, column 1", "another document"]),
        ("a: 'x\n", ["line 2, column 1", "quoted scalar", "end of stream"]),
        ("a: 1\n\x07", ["line 2, column 1", "0x7", "YAML"]),
        ("3\n", ["is 3", "mapping"]),
        ("- 1\n- 2\n", ["mapping", "list"]),
        ("", ["mapping", "empty", "git checkout"]),
        (b"\xff\xfea: 1", ["line 1, column 1", "UTF-8"]),
        ("a: 1\nb: ü".encode() + b"\xff", ["line 2, column 5", "UTF-8"]),
    ],
)
def test_a_file_that_cannot_be_meant_is_an_error_naming_file_and_line(
    tmp_path: Path, text: str | bytes, named: list[str]
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as error:
        read_params(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert all(part in message for part in named), message


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["missing", "folder"])
def test_a_file_that_is_not_there_is_an_error_with_the_next_command(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "params.yaml")
    with pytest.raises(UserError, match=r"params.yaml: .*git checkout params.yaml"):
        read_params(tmp_path / "params.yaml")


def test_reading_gives_the_values(tmp_path: Path) -> None:
    path = written(tmp_path, "a: 1e-4\nb: {c: [1, 2], d: text}\n")
    assert read_params(path) == {"a": 1e-4, "b": {"c": [1, 2], "d": "text"}}


def test_overlay_puts_leaves_over_and_leaves_the_base_alone() -> None:
    merged = overlay(BASE, {"b": {"c": [3], "d": {"e": "y"}}}, "phases.p")
    assert merged == {"a": 1, "b": {"c": [3], "d": {"e": "y"}}}


def test_overlay_shares_nothing_with_what_it_is_made_of() -> None:
    base, changes = {"a": 1, "b": {"c": [1, 2], "f": [5]}}, {"b": {"c": [3]}}
    merged = overlay(base, changes, "")
    merged["b"]["c"].append(4)
    merged["b"]["f"].append(4)
    untouched = overlay(base, {"a": 2}, "")
    untouched["b"]["f"].append(4)
    assert base == {"a": 1, "b": {"c": [1, 2], "f": [5]}}
    assert changes == {"b": {"c": [3]}}


@pytest.mark.slow
@given(mappings)
def test_overlay_with_itself_changes_nothing_and_every_leaf_is_a_repetition(tree: dict) -> None:
    assert overlay(tree, tree, "") == tree
    assert repeated_leaves(tree, tree) == [".".join(path) for path, _ in leaves(tree)]
    assert repeated_leaves(tree, overlay_each(tree)) == []


def overlay_each(tree: dict) -> dict:
    """The same keys with every leaf changed."""
    return {key: overlay_each(value) if isinstance(value, dict) else value + 1 for key, value in tree.items()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aa": 1}, r"phases\.p\.aa: unknown key; did you mean a\?"),
        ({"zzz": 1}, r"phases\.p\.zzz: unknown key; allowed are a, b"),
        ({"b": {"d": {"ee": 1}}}, r"phases\.p\.b\.d\.ee: unknown key; did you mean e\?"),
        ({"a": {"x": 1}}, r"phases\.p\.a: is \{'x': 1\}, must be one value"),
        ({"b": 3}, r"phases\.p\.b: is 3, must be a mapping"),
        ({"b": None}, r"phases\.p\.b: is None, must be a mapping"),
        ({"b": {"c": {"x": 1}}}, r"phases\.p\.b\.c: is .* must be one value"),
    ],
)
def test_overlay_refuses_what_the_base_lacks(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        overlay(BASE, changes, "phases.p")


def test_leaves_keep_lists_whole() -> None:
    assert list(leaves(BASE)) == [(("a",), 1), (("b", "c"), [1, 2]), (("b", "d", "e"), "x")]


@pytest.mark.parametrize(
    ("value", "hint"),
    [("1e-4", "1e-4"), (" 5E3", "5E3"), ("12", "12"), ("x", ""), ("inf", ""), ("nan", ""), ("", ""), (3, "")],
)
def test_numbers_that_are_text_come_with_the_right_spelling(value: object, hint: str) -> None:
    assert number_hint(value) == (f" (it is text: write {hint} without quotes)" if hint else "")


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{}", "{:e}", "{:g}", "{:E}", "{:.0e}"]))
def test_every_spelling_of_a_number_is_that_number(number: float, spelling: str) -> None:
    """The one of DVC, which writes 1e-05, too."""
    text = spelling.format(number)
    for tree in (typed({"a": {"b": text}}), typed({"a": {"b": [text]}})):
        found = tree["a"]["b"][0] if isinstance(tree["a"]["b"], list) else tree["a"]["b"]
        assert isinstance(found, int | float)
        assert found == float(text)


@pytest.mark.parametrize("text", ["010", "-07", "1:30", "0_7", "1:30.5"])
def test_numbers_to_another_base_than_ten_are_refused(tmp_path: Path, text: str) -> None:
    """Else DVC shows another number than the one that is trained with."""
    with pytest.raises(UserError, match=f"line 1, column 4: {text} is read as"):
        read_params(written(tmp_path, f"a: {text}\n"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["a=1", "b=2", "a=3"], "--config a: is given twice"),
        (["a={b: {c: 1, c: 2}}"], "--config a: line 1, column 12: key 'c' is given twice"),
        (["a={b: {c: 1}}", "a={b: {c: 2}}"], "--config a.b.c: is given twice"),
        (["a={b: !!python/name:os.getcwd }"], "--config a: line 1, column 5: tag !!python/name:os.getcwd"),
        (["a={b: &x [*x]}"], "--config a: line 1, column 9: alias"),
        (["a={b: 1"], "--config a: line 1"),
        (["a={b: \x07}"], "--config a: character 0x7"),
    ],
)
def test_a_setting_that_is_given_twice_on_a_command_line_is_refused(arguments: list[str], named: str) -> None:
    with pytest.raises(UserError) as error:
        check_arguments(arguments)
    assert str(error.value).startswith(named)


def test_settings_that_are_each_given_once_are_not_refused() -> None:
    check_arguments(["a=1", "b={c: 1, d: {e: 1}}", "b={d: {f: 1}}", "c=", "d"])


def test_what_is_nested_on_a_command_line_is_read_as_in_the_file() -> None:
    given = {"a": "3", "b": {"c": "3", "d": ["1.5", "x", "1e-4"], "e": {"f": "true", "g": "", "h": "[1"}}, "i": 2}
    read = {"a": "3", "b": {"c": 3, "d": [1.5, "x", 1e-4], "e": {"f": True, "g": "", "h": "[1"}}, "i": 2}
    assert typed(given) == read


def test_the_nearest_key_is_offered_else_all() -> None:
    assert did_you_mean("windw", ["window", "framing"]) == "; did you mean window?"
    assert did_you_mean("qqq", ["window", "framing"]) == "; allowed are framing, window"
    many = [f"name{number:02}" for number in range(45)]
    assert did_you_mean("qqq", many).endswith(", name38, name39 and 5 more")
    assert did_you_mean("nama44", many) == "; did you mean name44?"


@pytest.mark.slow
@given(mappings)
def test_leaves_are_put_and_found_by_their_dotted_names(tree: dict) -> None:
    dotted = {".".join(path): value for path, value in leaves(tree)}
    assert {name: leaf(tree, name) for name in dotted} == dotted
    assert dict(leaves(put({}, dotted))) == dict(leaves(tree))
    assert leaf(tree, "a.none.such", "other") == "other"
