"""Where the user's sets lie, and that no name or file of theirs is more than one clear line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from arcjepa.errors import UserError
from arcjepa.files import MAX_FILE_BYTES
from arcjepa.users import content_digest, load_users, set_files, stray_files, user_files, user_paths, watchable

TASK = b'{"train": [{"input": [[1, 2]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}'
# Names of files that a system allows; None where a file of this name holds no task of a usable id.
ODD = {
    b"{x}.json": "{x}",
    b"a b.json": "a b",
    b"-dash.json": "-dash",
    b"*?[a].json": "*?[a]",
    b"'\".json": "'\"",
    b"%s$HOME~.json": "%s$HOME~",
    "\u00e9.json".encode(): "\u00e9",
    b"a\nb.json": None,
    b"\xff.json": None,
    b"n" * 250 + b".json": None,
}


def write_task(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(TASK)


def test_user_sets_are_folders_and_files(tmp_path: Path) -> None:
    write_task(tmp_path / "set-1" / "deep" / "t.json")
    (tmp_path / "set-1" / "bad.json").write_text("{")
    write_task(tmp_path / "Set_2.json")
    (tmp_path / ".gitkeep").touch()
    (tmp_path / "README.md").touch()
    users = load_users(tmp_path)
    assert {name: [task.id for task in users[name].tasks] for name in users} == {
        "Set_2": ["Set_2"],
        "set-1": ["t"],
    }
    assert "bad.json: not valid JSON" in users["set-1"].problems[0]
    assert [path.name for path in stray_files(tmp_path)] == ["README.md"]
    assert load_users(tmp_path / "none") == {}


@pytest.mark.parametrize(
    "name", ["training", "ARC2", "rearc", "heldout", "near-misses-arc1", "a b", "a.b", "-a", "é", "x" * 65]
)
def test_names_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    write_task(tmp_path / name / "t.json")
    with pytest.raises(UserError, match=r"allowed: .*; rename it"):
        load_users(tmp_path)


def test_two_sets_of_one_name(tmp_path: Path) -> None:
    write_task(tmp_path / "a" / "t.json")
    write_task(tmp_path / "A.json")
    with pytest.raises(UserError, match=r"named as .*; rename it"):
        load_users(tmp_path)


def test_a_set_with_nothing_good_stops(tmp_path: Path) -> None:
    for i in range(8):
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / f"{i}.json").write_text('{"train": []}')
    with pytest.raises(UserError) as caught:
        load_users(tmp_path)
    lines = str(caught.value).split("\n")
    assert "mine: no good task in it, 8 problems" in lines[0]
    assert len(lines) == 7
    assert "0.json: task '0': train is a list of 0" in lines[1]
    assert "3 more" in lines[-1]


@pytest.mark.parametrize("kind", ["pipe", "lost link", "lost link to a folder"])
def test_what_is_no_file_is_refused_and_never_read(tmp_path: Path, kind: str) -> None:
    """A pipe would be waited for without end."""
    path = tmp_path / ("mine" if kind == "lost link to a folder" else "mine.json")
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"mine(\.json)?: is no file and no folder"):
        user_paths(tmp_path)


def test_a_folder_of_sets_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "user").write_text("no folder")
    with pytest.raises(UserError, match="user: cannot be read: Not a directory; allowed: a folder"):
        user_paths(tmp_path / "user")


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_odd_names_work_or_are_a_line_and_a_good_file_beside_is_kept(tmp_path: Path, name: bytes) -> None:
    write_task(tmp_path / "mine" / "good.json")
    odd = tmp_path / "mine" / os.fsdecode(name)
    odd.write_bytes(TASK)
    mine = load_users(tmp_path)["mine"]
    expected = [ODD[name]] if ODD[name] else []
    assert sorted(task.id for task in mine.tasks) == sorted(["good", *expected])
    assert len(mine.problems) == (ODD[name] is None)
    assert all(line.isprintable() and "1 to 200 printable characters" in line for line in mine.problems)
    watched = watchable(set_files(tmp_path / "mine"), tmp_path)
    assert str(tmp_path / "mine/good.json") in watched
    assert not any(character in "".join(watched) for character in "{}\n\udcff")
    before = content_digest(set_files(tmp_path / "mine"), tmp_path)
    odd.write_bytes(TASK + b"\n")
    assert content_digest(set_files(tmp_path / "mine"), tmp_path) != before


def lost_link(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def own_link(path: Path) -> None:
    path.symlink_to(path.name)


def too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


@pytest.mark.parametrize("make", [lost_link, own_link, os.mkfifo, too_large])
def test_what_cannot_be_read_is_a_line_and_is_no_input(tmp_path: Path, make: Callable[[Path], None]) -> None:
    write_task(tmp_path / "mine" / "good.json")
    before = content_digest(user_files(tmp_path), tmp_path)
    make(tmp_path / "mine" / "bad.json")
    mine = load_users(tmp_path)["mine"]
    assert [task.id for task in mine.tasks] == ["good"]
    assert len(mine.problems) == 1
    assert "bad.json: " in mine.problems[0]
    assert "allowed: " in mine.problems[0]
    assert content_digest(user_files(tmp_path), tmp_path) != before
    if make is not too_large:
        assert watchable(user_files(tmp_path), tmp_path) == [str(tmp_path / "mine/good.json")]


def test_a_file_without_the_right_to_read_is_a_line_and_is_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read all, so the system is told to refuse."""
    for name in ("good", "locked"):
        write_task(tmp_path / "mine" / f"{name}.json")
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "locked.json":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked.json")
    mine = load_users(tmp_path)["mine"]
    assert [task.id for task in mine.tasks] == ["good"]
    assert mine.problems == [
        f"{tmp_path}/mine/locked.json: cannot be read: Permission denied; make it readable or remove it"
    ]
    assert watchable(user_files(tmp_path), tmp_path) == [str(tmp_path / "mine/good.json")]
    assert content_digest(user_files(tmp_path), tmp_path)


