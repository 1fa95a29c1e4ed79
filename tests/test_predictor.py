"""The predictor reads all context frames, tells their places apart, and starts from the query and what is shown."""

from typing import Any

import pytest
import torch
from model_cases import tiny_phase
from torch import nn

from arcjepa.predictor import Predictor

pytestmark = pytest.mark.usefixtures("seeded")
DIM = 16


def make(attention: bool, frames: int = 5, **changes: Any) -> Predictor:
    settings = {"model.frame_attention": attention} | {f"model.{key}": value for key, value in changes.items()}
    return Predictor(tiny_phase("phase2", settings).model, frames)


BOTH = pytest.mark.parametrize("attention", [False, True], ids=["concat", "attention"])


@BOTH
@pytest.mark.parametrize("frames", [1, 3, 5, 7])
def test_context_in_one_embedding_out(attention: bool, frames: int) -> None:
    predictor = make(attention, frames)
    assert (predictor.attention is not None) == attention
    assert predictor(torch.randn(4, frames, DIM)).shape == (4, DIM)


@BOTH
def test_every_frame_and_its_place_counts(attention: bool) -> None:
    predictor, context = make(attention).eval(), torch.randn(8, 5, DIM)
    with torch.no_grad():
        plain = predictor(context)
        for frame in range(5):
            other = context.clone()
            other[:, frame] = torch.randn(8, DIM)
            assert (predictor(other) - plain).abs().amax(1).min() > 1e-4, frame
        swapped = context[:, [1, 0, 2, 3, 4]]
        assert (predictor(swapped) - plain).abs().amax(1).min() > 1e-5


@BOTH
def test_sequences_do_not_see_each_other(attention: bool) -> None:
    predictor, context = make(attention).eval(), torch.randn(8, 5, DIM)
    with torch.no_grad():
        alone = torch.cat([predictor(row[None]) for row in context])
        assert torch.allclose(predictor(context), alone, atol=1e-5)


@BOTH
def test_without_analogy_it_adds_to_the_query(attention: bool) -> None:
    predictor, context = make(attention, analogy=False), torch.randn(8, 5, DIM)
    nn.init.zeros_(predictor.read.leave.weight)
    nn.init.zeros_(predictor.read.leave.bias)
    assert predictor(context).equal(context[:, -1])


@BOTH
@pytest.mark.parametrize("frames", [1, 3, 7])
def test_by_analogy_it_adds_to_the_query_moved_by_the_mean_change_that_is_shown(attention: bool, frames: int) -> None:
    predictor, context = make(attention, frames, analogy=True), torch.randn(8, frames, DIM)
    nn.init.zeros_(predictor.read.leave.weight)
    nn.init.zeros_(predictor.read.leave.bias)
    expected = context[:, -1]
    for pair in range(frames // 2):
        expected = expected + (context[:, 2 * pair + 1] - context[:, 2 * pair]) / (frames // 2)
    assert torch.allclose(predictor(context), expected, atol=1e-6)


@BOTH
def test_dropout_acts_in_training_only(attention: bool) -> None:
    predictor, context = make(attention, dropout=0.5), torch.randn(8, 5, DIM)
    assert not predictor(context).equal(predictor(context))
    predictor.eval()
    assert predictor(context).equal(predictor(context))
    assert make(attention, dropout=0.0)(context).shape == (8, DIM)


@BOTH
def test_more_layers_are_more_parameters_and_all_learn(attention: bool) -> None:
    sizes = [sum(p.numel() for p in make(attention, predictor_layers=n).parameters()) for n in (1, 2, 3)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0
    predictor = make(attention, predictor_layers=2)
    (predictor(torch.randn(8, 5, DIM)) * torch.randn(8, DIM)).sum().backward()
    assert [name for name, p in predictor.named_parameters() if p.grad is None or not p.grad.any()] == []
