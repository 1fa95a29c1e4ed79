"""Checkpoints of a training on disk: written whole or not at all, checked before a byte is believed, two kept.

A file is one line, MAGIC and the SHA-256 of all that follows, and then tensors as safetensors has them, which executes
nothing; numbers are JSON in one of the tensors. Each is a file `<step>.checkpoint` in a folder that is named after
what the training depends on: a training of other settings, data, code, PyTorch or device has another folder.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from arcjepa.archives import reason
from arcjepa.config import canonical
from arcjepa.errors import UserError
from arcjepa.files import free, write_atomic, write_json
from arcjepa.params import leaves
from arcjepa.weight_files import CHECKPOINT_HEAD, checkpoint_fault, checkpoint_line

KEPT, NUMBERS, IDENTITY, OWNER = 2, "numbers", "identity.json", "owner"
OWNER_SECONDS = 30.0
"""How long a training waits for another one of the same phase and seed, which may be about to end."""
DAMAGED = (ValueError, KeyError, TypeError, RuntimeError, RecursionError, SafetensorError)
"""What safetensors, JSON and we ourselves raise on bytes that are no checkpoint."""


class State(NamedTuple):
    """All that a training goes on from."""

    tensors: dict[str, torch.Tensor]
    """On the CPU."""
    numbers: dict[str, Any]
    """What JSON holds exactly, `step` among it."""


@dataclass(frozen=True)
class Checkpoints:
    """Those of one training in `folder`, which holds those of others of the same phase and seed too."""

    folder: Path
    identity: dict[str, Any]
    """What the training depends on."""
    say: Callable[[str], None]

    @property
    def own(self) -> Path:
        """The folder of this very training."""
        return self.folder / hashlib.sha256(canonical(self.identity).encode()).hexdigest()[:16]

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Meanwhile nobody else trains this phase with this seed: a requeued job, whose first one is not quite dead.

        The lock ends with the process that has it, however that ends. Errors: UserError where another one keeps it.
        """
        path, end = self.folder / OWNER, time.monotonic() + OWNER_SECONDS
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = path.open("a+b", buffering=0)
            except OSError as error:
                raise self._unwritable(path, error) from None
            with file:
                self._lock(path, file, end)
                if not _is(path, file):  # whoever had it has removed it, and the next one has another
                    continue
                try:
                    file.truncate(0)
                    file.write(f"process {os.getpid()} on {platform.node()}".encode())
                except OSError as error:
                    raise self._unwritable(path, error) from None
                yield
                return

    def _lock(self, path: Path, file: FileIO, end: float) -> None:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    file.seek(0)
                    owner = file.read(200).decode(errors="replace") or "another process"
                    raise UserError(
                        f"{path}: {owner} trains this phase with this seed; wait until it has ended, or end it"
                    ) from None
                time.sleep(0.2)
            except OSError as error:
                self.say(f"warning: {path}: {error.strerror}: here nothing keeps two trainings of one run apart")
                return

    def write(self, state: State) -> Path:
        """Keep this one and the one before. Errors: UserError where it cannot be written; those before are intact."""
        path = self._path(state.numbers["step"])
        try:
            if not (self.own / IDENTITY).exists():
                write_json(self.own / IDENTITY, self.identity, sort_keys=True)
            write_atomic(path, _to_bytes(State(state.tensors, {**state.numbers, "identity": self.own.name})))
        except OSError as error:
            raise self._unwritable(path, error) from None
        for old in self._files()[KEPT:]:
            self._remove(old)
        return path

    def _unwritable(self, path: Path, error: OSError) -> UserError:
        intact = next((f"; {old} is intact" for old in self._files() if old != path), "")
        return UserError(
            f"{path}: cannot be written: {error.strerror or error}, {free(self.folder)} MB free there{intact}; make "
            "room, or the folder writable, and type the same command again, which goes on from the last checkpoint"
        )

    def newest(self) -> State | None:
        """The newest one that is whole, None where there is none of this training.

        A damaged one is told, removed, and passed over. Errors: UserError where all are damaged, or one cannot be read.
        """
        self._clean()
        self._tell_of_others()
        files, damaged = self._files(), []
        if not files and (self.own / IDENTITY).exists():
            self.say(f"no checkpoint is left in {self.own}: training from the start")
        for path in files:
            if path.exists() and not path.is_file():  # opening a pipe would wait without end
                raise UserError(f"{path}: is no file; move it away")
            try:
                state = _of_step(_from_bytes(path.read_bytes(), self.own.name), path)
            except OSError as error:
                raise UserError(f"{path}: cannot be read: {error.strerror}; make it readable, or remove it") from None
            except DAMAGED as error:
                damaged.append(f"{path}: is damaged: {reason(error)}")
                continue
            for bad, fault in zip(files, damaged, strict=False):
                self.say(f"warning: {fault}; it is removed, and {path.name} taken")
                self._remove(bad)
            self.say(f"going on after step {state.numbers['step']}, from {path}")
            return state
        if damaged:
            raise UserError(f"{'; '.join(damaged)}; to train from the start type: rm -r {self.own}")
        return None

    def at(self, step: int) -> State:
        """The one after this step, which another rank found whole. Errors: UserError where it is not, here."""
        path = self._path(step)
        try:
            return _from_bytes(path.read_bytes(), self.own.name)
        except (OSError, *DAMAGED) as error:
            raise UserError(f"{path}: cannot be read on {platform.node()}: {reason(error)}") from None

    def clear(self) -> None:
        """Remove them, and those of other trainings of this phase and seed: what was trained for is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self.own / f"{step:09d}.checkpoint"

    def _files(self) -> list[Path]:
        """The newest first."""
        return sorted(self.own.glob("*.checkpoint"), reverse=True)

    def _clean(self) -> None:
        """Remove what was being written by a process that is gone."""
        for path in self.own.glob(".*"):
            self._remove(path)

    def _remove(self, path: Path) -> None:
        try:
            path.unlink()
        except OSError as error:
            raise self._unwritable(path, error) from None

    def _tell_of_others(self) -> None:
        """Checkpoints that are there and are not gone on from, with the reason."""
        for path in sorted(self.folder.glob(f"*/{IDENTITY}")):
            if path.parent != self.own:
                self.say(f"checkpoints in {path.parent} are of another training: {_difference(path, self.identity)}")


def _difference(path: Path, identity: dict[str, Any]) -> str:
    """In which leaves the identity of a file is another."""
    try:
        held = dict(leaves(json.loads(path.read_bytes())))
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        return f"{path.name} cannot be read: {reason(error)}"
    own = dict(leaves(identity))
    differing = [key for key in sorted(own.keys() | held.keys()) if own.get(key) != held.get(key)]
    told = [f"{'.'.join(key)} {held.get(key)!r:.40}, now {own.get(key)!r:.40}" for key in differing]
    return "; ".join(told) or "its folder has another name"


def _to_bytes(state: State) -> bytes:
    numbers = torch.frombuffer(bytearray(json.dumps(state.numbers).encode()), dtype=torch.uint8)
    content = save({**state.tensors, NUMBERS: numbers})
    return checkpoint_line(content) + content


def _from_bytes(data: bytes, identity: str) -> State:
    """Errors: one of DAMAGED."""
    if fault := checkpoint_fault(data):
        raise ValueError(fault)
    tensors = load(data[CHECKPOINT_HEAD:])
    numbers = json.loads(tensors.pop(NUMBERS).numpy().tobytes())
    if numbers["identity"] != identity:
        raise ValueError("of another training, and moved here")
    return State(tensors, {**numbers, "step": int(numbers["step"])})


def _of_step(state: State, path: Path) -> State:
    """The state in this file. Errors: ValueError where the name tells another step: one that is named too late would
    be taken for the newest for good."""
    name = f"{state.numbers['step']:09d}{path.suffix}"
    if path.name != name:
        raise ValueError(f"of another step than its name says, which should be {name}")
    return state


def _is(path: Path, file: FileIO) -> bool:
    """Whether an open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