def test_links_are_followed_once_and_seen_by_the_digest(tmp_path: Path) -> None:
    write_task(tmp_path / "user/other/far.json")
    write_task(tmp_path / "user/mine/near.json")
    (tmp_path / "user/mine/loop").symlink_to(".")
    (tmp_path / "user/mine/far").symlink_to("../other")
    assert [task.id for task in load_users(tmp_path / "user")["mine"].tasks] == ["far", "near"]
    before = content_digest(set_files(tmp_path / "user/mine"), tmp_path / "user")
    (tmp_path / "user/other/far.json").write_bytes(TASK + b"\n")
    assert content_digest(set_files(tmp_path / "user/mine"), tmp_path / "user") != before


@pytest.mark.parametrize("target", ["file", "folder", "relative", "the root"])
def test_a_link_that_leads_out_is_a_line_is_never_read_and_is_seen_by_the_digest(tmp_path: Path, target: str) -> None:
    user = tmp_path / "user"
    write_task(tmp_path / "elsewhere/far.json")
    write_task(user / "mine/near.json")
    before = content_digest(user_files(user), user), content_digest(set_files(user / "mine"), user)
    link = user / "mine/link.json"
    to = {"file": "elsewhere/far.json", "folder": "elsewhere", "relative": "user/../elsewhere/far.json"}
    link.symlink_to("/" if target == "the root" else tmp_path / to[target])
    mine = load_users(user)["mine"]
    assert [task.id for task in mine.tasks] == ["near"]
    assert mine.problems == [f"{link}: is a link that leads out of {user}; copy there what it leads to"]
    assert watchable(user_files(user), user) == [str(user / "mine/near.json")]
    after = content_digest(user_files(user), user), content_digest(set_files(user / "mine"), user)
    assert after[0] != before[0]
    assert after[1] != before[1]
    (tmp_path / "elsewhere/far.json").write_bytes(TASK + b"\n")
    assert after == (content_digest(user_files(user), user), content_digest(set_files(user / "mine"), user))


def test_a_set_and_solutions_that_lead_out_are_refused(tmp_path: Path) -> None:
    write_task(tmp_path / "elsewhere/far.json")
    (tmp_path / "user").mkdir()
    (tmp_path / "user/mine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"user/mine: is a link that leads out of .*user; copy"):
        load_users(tmp_path / "user")
    (tmp_path / "user/mine").unlink()
    write_task(tmp_path / "user/x_challenges.json")
    (tmp_path / "user/x_solutions.json").symlink_to(tmp_path / "elsewhere/far.json")
    with pytest.raises(UserError, match=r"x_solutions\.json: is a link that leads out of"):
        load_users(tmp_path / "user")


def test_files_that_are_not_read_change_no_set(tmp_path: Path) -> None:
    """Else a note beside the tasks would evaluate, or train, everything again."""
    write_task(tmp_path / "mine" / "good.json")
    files, everything = set_files(tmp_path / "mine"), content_digest(user_files(tmp_path), tmp_path)
    (tmp_path / "mine" / "notes.txt").touch()
    (tmp_path / "mine" / "more.jsonl").touch()
    (tmp_path / "stray.zip").touch()
    assert set_files(tmp_path / "mine") == files
    assert content_digest(user_files(tmp_path), tmp_path) != everything
    assert load_users(tmp_path)["mine"].ignored == ["more.jsonl", "notes.txt"]
    assert stray_files(tmp_path) == [tmp_path / "stray.zip"]


def test_a_set_of_one_file_has_its_solutions(tmp_path: Path) -> None:
    (tmp_path / "x_challenges.json").write_text(
        '{"t": {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}}'
    )
    (tmp_path / "x_solutions.json").write_text('{"t": [[[4]]]}')
    ((name, path),) = user_paths(tmp_path).items()
    assert name == "x_challenges"
    assert [file.name for file in set_files(path)] == ["x_challenges.json", "x_solutions.json"]
    assert load_users(tmp_path)[name].tasks[0].test[0].output.tolist() == [[4]]


def test_a_set_of_other_files_alone_says_which(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "tasks.zip").touch()
    with pytest.raises(UserError, match=r"no \.json file in it, but tasks\.zip; put ARC tasks there as \.json"):
        load_users(tmp_path)
