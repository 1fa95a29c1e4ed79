"""What a training took hours for is there until the next one is complete."""

import shutil
from errno import ENOSPC
from pathlib import Path

import pytest

from arcjepa.errors import UserError
from arcjepa.former_runs import FILES, keep_former, settle_former


def write_run(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_text(text)


def remove_run(folder: Path) -> None:
    """As Snakemake does before a job starts."""
    for name in FILES:
        (folder / name).unlink()


def kept(folder: Path) -> set[str]:
    return {(folder / "former" / name).read_text() for name in FILES}


def test_a_run_is_kept_until_the_next_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "phase2" / "seed0"
    write_run(folder, "old")
    keep_former(folder)
    remove_run(folder)
    (folder / "epochs.csv").write_text("half")
    assert settle_former(tmp_path) == [folder / "former"]
    assert kept(folder) == {"old"}
    keep_former(folder)  # a second attempt: what is there is not complete, and does not replace what is kept
    assert kept(folder) == {"old"}
    write_run(folder, "new")
    assert settle_former(tmp_path) == []
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_a_later_run_replaces_what_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "phase2" / "seed0"
    for text in ("older", "old"):
        write_run(folder, text)
        keep_former(folder)
    (folder / "run.json").write_text("edited in place")
    assert kept(folder) == {"old"}


def test_a_full_disk_is_one_line_and_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "phase2" / "seed0"
    write_run(folder, "older")
    keep_former(folder)
    write_run(folder, "old")

    def full(source: Path, target: Path) -> None:
        target.write_text("")
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(UserError, match=r"\.former: cannot be written: No space left on device; make room"):
        keep_former(folder)
    assert kept(folder) == {"older"}
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "former"])


def test_there_may_be_nothing_to_keep(tmp_path: Path) -> None:
    keep_former(tmp_path / "phase2" / "seed0")
    assert settle_former(tmp_path) == []
    assert not list(tmp_path.iterdir())
