"""The tables of the analysis, and copies of them to alter."""

import shutil
from pathlib import Path

ANALYSIS = Path(__file__).parents[1] / "data/raw/analysis"


def copied(folder: Path) -> Path:
    """The tables below a folder, to be altered."""
    return Path(shutil.copytree(ANALYSIS, folder / "analysis"))


def alter(folder: Path, name: str, old: str, new: str) -> None:
    """Replace what stands once in a table."""
    text = (folder / f"{name}.csv").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (folder / f"{name}.csv").write_text(text.replace(old, new), encoding="utf-8")
