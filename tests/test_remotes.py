"""What DVC's configuration says of its remotes, and what it is refused for."""

import errno
import os
from pathlib import Path

import pytest

from arcjepa.errors import UserError
from arcjepa.remotes import Remotes, dvc_remotes

TWO = """[core]
    remote = store
['remote "store"']
    url = ../../kept
['remote "cloud"']
    url = s3://bucket/kept
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for whose in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{whose}_CONFIG_DIR", str(tmp_path / "nobody"))
    (tmp_path / "project/.dvc").mkdir(parents=True)
    return tmp_path / "project"


def test_remotes_are_named_and_folders_looked_for(project: Path) -> None:
    (project / ".dvc/config").write_text(TWO)
    kept = project.parent / "kept"
    found = dvc_remotes(project)
    assert found == Remotes({"store": str(kept), "cloud": "s3://bucket/kept"}, "store")
    assert list(found.closed) == ["store"]
    kept.mkdir()
    assert dvc_remotes(project).closed == {}


def test_a_local_configuration_is_laid_over(project: Path) -> None:
    (project / ".dvc/config").write_text(TWO)
    (project / ".dvc/config.local").write_text("[core]\n    remote = cloud\n")
    assert dvc_remotes(project).default == "cloud"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[core\n", "at line 1"),
        ("[core]\n    analytics = maybe\n", "expected true or false"),
        ("[core]\n    remote = shop\n", "'shop'; allowed are none"),
        (TWO.replace("= store", "= shop"), "'shop'; allowed are cloud, store"),
        (TWO.replace("= ../../kept", "= ../a, b"), "got 'list'"),
        (TWO.replace("= ../../kept", "= %(kept)s"), 'missing option "kept"'),
        ("remote = store\n", "expected a dictionary"),
    ],
)
def test_what_dvc_cannot_use_is_one_line(project: Path, text: str, part: str) -> None:
    (project / ".dvc/config").write_text(text)
    with pytest.raises(UserError) as error:
        dvc_remotes(project)
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_file_is_not_waited_for(project: Path) -> None:
    os.mkfifo(project / ".dvc/config.local")
    with pytest.raises(OSError, match=r"is no file: .*config\.local"):
        dvc_remotes(project)


def test_what_cannot_be_opened_is_named(project: Path) -> None:
    (project / ".dvc/config").symlink_to(project / ".dvc/config")
    with pytest.raises(OSError, match=r"Too many levels.*\.dvc/config'"):
        dvc_remotes(project)


def test_a_local_configuration_that_links_to_nothing_is_none_as_for_dvc(project: Path) -> None:
    (project / ".dvc/config.local").symlink_to(project / "nothing")
    assert dvc_remotes(project) == Remotes({}, None)


def test_an_empty_default_is_none_as_for_dvc(project: Path) -> None:
    (project / ".dvc/config").write_text("[core]\n    remote =\n")
    assert dvc_remotes(project) == Remotes({}, None)


def test_a_path_that_no_folder_can_have_is_told_so(project: Path) -> None:
    (project / ".dvc/config").write_text(f"['remote \"store\"']\n    url = /{5000 * 'x'}\n")
    assert {name: error.errno for name, error in dvc_remotes(project).closed.items()} == {"store": errno.ENAMETOOLONG}
