"""A run that was interrupted after any step goes on as the same run; what is not finite is never kept."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from model_cases import budget, run_in, tiny_corpus, tiny_phase, tiny_trainer

from arcjepa import checkpoint, resumption, runs
from arcjepa.checkpoint import Checkpoints
from arcjepa.errors import UserError
from arcjepa.record import Averages
from arcjepa.resumption import Saver, Session, captured
from arcjepa.runs import Run, train
from arcjepa.settings import Phase


class Interrupted(Exception):
    """Raised in place of a kill."""


@contextmanager
def interrupted_after(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    after_step = Saver.after_step

    def then_stop(self: Saver, session: Session) -> None:
        after_step(self, session)
        if session.trainer.step == step:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Saver, "after_step", then_stop)
        yield


def kept_run(folder: Path, **changes: Any) -> Run:
    folder.mkdir(exist_ok=True)
    return replace(run_in(folder), checkpoints=folder / "kept", **changes)


def brief(name: str, changes: dict[str, Any] | None = None, **others: int) -> Phase:
    """4 epochs of 2 steps, a checkpoint after each."""
    return budget(
        tiny_phase(name, changes), **{"epochs": 4, "sequences": 64, "batch_size": 32, "checkpoint_seconds": 0, **others}
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "kind"), [(1, "vq"), (4, "vq"), (7, "gumbel"), (8, "gumbel"), (3, "fsq"), (5, "none")]
)
def test_interrupted_after_a_step_it_ends_the_same(
    step: int, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = brief("phase2", {"quantizer.kind": kind, "model.dropout": 0.3})
    train(phase, tiny_corpus(), kept_run(tmp_path / "whole"), str)
    run, said = kept_run(tmp_path / "run"), []
    with interrupted_after(step, monkeypatch), pytest.raises(Interrupted):
        train(phase, tiny_corpus(), run, str)
    for table in run.folder.glob("*.csv"):
        table.unlink()  # as Snakemake does before a job starts again
    train(phase, tiny_corpus(), run, said.append)
    assert said[0].startswith(f"going on after step {step}, from ")
    for name in ("encoder.safetensors", "losses.csv", "steps.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (run.folder / name).read_bytes()
    assert not (run.folder / "kept").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"phase": ("phase2", {"optimizer.lr": 0.5})}, "settings.optimizer.lr 0.002, now 0.5"),
        ({"seed": 1}, "seed 0, now 1"),
        ({"code": "other"}, "code '', now 'other'"),
    ],
)
def test_one_of_another_training_is_told_and_not_gone_on_from(
    changed: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, said = kept_run(tmp_path / "run"), []
    with interrupted_after(3, monkeypatch), pytest.raises(Interrupted):
        train(brief("phase2"), tiny_corpus(), run, str)
    phase = brief(*changed.pop("phase", ("phase2",)))
    with interrupted_after(1, monkeypatch), pytest.raises(Interrupted):
        train(phase, tiny_corpus(), replace(run, **changed), said.append)
    assert said[0].endswith(f"are of another training: {told}")
    assert "going on" not in "".join(said)
    # And the first one is there for who goes back.
    train(brief("phase2"), tiny_corpus(), run, said.append)
    assert "going on after step 3, from" in "".join(said)


def test_the_tokens_decide_as_well(tmp_path: Path) -> None:
    corpus = tiny_corpus()
    changed = replace(corpus, validation=replace(corpus.validation, height=corpus.validation.height + 1))
    one, other = (
        runs.checkpoints_of(brief("phase2"), of, kept_run(tmp_path), "cpu", str).own for of in (corpus, changed)
    )
    assert one != other
    assert replace(corpus, real=19).digest() != corpus.digest() == tiny_corpus().digest()


@pytest.mark.slow
def test_how_often_is_no_part_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, said = kept_run(tmp_path / "run"), []
    with interrupted_after(3, monkeypatch), pytest.raises(Interrupted):
        train(brief("phase2"), tiny_corpus(), run, str)
    train(brief("phase2", checkpoint_seconds=3600), tiny_corpus(), run, said.append)
    assert "going on after step 3, from" in said[0]


@pytest.mark.slow
def test_between_two_of_them_is_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, take = [0.0], runs.Trainer.train_step
    monkeypatch.setattr(resumption.time, "perf_counter", lambda: now[0])

    def slow(self: Any, averages: Averages) -> Any:
        now[0] += 0.4
        return take(self, averages)

    monkeypatch.setattr(runs.Trainer, "train_step", slow)
    # Nothing else asks for the time that passes.
    monkeypatch.setattr(runs, "time", SimpleNamespace(perf_counter=time.monotonic))
    written: list[int] = []
    monkeypatch.setattr(runs.Checkpoints, "write", lambda self, state: written.append(state.numbers["step"]))
    for seconds, expected in ((3600, []), (1, [3, 6])):
        train(brief("phase2", checkpoint_seconds=seconds), tiny_corpus(), kept_run(tmp_path), str)
        assert written == expected


@pytest.mark.slow
def test_asking_for_the_state_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[Any] = []
    after = Saver.after_step

    def twice(self: Saver, session: Session) -> None:
        session.settle()
        states.extend((captured(session), captured(session)))
        after(self, session)

    monkeypatch.setattr(Saver, "after_step", twice)
    train(brief("baseline", epochs=1), tiny_corpus(), kept_run(tmp_path), str)
    for one, other in zip(states[::2], states[1::2], strict=True):
        assert one.tensors.keys() == other.tensors.keys()
        assert all(value.equal(other.tensors[name]) for name, value in one.tensors.items())


# --- on a GPU


@pytest.mark.slow
def test_a_trainer_that_goes_on_is_compiled_from_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the run that was never interrupted is from its second."""
    compiled: list[int] = []

    def compile_(function: Callable, **_: Any) -> Callable:
        compiled.append(trainer.step)
        return lambda: function()

    monkeypatch.setattr(torch, "compile", compile_)
    for step, expected in ((0, [1]), (5, [5])):
        compiled.clear()
        trainer = tiny_trainer("phase2")
        trainer.fast, trainer.step = True, step
        for _ in range(3):
            trainer.train_step(Averages())
        assert compiled == expected


