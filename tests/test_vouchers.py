"""What a JSON file records of itself."""

import json
from pathlib import Path

import pytest

from arcjepa.vouchers import is_as_written, write_voucher

CONTENT = {"b": [1, 2.5, None], "a": {"x": "\u00e9", "inf": float("inf")}}


@pytest.mark.parametrize("sort_keys", [False, True])
def test_what_was_written_is_known_again(tmp_path: Path, sort_keys: bool) -> None:
    write_voucher(tmp_path / "splits.json", CONTENT, sort_keys)
    held = json.loads((tmp_path / "splits.json").read_bytes())
    assert is_as_written(held, "splits.json")
    assert {key: held[key] for key in CONTENT} == CONTENT
    for changed in ({"b": [1, 2.5, 0]}, {"c": 1}, {"files": held["files"] | {"losses.csv": ""}}):
        assert not is_as_written(held | changed, "splits.json")


def test_the_tables_beside_it_are_in_it(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("a\n")
    write_voucher(tmp_path / "evaluation.json", {})
    files = json.loads((tmp_path / "evaluation.json").read_bytes())["files"]
    assert set(files) == {"scores.csv", "evaluation.json"}


@pytest.mark.parametrize("content", [{}, [], None, {"files": 1}, {"files": {}}, {"files": {"scores.csv": "0"}}])
def test_what_records_nothing_of_itself_is_believed(content: object) -> None:
    assert is_as_written(content, "run.json")
