"""Does a trained model predict its own target, from its own demonstrations, better than by copying the query?

By the term of its own objective, on rules that were held out: a model that ignores its demonstrations fails, and so
does one that gives back its query.
"""

from dataclasses import replace

import pytest
import torch
from model_cases import steps, tiny_corpus, tiny_phase
from torch import nn

from arcjepa.dataset import Batch
from arcjepa.trainer import Trainer

STEPS = 48


class Copy(nn.Module):
    """(B, F, D) -> (B, D): the query itself, in place of a predictor."""

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        return context[:, -1]


def of_others(frames: torch.Tensor) -> torch.Tensor:
    """Half a batch away, as neighbours are pairs of one task."""
    return frames.roll(len(frames) // 2, 0)


def prediction(trainer: Trainer, batch: Batch) -> float:
    """The unweighted prediction term."""
    with torch.no_grad():
        return float(trainer.forward(trainer.validation_tokens, batch, 0)[2]["prediction"][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "phase2", "phase3"])
def test_targets_are_predicted_from_the_demonstrations_of_their_task(name: str) -> None:
    plan = {"training.epochs": STEPS // 4, "optimizer.lr": 8e-3, "sequence.curriculum.enabled": False}
    trainer = Trainer(tiny_phase(name, plan), tiny_corpus(), 0, "cpu")
    steps(trainer, STEPS)
    trainer.jepa.eval()
    trainer.objective.eval()
    batch = trainer.validation[0]
    own = prediction(trainer, batch)
    demonstrations = torch.cat([of_others(batch.context[:, :-1]), batch.context[:, -1:]], dim=1)
    assert own < 0.85 * prediction(trainer, replace(batch, context=demonstrations))
    assert own < 0.5 * prediction(trainer, replace(batch, target=of_others(batch.target)))
    trainer.jepa.predictor = Copy()
    assert own < 0.95 * prediction(trainer, batch)
