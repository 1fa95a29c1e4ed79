"""What a run is between two steps: where it stands, everything that its next step depends on, and how that is kept.

All of it fits on the next process bit for bit: data, views and slices are drawn by (seed, step), so that torch's own
generators (dropout, Gumbel noise, samples for a codebook) are the only ones with a state.
"""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from signal import Signals
from typing import Any

import torch

from arcjepa.checkpoint import DAMAGED, Checkpoints, State
from arcjepa.errors import UserError
from arcjepa.quantizer import CodebookQuantizer
from arcjepa.ranks import gathered, largest, rank, summed, world_size
from arcjepa.record import Averages, Record
from arcjepa.signals import FAILED, Noted, noted_signals
from arcjepa.trainer import Trainer

Weights = dict[str, torch.Tensor]


@dataclass
class Position:
    """Where a run stands: within an epoch, with what it will want to know at its end."""

    epoch: int = 1
    trained: Averages = field(default_factory=Averages)
    """The steps of the epoch."""
    started: float = field(default_factory=time.perf_counter)
    """When the run would have started, had it never been interrupted."""
    epoch_started: float = field(default_factory=time.perf_counter)
    """The same of the epoch."""
    best: float = math.inf
    best_epoch: int = 0
    best_weights: Weights | None = None
    """What early stopping would keep."""

    def begin_epoch(self, epoch: int) -> None:
        """The first step of an epoch is next."""
        self.epoch, self.trained, self.epoch_started = epoch, Averages(), time.perf_counter()


@dataclass
class Session:
    """A run that is going on."""

    trainer: Trainer
    record: Record
    beside: Executor
    """Works out rows of steps.csv."""
    position: Position
    written: list[Future] = field(default_factory=list)
    """Those that are being worked out."""

    def settle(self) -> None:
        """Wait until every row is in its file."""
        for row in self.written:
            row.result()
        self.written.clear()


@dataclass
class Saver:
    """Writes a checkpoint of a session after a step, where it is time to."""

    checkpoints: Checkpoints
    interval: float
    """Seconds."""
    noted: Noted
    last: float = field(default_factory=lambda: time.perf_counter())

    def after_step(self, session: Session) -> None:
        """Save where the interval is over, or a signal came. Errors: UserError where the file cannot be written, or
        the run is not finite; SystemExit after a signal."""
        self.noted.listen()
        signal, due = self._agreed()
        if signal is None and not due:
            return
        session.trainer.check(session.position.trained)
        session.settle()
        state = captured(session)
        if rank() == 0:
            path = self.checkpoints.write(state)
        self.last = time.perf_counter()
        if signal is not None:
            if rank() == 0:
                self.checkpoints.say(f"{signal.name}: ended after step {session.trainer.step}, which is kept in {path}")
            largest(torch.zeros(1))  # nobody ends before the file is whole, as the others would be ended too
            raise SystemExit(FAILED + signal)

    def _agreed(self) -> tuple[Signals | None, bool]:
        """The last signal that any rank noted, and whether the interval is over by the first one's clock.

        On the CPU, where an exchange after every step does not wait for a GPU.
        """
        due = rank() == 0 and time.perf_counter() - self.last >= self.interval
        if world_size() == 1:
            return self.noted.last, due
        number, over = largest(torch.tensor([self.noted.last or 0, due])).tolist()
        return Signals(number) if number else None, bool(over)


@contextmanager
def saving(checkpoints: Checkpoints | None, interval: float) -> Iterator[Callable[[Session], None]]:
    """What to call after every step: it saves now and then, and ends the run after a signal. Without checkpoints it
    does nothing, and signals do what they do."""
    if checkpoints is None:
        yield lambda session: None
        return
    with noted_signals() as noted:
        yield Saver(checkpoints, interval, noted).after_step


