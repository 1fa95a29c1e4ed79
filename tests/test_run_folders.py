"""Folders by name, and JSON that is damaged."""

from pathlib import Path

import pytest

from arcjepa.errors import UserError
from arcjepa.run_folders import by_name, read_object


def test_folders_are_grouped_by_name_in_their_order() -> None:
    files = ["runs/tiny/b/seed1/scores.csv", "runs/tiny/a/seed0/scores.csv", "runs/tiny/b/seed0/scores.csv"]
    found = by_name(files)
    assert list(found) == ["b", "a"]
    assert found["b"] == [Path("runs/tiny/b/seed1"), Path("runs/tiny/b/seed0")]


def test_a_damaged_file_is_named_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{"a": 1}')
    assert read_object(path) == {"a": 1}
    path.write_text('{"a": ')
    with pytest.raises(UserError, match=r"run\.json: not valid JSON .*; delete it and run the workflow"):
        read_object(path)
