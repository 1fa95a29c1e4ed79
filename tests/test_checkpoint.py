"""Which checkpoint is gone on from, where somebody moved, renamed or replaced files."""

import os
from pathlib import Path

import pytest
import torch

from arcjepa.checkpoint import Checkpoints, State
from arcjepa.errors import UserError


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def kept(tmp_path: Path, said: list[str]) -> Checkpoints:
    """Two checkpoints, of steps 1 and 2."""
    made = Checkpoints(tmp_path, {"seed": 0}, said.append)
    write(made, 1, 2)
    return made


def write(kept: Checkpoints, *steps: int) -> None:
    for step in steps:
        kept.write(State({"x": torch.arange(5.0) * step}, {"step": step}))


def named(kept: Checkpoints, step: int) -> Path:
    return kept.own / f"{step:09d}.checkpoint"


def newest_step(kept: Checkpoints) -> int:
    state = kept.newest()
    assert state is not None
    return int(state.numbers["step"])


@pytest.mark.parametrize("name", ["000000009.checkpoint", "zzz.checkpoint"])
def test_one_with_a_later_name_hides_no_later_one(kept: Checkpoints, said: list[str], name: str) -> None:
    named(kept, 1).rename(kept.own / name)
    assert newest_step(kept) == 2
    assert f"{name}: is damaged: of another step than its name says, which should be 000000001.checkpoint" in said[0]
    write(kept, 3, 4)
    assert newest_step(kept) == 4
    assert sorted(path.name for path in kept.own.glob("*.checkpoint")) == [named(kept, n).name for n in (3, 4)]


def test_those_with_wrong_names_alone_are_told_with_the_right_ones(kept: Checkpoints) -> None:
    for step in (1, 2):
        named(kept, step).rename(named(kept, step + 100))
    with pytest.raises(UserError, match=r"which should be 000000002\.checkpoint") as error:
        kept.newest()
    assert "\n" not in str(error.value)
    named(kept, 102).rename(named(kept, 2))
    assert newest_step(kept) == 2


def test_a_pipe_in_its_place_is_not_waited_for(kept: Checkpoints) -> None:
    named(kept, 2).unlink()
    os.mkfifo(named(kept, 2))
    with pytest.raises(UserError, match=r"000000002\.checkpoint: is no file; move it away"):
        kept.newest()


def test_a_start_without_checkpoints_that_were_there_is_told(kept: Checkpoints, said: list[str]) -> None:
    for step in (1, 2):
        named(kept, step).unlink()
    assert kept.newest() is None
    assert said == [f"no checkpoint is left in {kept.own}: training from the start"]


def test_a_first_start_says_nothing(tmp_path: Path, said: list[str]) -> None:
    assert Checkpoints(tmp_path, {"seed": 0}, said.append).newest() is None
    assert said == []


def test_an_identity_that_is_nested_too_deeply_is_told(kept: Checkpoints, said: list[str], tmp_path: Path) -> None:
    other = tmp_path / "other/identity.json"
    other.parent.mkdir()
    other.write_text("[" * 100_000)
    assert newest_step(kept) == 2
    assert f"checkpoints in {other.parent} are of another training: identity.json cannot be read" in said[0]


def test_an_old_one_that_cannot_be_removed_is_the_one_named(kept: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def refused(self: Path, missing_ok: bool = False) -> None:
        if self == named(kept, 1):
            raise PermissionError(1, "Operation not permitted", str(self))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(UserError, match=r"000000001\.checkpoint: cannot be written: Operation not permitted"):
        write(kept, 3)
    assert newest_step(kept) == 3
