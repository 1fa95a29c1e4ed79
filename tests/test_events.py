"""TensorBoard gets the rows of the record, changes nothing of a run, and is asked for before training where missing."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from model_cases import budget, tiny_phase, trained

from arcjepa import trainer
from arcjepa.config import hyperparameters, resolved
from arcjepa.encoder_files import load_encoder
from arcjepa.errors import UserError
from arcjepa.events import Events
from arcjepa.settings import Phase

MODULE = "torch.utils.tensorboard"


class Writer:
    """Stands in for SummaryWriter: notes what it is told."""

    made: list["Writer"] = []  # noqa: RUF012

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.flushed, self.closed = folder, {}, 0, False
        self.made.append(self)

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars[tag, step] = value

    def flush(self) -> None:
        self.flushed = len(self.scalars)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    """The writers made in a test, which need no tensorboard."""
    monkeypatch.setattr(Writer, "made", [])
    monkeypatch.setitem(sys.modules, MODULE, SimpleNamespace(SummaryWriter=Writer))
    return Writer.made


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if tensorboard were not installed, whether or not it is."""
    monkeypatch.setitem(sys.modules, MODULE, None)


def watched(on: bool) -> Phase:
    phase = budget(tiny_phase("baseline"), epochs=2, sequences=64)
    return phase.model_copy(update={"training": phase.training.model_copy(update={"tensorboard": on})})


def test_numbers_of_a_row_are_scalars_over_the_steps(writers: list[Writer], tmp_path: Path) -> None:
    events = Events(tmp_path)
    events.add("losses", [{"step": 7, "epoch": 2, "lr": 0.5, "temperature": None}, {"step": 8, "lr": 0.25}])
    assert writers[0].folder == str(tmp_path)
    assert writers[0].scalars == {("losses/lr", 7): 0.5, ("losses/lr", 8): 0.25}
    assert writers[0].flushed == 2
    events.close()
    assert writers[0].closed


@pytest.mark.usefixtures("writers")
def test_a_run_begins_without_the_curves_of_the_last(tmp_path: Path) -> None:
    for name in ("events.out.tfevents.1.host", "notes.txt"):
        (tmp_path / name).write_text("")
    Events(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_watching_shows_the_whole_record_and_changes_none_of_it(writers: list[Writer], tmp_path: Path) -> None:
    plain, shown = (trained(watched(on), tmp_path / str(on)) for on in (False, True))
    assert len(writers) == 1
    assert writers[0].closed
    times = ["seconds", "sequences_per_second"]
    pd.testing.assert_frame_equal(plain[0].drop(columns=times), shown[0].drop(columns=times), check_exact=True)
    pd.testing.assert_frame_equal(plain[1], shown[1], check_exact=True)
    files = ("encoder.safetensors", "losses.csv")
    assert all((tmp_path / "False" / f).read_bytes() == (tmp_path / "True" / f).read_bytes() for f in files)
    expected: dict[tuple[str, int], Any] = {}
    for group in ("losses", "steps", "epochs"):
        table = pd.read_csv(tmp_path / "True" / f"{group}.csv").set_index("step").drop(columns="epoch")
        expected |= {(f"{group}/{name}", step): value for (step, name), value in table.stack().dropna().items()}
    assert writers[0].scalars == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("missing")
def test_a_missing_tensorboard_is_an_error_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "Trainer", lambda *_: pytest.fail("training has started"))
    with pytest.raises(UserError, match=r"training\.tensorboard: is true.*false.*pip install tensorboard") as caught:
        trained(watched(True), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.usefixtures("missing")
def test_who_does_not_watch_needs_no_tensorboard(tmp_path: Path) -> None:
    epochs, _, _ = trained(watched(False), tmp_path)
    assert len(epochs)


@pytest.mark.slow
def test_no_result_depends_on_watching(tmp_path: Path) -> None:
    """So that switching it makes nothing stale."""
    on, off = watched(True), watched(False)
    assert on != off
    assert resolved(on) == resolved(off)
    assert hyperparameters(on) == hyperparameters(off)
    assert on.model_dump() == off.model_dump()
    trained(off, tmp_path)
    load_encoder(tmp_path / "encoder.safetensors")  # whose settings do not say
