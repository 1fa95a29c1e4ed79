"""A disk that is full, read-only or forbidden during a save: the checkpoint before is intact, and the fault is told."""

import os
import random
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from amounts import amount, fault

from arcjepa.checkpoint import Checkpoints, State
from arcjepa.errors import UserError

NOBODY = 65534
ROOT = os.geteuid() == 0


def state(step: int, size: int = 5000) -> State:
    return State({"x": torch.full((size,), float(step))}, {"step": step})


def kept_in(folder: Path) -> Checkpoints:
    return Checkpoints(folder, {"seed": 0}, lambda line: None)


@contextmanager
def limited(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def forbidden(folder: Path) -> Iterator[None]:
    """A folder in which this process may write nothing."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if ROOT:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if ROOT:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike `tmp_path`."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A file system of 256 KiB, and what changes how it is mounted; only root may have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder, lambda how: subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)
    subprocess.run(["umount", str(folder)], check=True)


def fails(kept: Checkpoints, of: State, reason: str) -> None:
    """Writing says where, why, how much room there is and what is intact, and leaves all as it was."""
    before = {path: path.read_bytes() for path in kept.folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=rf"checkpoint: cannot be written: {reason}, \d+ MB free there") as caught:
        kept.write(of)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in kept.folder.rglob("*") if path.is_file()} == before
    if before:
        assert f"{of.numbers['step'] - 1:09d}.checkpoint is intact" in str(caught.value)


@pytest.mark.parametrize("number", range(amount(5, 15)))
@fault("disk full during a save")
def test_a_disk_that_is_full_at_any_byte(number: int, tmp_path: Path) -> None:
    kept = kept_in(tmp_path / "kept")
    kept.write(state(1))
    with limited(random.Random(number).randrange(20_000)):
        fails(kept, state(2), "File too large")
    found = kept.newest()
    assert found is not None
    assert found.numbers["step"] == 1
    assert found.tensors["x"].equal(state(1).tensors["x"])
    kept.write(state(2))  # there is room again


@pytest.mark.parametrize("number", range(amount(2, 8)))
@fault("disk full during a save")
def test_a_file_system_that_is_full(small_disk: tuple[Path, Callable[[str], None]], number: int) -> None:
    kept = kept_in(small_disk[0] / "kept")
    kept.write(state(1, 25_000))
    (small_disk[0] / "other").write_bytes(bytes(random.Random(number).randrange(70_000, 130_000)))
    fails(kept, state(2, 25_000), "No space left on device")
    (small_disk[0] / "other").unlink()
    assert kept.newest().numbers["step"] == 1  # type: ignore[union-attr]


def refused(kept: Checkpoints, reason: str) -> None:
    """No training begins where its lock cannot be written, and what to do is told."""
    told = rf"owner: cannot be written: {reason}, \d+ MB free there; .*1\.checkpoint is intact; make room, .* type the"
    with pytest.raises(UserError, match=told) as caught, kept.owned():
        pytest.fail("a training began")
    assert "\n" not in str(caught.value)


@fault("disk full when a training begins")
def test_a_file_system_without_room_for_the_lock(small_disk: tuple[Path, Callable[[str], None]]) -> None:
    kept = kept_in(small_disk[0] / "kept")
    kept.write(state(1))
    (small_disk[0] / "other").write_bytes(bytes(shutil.disk_usage(small_disk[0]).free))
    refused(kept, "No space left on device")
    (small_disk[0] / "other").unlink()
    with kept.owned():
        assert kept.newest().numbers["step"] == 1  # type: ignore[union-attr]


@fault("disk full when a training begins")
def test_a_disk_that_is_full_before_the_lock_is_written(tmp_path: Path) -> None:
    kept = kept_in(tmp_path / "kept")
    kept.write(state(1))
    with limited(0):
        refused(kept, "File too large")
    with kept.owned():
        pass


@fault("read-only file system when a training begins")
def test_a_read_only_file_system_has_no_lock(small_disk: tuple[Path, Callable[[str], None]]) -> None:
    kept = kept_in(small_disk[0] / "kept")
    kept.write(state(1))
    small_disk[1]("ro")
    refused(kept, "Read-only file system")


@pytest.mark.parametrize("number", range(amount(1, 3)))
@fault("read-only file system during a save")
def test_a_file_system_that_is_read_only(small_disk: tuple[Path, Callable[[str], None]], number: int) -> None:
    kept = kept_in(small_disk[0] / "kept")
    kept.write(state(1))
    small_disk[1]("ro")
    fails(kept, state(2), "Read-only file system")
    small_disk[1]("rw")
    kept.write(state(2))


@pytest.mark.parametrize("number", range(amount(1, 4)))
@fault("no permission during a save")
def test_a_folder_without_permission(number: int, open_folder: Path) -> None:
    kept = kept_in(open_folder / "kept")
    for step in range(1, 1 + number % 2):
        kept.write(state(step))
    kept.folder.mkdir(exist_ok=True)
    with forbidden(kept.folder):
        fails(kept, state(1 + number % 2), "Permission denied")
    kept.write(state(1 + number % 2))