def captured(session: Session) -> State:
    """The whole state after a step, of all ranks, each of which has to ask; nothing is changed by it."""
    trainer, position, now = session.trainer, session.position, time.perf_counter()
    names, rows, numbers = position.trained.held()
    held = {"rows.tensors": rows, "rows.numbers": numbers, "codes_used": summed(trainer.codes_used)}
    held |= {f"jepa.{name}": value for name, value in trainer.jepa.state_dict().items()}
    held |= {f"objective.{name}": value for name, value in trainer.objective.state_dict().items()}
    held |= {f"best.{name}": value for name, value in (position.best_weights or {}).items()}
    for number, parameter in enumerate(trainer.parameters):
        slots = trainer.optimizer.state.get(parameter, {})
        held |= {f"optimizer.{number}.{name}": value for name, value in slots.items()}
    for kind, state in _generators(trainer.device).items():
        held |= {f"random.{kind}.{of}": one for of, one in enumerate(gathered(state[None]))}
    held |= {f"record.{name}": _bytes(content) for name, content in session.record.held().items()}
    quantizer = trainer.jepa.encoder.quantizer
    about: dict[str, Any] = {
        "ranks": world_size(),
        "step": trainer.step,
        "epoch": position.epoch,
        "elapsed": now - position.started,
        "epoch_elapsed": now - position.epoch_started,
        "best": position.best,
        "best_epoch": position.best_epoch,
        "names": names,
    }
    if isinstance(quantizer, CodebookQuantizer):
        about |= {"quantizer": [quantizer.steps, quantizer.refreshed]}
    return State({name: value.detach().cpu().contiguous() for name, value in held.items()}, about)


def restore(state: State, session: Session) -> None:
    """Make a session that has just begun the one that `captured` gave, in the tensors that it has: a recorded step
    goes on reading those. Errors: UserError where the state does not fit, which files that we wrote always do."""
    try:
        _restore(state, session)
    except DAMAGED as error:
        raise UserError(f"a checkpoint does not fit this training: {' '.join(str(error).split())[:200]}") from None


def _restore(state: State, session: Session) -> None:
    trainer, numbers = session.trainer, state.numbers
    trainer.jepa.load_state_dict(_part(state, "jepa."))
    trainer.objective.load_state_dict(_part(state, "objective."))
    for number, parameter in enumerate(trainer.parameters):
        slots = _part(state, f"optimizer.{number}.")
        if slots:
            trainer.optimizer.state[parameter] = {name: _like(parameter, value) for name, value in slots.items()}
    trainer.codes_used.copy_(state.tensors["codes_used"] * (rank() == 0))
    trainer.step = numbers["step"]
    trainer.count.fill_(trainer.step)
    quantizer = trainer.jepa.encoder.quantizer
    if isinstance(quantizer, CodebookQuantizer):
        quantizer.steps, quantizer.refreshed = numbers["quantizer"]
    session.record.take({name: value.numpy().tobytes() for name, value in _part(state, "record.").items()})
    session.position = _position(state, trainer.device)
    if rank() < numbers["ranks"]:  # one more than there were has drawn nothing yet
        torch.set_rng_state(state.tensors[f"random.cpu.{rank()}"])
        if trainer.device == "cuda":
            torch.cuda.set_rng_state(state.tensors[f"random.cuda.{rank()}"])


def _position(state: State, device: str) -> Position:
    numbers, now, trained = state.numbers, time.perf_counter(), Averages()
    columns, plain = numbers["names"]
    trained.take((columns, plain), state.tensors["rows.tensors"].to(device), state.tensors["rows.numbers"])
    best = {name: value.to(device) for name, value in _part(state, "best.").items()}
    return Position(
        numbers["epoch"],
        trained,
        now - numbers["elapsed"],
        now - numbers["epoch_elapsed"],
        numbers["best"],
        numbers["best_epoch"],
        best or None,
    )


def _part(state: State, prefix: str) -> Weights:
    return {name.removeprefix(prefix): value for name, value in state.tensors.items() if name.startswith(prefix)}


def _like(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A moment laid out as the optimiser does: as the parameter; a counter on its device."""
    if value.ndim == 0:
        return value.to(parameter.device, copy=True)
    return torch.zeros_like(parameter, memory_format=torch.preserve_format).copy_(value)


def _generators(device: str) -> Weights:
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if device == "cuda" else {})


def _bytes(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
