"""Files appear whole or not at all, and messages stay on one line."""

from pathlib import Path

import pytest

from arcjepa.files import show, show_value, write_atomic


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "a"
    write_atomic(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_shown_text_is_one_short_line() -> None:
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    for value in ("a\nb", "x" * 999, "\ud800", nested, 10**4000, {"a": nested}, None, True, float("nan")):
        assert show_value(value).isprintable()
        assert len(show_value(value)) < 80
    assert show(Path("a\nb")).isprintable()
    assert show(Path("a b")) == "a b"
