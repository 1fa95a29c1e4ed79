"""Tiny phases, and a few steps of training them: what the tests of the model have in common."""

from functools import cache
from pathlib import Path
from typing import Any

import torch

from arcjepa.config import Params, from_mapping
from arcjepa.dataset import admitted_share
from arcjepa.frames import Frames
from arcjepa.params import read_params
from arcjepa.record import Averages
from arcjepa.settings import Phase
from arcjepa.synthetic import generate_shard
from arcjepa.tokens import Tokens, tokenise
from arcjepa.trainer import Corpus, Trainer
from arcjepa.views import DeviceTokens, TokenBatch, gather

PARAMS = Path(__file__).parents[1] / "params.yaml"


def nested(changes: dict[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    tree: dict[str, Any] = {}
    for key, value in changes.items():
        *path, last = key.split(".")
        inner = tree
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return tree


@cache
def tiny_params() -> Params:
    """The committed params.yaml at scale tiny."""
    return from_mapping({**read_params(PARAMS), "scale": "tiny"})


def tiny_phase(name: str, changes: dict[str, Any] | None = None) -> Phase:
    """A phase at scale tiny, with the leaves of `changes` ("loss.teacher.decay": 0.5) put over it."""
    params = tiny_params()
    changed = {"parent": name, **nested(changes or {})}
    return params.model_copy(update={"phases": {**params.phases, "changed": changed}}).phase_settings("changed")


@cache
def tiny_corpus() -> Corpus:
    """40 tasks to train on, half of them called real, and 20 of held-out rules to validate with."""
    params = tiny_params()
    tasks, held_out = (generate_shard(params.data.synthetic, 0, 0, n, side) for n, side in ((40, False), (20, True)))
    training, validation = (tokenise(Frames.from_tasks(part), params.tokens) for part in (tasks, held_out))
    return Corpus(training, 20, validation, tiny_params().tokens)


def batch_of(tokens: Tokens, frames: list[int] | range, static: bool = False) -> TokenBatch:
    """The tokens of some frames as the encoder takes them."""
    return gather(DeviceTokens.from_numpy(tokens), torch.tensor(list(frames)), None, static)


def steps(trainer: Trainer, count: int) -> list[float]:
    """Take `count` steps at the share of tasks admitted in epoch 1; the total loss of each."""
    averages = Averages()
    admitted = admitted_share(trainer.phase.sequence.curriculum, 1)
    for _ in range(count):
        trainer.train_step(admitted, averages)
    return averages.values("train_total").tolist()


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
