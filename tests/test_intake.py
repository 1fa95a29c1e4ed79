"""Whatever is not used of the user's tasks is told once, with counts and names."""

from typing import Any

import pytest

from arcjepa.intake import intake_notes


def entry(**changes: Any) -> dict[str, Any]:
    """A set of 12 tasks with which all is well."""
    lists = ("kept_out", "lone_pairs", "one_demonstration", "unranked", "problems", "ignored")
    return {"tasks": 12, "in_training": False, "hidden_tests": {}, **{name: [] for name in lists}} | changes


def notes(
    overlaps: dict[str, Any] | None = None, strays: tuple[str, ...] = (), max_tasks: int = 12, **sets: Any
) -> list[str]:
    return intake_notes({"user": sets, "overlaps": overlaps or {}}, strays, max_tasks)


def test_nothing_is_said_where_all_is_well() -> None:
    assert notes(mine=entry(), yours=entry(in_training=True)) == []


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ({"ignored": ["a.zip", "b.jsonl"]}, "2 files not read, as only .json is: a.zip, b.jsonl"),
        ({"hidden_tests": {"x": 2, "y": 1}}, "3 test pairs of 2 tasks left out, having no output: x, y"),
        ({"unranked": ["x"]}, "1 of 12 tasks without a test output, so not ranked: x"),
        ({"unranked": [*"abcdefghijkl"]}, "a, b, c, d, e, and 7 more; the set has no row in ranking.csv"),
        ({"one_demonstration": ["x"]}, "1 of 12 tasks with one demonstration only, so not in retrieval_augmented: x"),
        ({"tasks": 15}, "3 of 15 tasks not ranked, those with the last ids, as evaluation.max_tasks is 12"),
        ({"in_training": True, "lone_pairs": ["x"]}, "1 of 12 tasks with one pair only, from which nothing is learned"),
    ],
)
def test_each_fact_is_one_warning(fact: dict[str, Any], expected: str) -> None:
    (line,) = notes(mine=entry(**fact))
    assert line.startswith("warning: mine: ")
    assert expected in line


def test_a_file_in_no_set_is_told() -> None:
    (line,) = notes(strays=("a.zip",))
    assert line == "warning: data/raw/user: 1 file not read, as only .json is: a.zip; unpack or convert"


def test_problems_are_counted_and_the_first_shown() -> None:
    lines = notes(mine=entry(problems=[f"mine/{i}.json: bad" for i in range(7)]))
    assert lines[0].startswith("warning: mine: 7 problems beside 12 good tasks")
    assert lines[1:-1] == [f"warning: mine/{i}.json: bad" for i in range(5)]
    assert lines[-1] == "warning: ... and 2 more problems in this set"


def test_what_is_kept_out_of_training_is_told_once_with_the_reason() -> None:
    shared = {"mine": {"arc1": {"x": ["a"]}, "yours": {"y": ["z"]}}, "yours": {"mine": {"z": ["y"]}}}
    sets = {"mine": entry(in_training=True, kept_out=["x", "y"]), "yours": entry()}
    (line,) = notes(shared, **sets)
    assert "mine: 2 of 12 tasks kept out of training, for a pair in common with a test (1 with arc1, 1 with" in line
    assert line.endswith("x, y")


def test_each_overlap_of_tests_is_told_once() -> None:
    shared = {"mine": {"training": {"x": ["a"]}, "yours": {"y": ["z"]}}, "yours": {"mine": {"z": ["y"]}}}
    shared |= {"training": {"mine": {"a": ["x"]}, "arc1": {"b": ["c"]}}, "arc1": {"training": {"c": ["b"]}}}
    lines = notes(shared, mine=entry(), yours=entry())
    about = "task with a pair in common with"
    assert [line.split(",")[0] for line in lines] == [
        f"arc1: 1 {about} training",
        f"warning: mine: 1 {about} training",
        f"warning: yours: 1 {about} mine",
    ]
