"""No output is deleted that a training without a Snakemake is writing."""

import fcntl
import time
from pathlib import Path
from threading import Timer

import pytest

from arcjepa import checkpoint
from arcjepa.checkpoint import Checkpoints
from arcjepa.errors import UserError
from arcjepa.live_trainings import OWNER, wait_for_trainings


def training(folder: Path) -> Checkpoints:
    return Checkpoints(folder, {"phase": "phase1"}, print)


def test_a_training_that_goes_on_is_named(tmp_path: Path) -> None:
    folders = [tmp_path / "phase1/seed0", tmp_path / "phase2/seed0", tmp_path / "phase3/seed0"]
    with training(folders[0]).owned():
        pass
    with training(folders[1]).owned():
        with pytest.raises(UserError) as told:
            wait_for_trainings(folders, 0.3)
        assert (folders[1] / OWNER).exists()
    assert str(told.value).startswith(f"{folders[1]}/owner: process ")
    assert "type the same command again" in str(told.value)
    assert "phase1" not in str(told.value)
    wait_for_trainings(folders, 0.0)


def test_one_that_is_about_to_end_is_waited_for(tmp_path: Path) -> None:
    tmp_path.joinpath(OWNER).touch()
    file = tmp_path.joinpath(OWNER).open("rb")
    fcntl.flock(file, fcntl.LOCK_EX)
    began = time.monotonic()
    ending = Timer(0.5, file.close)
    ending.start()
    wait_for_trainings([tmp_path], 20.0)
    assert 0.3 < time.monotonic() - began < 15
    ending.join()


def test_trainings_keep_the_same_file_locked() -> None:
    assert OWNER == checkpoint.OWNER
