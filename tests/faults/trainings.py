"""Real trainings in processes of their own, to be killed: forked from one that has imported everything already.

`TRAININGS.process(...)` runs `go_on`; what is preloaded is this module, with the corpus made.
"""

import ctypes
import hashlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from amounts import DEVICE, EPOCHS
from model_cases import budget, run_in, tiny_corpus, tiny_phase

from arcjepa import checkpoint, runs, trainer
from arcjepa.errors import UserError
from arcjepa.record import SCHEMA
from arcjepa.resumption import Session, captured
from arcjepa.settings import Phase
from arcjepa.signals import ENDING

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("baseline", {"model.dropout": 0.3}),
    "early stop": ("phase1", {"stopping.patience": 3, "stopping.min_delta": 100.0}),
    "phase2": ("phase2", {}),
    "phase3": ("phase3", {}),
    "gradnorm": ("baseline", {"loss.gradnorm.enabled": True, "loss.sigreg.form": "published"}),
    "near misses": ("phase1", {"loss.hard_negatives.enabled": True}),
}
"""With and without teacher, queue, refresh, Gumbel's codes, curriculum, weights kept for the end, balanced terms."""
STAGES = ("half written", "not flushed", "before the rename", "after the rename", "before the old one goes")
"""Of writing a checkpoint."""
TIMES = ("seconds", "sequences_per_second")
STATE = "state.sha256"


def tiny_run(variant: str, seconds: float = 0.0, epochs: int = EPOCHS) -> Phase:
    """Three steps an epoch, with so long between checkpoints."""
    name, changes = VARIANTS[variant]
    return budget(tiny_phase(name, changes), epochs=epochs, sequences=48, batch_size=16, checkpoint_seconds=seconds)


def go_on(folder: Path, phase: Phase, die: tuple[int, str] | None = None, **changes: Any) -> None:
    """Train, or go on, in a folder; kill this process in the n-th save where `die` says so."""
    trainer.RECORD_ROWS = 6  # one for three steps
    sessions: list[Session] = []
    runs.Session = lambda *arguments: sessions.append(Session(*arguments)) or sessions[-1]
    if die is not None:
        _die_inside(*die)
    folder.mkdir(exist_ok=True)
    run = replace(run_in(folder), device=DEVICE, checkpoints=folder / "kept", **changes)
    with (folder / "said").open("a") as said:
        sys.stderr = said
        runs.train(phase, tiny_corpus(), run, partial(print, file=said, flush=True))
    (folder / STATE).write_text(_digest(sessions[-1]))


def taken_by_native_code(folder: Path, phase: Phase) -> None:
    """The same, with all signals that end it ignored by native code in the second step, and one that comes later."""
    take, libc = trainer.Trainer.train_step, ctypes.CDLL(None)
    libc.signal.argtypes = ctypes.c_int, ctypes.c_void_p

    def taking(self: trainer.Trainer, averages: Any) -> Any:
        if self.step == 1:
            for number in ENDING:
                libc.signal(number, int(signal.SIG_IGN))
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
        return take(self, averages)

    trainer.Trainer.train_step = taking
    go_on(folder, phase)


def poisoned(folder: Path, phase: Phase, step: int, value: str) -> None:
    """The same, with a weight that is not finite from a step on."""
    take = trainer.Trainer.train_step

    def bad(self: trainer.Trainer, averages: Any) -> Any:
        if self.step == step:
            next(iter(self.jepa.predictor.parameters())).data.flatten()[0] = float(value)
        return take(self, averages)

    trainer.Trainer.train_step = bad
    try:
        go_on(folder, phase)
    except UserError as error:
        sys.stderr = sys.__stderr__
        (folder / "said").write_text(str(error))
        raise SystemExit(1) from None


def _digest(session: Session) -> str:
    """Of all that a next step would depend on, bit for bit."""
    state, total = captured(session), hashlib.sha256()
    for name, value in sorted(state.tensors.items()):
        if not name.startswith("record."):
            total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode() + value.numpy().tobytes())
    plain = {name: value for name, value in state.numbers.items() if "elapsed" not in name}
    return hashlib.sha256(total.digest() + repr(plain).encode()).hexdigest()


def _die_inside(save: int, stage: str) -> None:
    """Patch what writes checkpoints, so that this process kills itself at a stage of the n-th one."""
    saves: list[Path] = []
    write, fsync, rename, unlink = checkpoint.write_atomic, os.fsync, Path.replace, Path.unlink

    def at(*stages: str) -> None:
        if len(saves) == save and stage in stages:
            os.kill(os.getpid(), signal.SIGKILL)

    def written(path: Path, content: bytes) -> None:
        saves.append(path)
        if len(saves) == save and stage == "half written":
            path.with_name(f".{path.name}.{os.getpid()}").write_bytes(content[: len(content) // 2])
        at("half written")
        write(path, content)

    def flushed(handle: int) -> None:
        at("not flushed")
        fsync(handle)

    def renamed(self: Path, target: Path) -> Path:
        at("before the rename")
        done = rename(self, target)
        at("after the rename")
        return done

    def unlinked(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".checkpoint":
            at("before the old one goes")
        unlink(self, missing_ok)

    checkpoint.write_atomic, os.fsync, Path.replace, Path.unlink = written, flushed, renamed, unlinked


def results(folder: Path) -> dict[str, str]:
    """What a run made, with the columns that a clock filled left out, and all that it was at its end."""
    return results_of_run(folder) | {STATE: (folder / STATE).read_text()}


def results_of_run(folder: Path) -> dict[str, str]:
    """What a run made, with the columns that a clock filled left out."""
    made = {name: (folder / name).read_text() for name in SCHEMA if name.endswith(".csv")}
    header, *rows = (line.split(",") for line in made["epochs.csv"].splitlines())
    timed = [header.index(name) for name in TIMES]
    made["epochs.csv"] = "\n".join(
        ",".join(value for number, value in enumerate(row) if number not in timed) for row in (header, *rows)
    )
    return made | {"encoder": hashlib.sha256((folder / "encoder.safetensors").read_bytes()).hexdigest()}


def newest_step(folder: Path) -> int:
    """Of the checkpoints of a run; 0 where there is none, or where its end is just deleting them."""
    with suppress(FileNotFoundError):
        return max((int(path.stem) for path in folder.glob("kept/*/*.checkpoint")), default=0)
    return 0


def process(target: Callable[..., None], *arguments: Any, **named: Any) -> Any:
    """A process that has all modules, and the corpus, from the start."""
    places = [str(Path(__file__).parent), str(Path(__file__).parents[1]), *sys.path]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, places)))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "trainings"])
    made = context.Process(target=target, args=arguments, kwargs=named)
    made.start()
    return made


if multiprocessing.parent_process() is not None or "forkserver" in " ".join(sys.orig_argv):
    # What the first one imports takes seconds.
    trainer.Trainer(tiny_run("baseline"), tiny_corpus(), 0, "cpu")
