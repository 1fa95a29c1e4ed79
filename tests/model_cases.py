"""Tiny phases, and a few steps of training them: what the tests of the model have in common.

Shapes: B sequences, F context frames, D dimensions, S object slots, W channels.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from arcjepa.config import Params, from_mapping
from arcjepa.corpus import Corpus
from arcjepa.dataset import admitted_share
from arcjepa.frames import Frames
from arcjepa.jepa import Relations
from arcjepa.near_misses import misses_of_outputs
from arcjepa.params import put, read_params
from arcjepa.quantizer import QuantizerModule, make_quantizer
from arcjepa.record import Averages
from arcjepa.runs import Run, train
from arcjepa.settings import Phase
from arcjepa.synthetic import generate_shard
from arcjepa.tokens import Tokens, tokenise
from arcjepa.trainer import Trainer
from arcjepa.views import DeviceTokens, TokenBatch, gather

PARAMS = Path(__file__).parents[1] / "params.yaml"
B, F, D, S, W = 32, 3, 16, 5, 8
NEAR_MISSES = 2
WIDTH, CODES, ROWS = 16, 32, 400
"""Channels of objects, codes at scale tiny, and objects of a test of the quantisers."""


@cache
def tiny_params() -> Params:
    """The committed params.yaml at scale tiny."""
    return from_mapping({**read_params(PARAMS), "scale": "tiny"})


def tiny_phase(name: str, changes: dict[str, Any] | None = None) -> Phase:
    """A phase at scale tiny, with the leaves of `changes` ("loss.teacher.decay": 0.5) put over it."""
    params = tiny_params()
    changed = {"parent": name, **put({}, changes or {})}
    return params.model_copy(update={"phases": {**params.phases, "changed": changed}}).phase_settings("changed")


@cache
def tiny_corpus() -> Corpus:
    """40 tasks to train on, half of them called real, and 20 of held-out rules to validate with."""
    params = tiny_params()
    tasks, held_out = (generate_shard(params.data.synthetic, 0, 0, n, side) for n, side in ((40, False), (20, True)))
    frames = Frames.from_tasks(tasks), Frames.from_tasks(held_out)
    training, validation = (tokenise(part, params.tokens) for part in frames)
    missed, missed_too = (tokenise(misses_of_outputs(part, NEAR_MISSES), params.tokens) for part in frames)
    return Corpus(training, 20, validation, tiny_params().tokens, (missed, missed_too))


def batch_of(tokens: Tokens, frames: list[int] | range, room: int | None = None) -> TokenBatch:
    """The tokens of some frames as the encoder takes them."""
    return gather(DeviceTokens.from_numpy(tokens), torch.tensor(list(frames)), None, room)


def steps(trainer: Trainer, count: int) -> list[float]:
    """Take `count` steps at the share of tasks admitted in epoch 1; the total loss of each."""
    averages = Averages()
    trainer.admitted.fill_(admitted_share(trainer.phase.sequence.curriculum, 1))
    for _ in range(count):
        trainer.train_step(averages)
        trainer.check(averages)
    return averages.columns()["train_total"].tolist()


def trace(phase: Phase, count: int = 3, seed: int = 0) -> tuple[list[float], torch.Tensor]:
    """Losses of the first steps and all weights after them, as one vector."""
    trainer = Trainer(phase, tiny_corpus(), seed, "cpu")
    return steps(trainer, count), weights(trainer.jepa)


def weights(module: torch.nn.Module) -> torch.Tensor:
    """Parameters and buffers as one float64 vector."""
    return torch.cat([value.detach().double().flatten() for value in module.state_dict().values()])


def differs(one: tuple[list[float], torch.Tensor], other: tuple[list[float], torch.Tensor]) -> bool:
    """Whether two traces differ in a loss, or in weights of one shape: another shape alone is no difference."""
    return one[0] != other[0] or (one[1].shape == other[1].shape and not torch.equal(one[1], other[1]))


# --- runs


def budget(phase: Phase, **changes: int) -> Phase:
    """A phase with other leaves of `training`."""
    return phase.model_copy(update={"training": phase.training.model_copy(update=changes)})


def tiny_trainer(name: str, changes: dict[str, Any] | None = None) -> Trainer:
    """The trainer of a tiny phase, seed 0."""
    return Trainer(tiny_phase(name, changes), tiny_corpus(), 0, "cpu")


def run_in(folder: Path, seed: int = 0, device: str = "cpu") -> Run:
    """A run that leaves everything below a folder."""
    return Run(seed, device, folder, folder / "events")


def trained(phase: Phase, folder: Path, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """epochs.csv, steps.csv and run.json of a run on the tiny corpus."""
    folder.mkdir(exist_ok=True)
    train(phase, tiny_corpus(), run_in(folder, seed), lambda line: None)
    epochs, rows = (pd.read_csv(folder / name) for name in ("epochs.csv", "steps.csv"))
    return epochs, rows, json.loads((folder / "run.json").read_text())


class Transfers(TorchDispatchMode):
    """Counts what would wait for a device: numbers read from tensors, and shapes that depend on data."""

    ATEN = torch.ops.aten
    WAITING = (ATEN._local_scalar_dense.default, ATEN.nonzero.default, ATEN.masked_select.default)

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        masked = func is self.ATEN.index.Tensor and any(i is not None and i.dtype == torch.bool for i in args[1])
        self.count += masked or func in self.WAITING
        return func(*args, **(kwargs or {}))


# --- parts of the model


def tiny_quantizer(kind: str = "vq", **changes: object) -> QuantizerModule:
    """A quantiser at scale tiny, refresh off unless asked for: refresh__enabled=True is quantizer.refresh.enabled."""
    leaves = {"kind": kind, "refresh.enabled": False} | {key.replace("__", "."): v for key, v in changes.items()}
    phase = tiny_phase("baseline", {f"quantizer.{key}": value for key, value in leaves.items()})
    return make_quantizer(WIDTH, phase.quantizer)


def objects(count: int = ROWS, scale: float = 1.0) -> torch.Tensor:
    """Random object embeddings (count, WIDTH)."""
    return scale * torch.randn(count, WIDTH)


def all_real(x: torch.Tensor) -> torch.Tensor:
    """The mask of objects without padding."""
    return torch.ones(len(x), dtype=torch.bool)


def relations() -> Relations:
    """Random objects, of which half of the pairs or more are adjacent."""
    made = torch.randn(F + 1, B, S, W)
    adjacent = torch.rand(F + 1, B, S, S) < 0.5
    return Relations(made, adjacent | adjacent.transpose(-1, -2))


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("baseline", {}),
    ("phase2", {}),
    ("phase2", {"quantizer.kind": "none"}),
    ("phase2", {"quantizer.kind": "fsq"}),
    ("phase2", {"sequence.framing": "query"}),
    ("phase3", {}),
]
"""Phases and changes with every kind of quantiser."""


def briefly_trained(name: str, changes: dict[str, Any] | None = None) -> Trainer:
    """A trainer after two steps."""
    trainer = Trainer(tiny_phase(name, changes), tiny_corpus(), 0, "cpu")
    steps(trainer, 2)
    return trainer
