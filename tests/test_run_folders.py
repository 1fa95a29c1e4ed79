"""Folders by name, and JSON that is damaged."""

from pathlib import Path

import pytest

from arcjepa.errors import UserError
from arcjepa.files import VOUCHERS
from arcjepa.run_folders import by_name, read_object
from arcjepa.vouchers import write_voucher


def test_folders_are_grouped_by_name_in_their_order() -> None:
    files = ["runs/tiny/b/seed1/scores.csv", "runs/tiny/a/seed0/scores.csv", "runs/tiny/b/seed0/scores.csv"]
    found = by_name(files)
    assert list(found) == ["b", "a"]
    assert found["b"] == [Path("runs/tiny/b/seed1"), Path("runs/tiny/b/seed0")]


def test_a_damaged_file_is_named_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{"a": 1}')
    assert read_object(path) == {"a": 1}
    for content, fault in (
        (b'{"a": ', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[1]", "holds a list of 1 in place of an object"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"run\.json: {fault}.*; make it again with `snakemake --force"):
            read_object(path)
    path.unlink()
    with pytest.raises(UserError, match=r"run\.json: cannot be read: No such file"):
        read_object(path)


@pytest.mark.parametrize("name", ["run.json", "evaluation.json", "splits.json"])
@pytest.mark.parametrize("change", [("0.25", "0.75"), ("size", "sizf"), ("true", "null")])
def test_what_is_not_what_was_written_is_not_believed(tmp_path: Path, name: str, change: tuple[str, str]) -> None:
    path = tmp_path / name
    for table in VOUCHERS:
        (tmp_path / table).touch()
    written = {"size": 3, "nested": {"value": 0.25, "list": [float("inf"), "\u00e9"]}, "flag": True}
    write_voucher(path, written)
    files = read_object(path)["files"]
    assert read_object(path) == written | {"files": files}
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UserError, match=rf"{name}: is not what was written there.*; make it again with"):
        read_object(path)