@pytest.mark.slow
def test_a_recorded_step_goes_on_in_its_own_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phase, places = brief("baseline"), []
    with interrupted_after(3, monkeypatch), pytest.raises(Interrupted):
        train(phase, tiny_corpus(), kept_run(tmp_path), str)
    restore = runs.restore

    def watched(state: Any, session: Session) -> None:
        held = {**session.trainer.jepa.state_dict(), **session.trainer.objective.state_dict()}
        before = {name: value.data_ptr() for name, value in held.items()}
        restore(state, session)
        held = {**session.trainer.jepa.state_dict(), **session.trainer.objective.state_dict()}
        places.append(before == {name: value.data_ptr() for name, value in held.items()})
        assert all(group["lr"] is session.trainer.rate for group in session.trainer.optimizer.param_groups)

    monkeypatch.setattr(runs, "restore", watched)
    train(phase, tiny_corpus(), kept_run(tmp_path), str)
    assert places == [True]


# --- not finite


@pytest.mark.slow
@pytest.mark.parametrize(("step", "value"), [(0, float("nan")), (5, float("inf"))])
def test_what_is_not_finite_is_never_kept_and_its_batch_is(
    step: int, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, phase = runs.Trainer.train_step, brief("phase1")
    kept: list[int] = []

    def poisoned(self: Any, averages: Averages) -> Any:
        if self.step == step:
            with torch.no_grad():
                next(iter(self.jepa.predictor.parameters()))[0, 0] = value
        return take(self, averages)

    monkeypatch.setattr(runs.Trainer, "train_step", poisoned)
    write = runs.Checkpoints.write
    monkeypatch.setattr(
        runs.Checkpoints, "write", lambda self, state: kept.append(state.numbers["step"]) or write(self, state)
    )
    run = kept_run(tmp_path / "run")
    with pytest.raises(UserError, match=rf"^step {step}: loss .*not finite.*its batch is in .*not_finite\.json$"):
        train(phase, tiny_corpus(), run, str)
    assert kept == list(range(1, step + 1))
    batch = json.loads((run.folder / "not_finite.json").read_text())
    assert (batch["step"], batch["seed"], len(batch["target"]), len(batch["tasks"])) == (step, 0, 32, 32)
    trainer = runs.Trainer(phase, tiny_corpus(), 0, "cpu")
    assert trainer.draw(torch.tensor(step)).target.tolist() == batch["target"]
    # Once the cause is gone it goes on, and the batch with it.
    monkeypatch.setattr(runs.Trainer, "train_step", take)
    train(phase, tiny_corpus(), run, partial(print, end=""))
    assert not (run.folder / "not_finite.json").exists()


# --- one at a time


@pytest.mark.slow
def test_two_never_train_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "OWNER_SECONDS", 0.3)
    run = kept_run(tmp_path)
    other = runs.checkpoints_of(brief("phase2"), tiny_corpus(), run, "cpu", str)
    assert other is not None
    with other.owned(), pytest.raises(UserError, match=r"owner: process \d+ on .* trains this phase with this seed"):
        train(brief("phase2"), tiny_corpus(), run, str)
    train(brief("phase2"), tiny_corpus(), run, str)
    assert (tmp_path / "encoder.safetensors").exists()


@pytest.mark.slow
def test_who_was_killed_owns_nothing(tmp_path: Path) -> None:
    hold = "import sys, time; from pathlib import Path; from arcjepa.checkpoint import Checkpoints\n"
    hold += "with Checkpoints(Path(sys.argv[1]), {}, print).owned():\n    print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
    with Checkpoints(tmp_path, {}, str).owned():
        assert (tmp_path / "owner").read_text().startswith("process ")


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(checkpoint.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(37, "No locks available")))
    with Checkpoints(tmp_path, {}, said.append).owned():
        pass
    assert said == [f"warning: {tmp_path}/owner: No locks available: here nothing keeps two trainings of one run apart"]


def test_a_lock_whose_file_was_removed_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before cleared its folder: a third training would find no lock there."""
    locked: list[int] = []
    lock = checkpoint.fcntl.flock

    def then_cleared(file: Any, how: int) -> None:
        lock(file, how)
        locked.append(how)
        if len(locked) == 1:
            (tmp_path / "owner").unlink()

    monkeypatch.setattr(checkpoint.fcntl, "flock", then_cleared)
    with Checkpoints(tmp_path, {}, str).owned():
        assert len(locked) == 2
        assert (tmp_path / "owner").read_text().startswith("process ")
