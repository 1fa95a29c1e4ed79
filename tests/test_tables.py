"""Half a table is never taken for a whole one."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from arcjepa.errors import UserError
from arcjepa.files import digests
from arcjepa.tables import read_rows, read_table, write_table


@pytest.fixture
def vouched(tmp_path: Path) -> Path:
    """A table of a run, with the record that vouches for it."""
    for name in ("epochs.csv", "steps.csv", "losses.csv"):
        write_table(tmp_path / name, pd.DataFrame({"epoch": [1, 2, 3], "lr": [0.1, 0.02, 0.003]}))
    (tmp_path / "run.json").write_text(json.dumps({"files": digests(tmp_path, "run.json")}))
    return tmp_path / "epochs.csv"


def refuse(path: Path) -> str:
    """The one line that says why a table is not read, and what to type."""
    with pytest.raises(UserError) as caught:
        read_table(path, ["epoch"])
    assert str(caught.value).isprintable()
    assert str(path.parent) in str(caught.value)
    assert "`snakemake " in str(caught.value)
    return str(caught.value)


def test_a_table_of_a_run_cut_at_any_byte_is_refused(vouched: Path) -> None:
    whole = vouched.read_bytes()
    assert read_table(vouched)["lr"].tolist() == [0.1, 0.02, 0.003]
    for end in range(len(whole)):
        vouched.write_bytes(whole[:end])
        assert "that run.json recorded" in refuse(vouched)


def test_a_record_that_is_cut_itself_vouches_for_nothing(vouched: Path) -> None:
    record = vouched.with_name("run.json")
    record.write_bytes(record.read_bytes()[:-1])
    assert "run.json: not valid JSON" in refuse(vouched)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"epoch,lr\n1,0.1", "cut short"),
        (b"step\n1\n", "column 'epoch' is missing"),
        (b"epoch\n1,2\n1,2,3\n", "no CSV table"),
        (b"epoch\n\xff\n", "no CSV table"),
    ],
)
def test_a_table_that_nothing_vouches_for_is_still_looked_at(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    assert expected in refuse(path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert "metrics.csv: no such file; make it with `snakemake " in refuse(tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    assert "pipe.csv: cannot be read: is a pipe or a device, not a file; make it again" in refuse(tmp_path / "pipe.csv")
    assert "cannot be read: Is a directory" in refuse(tmp_path / "metrics.csv")


def test_rows_that_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write_table(path, pd.DataFrame({"name": ["phase1", "phase2"]}))
    assert read_rows(path, ["phase2", "phase1"])["name"].tolist() == ["phase1", "phase2"]
    with pytest.raises(UserError, match=r"metrics\.csv: no row of 'phase3'; make it again"):
        read_rows(path, ["phase1", "phase3"])
