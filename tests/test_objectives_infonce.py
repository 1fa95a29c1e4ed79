"""InfoNCE is its formula, and behaves as stated under queue and temperature."""

import math
from typing import Any

import pytest
import torch
from model_cases import B, D, tiny_phase
from torch.nn import functional

from arcjepa.objectives import Contrast

pytestmark = pytest.mark.usefixtures("seeded")


def contrast(**changes: Any) -> Contrast:
    phase = tiny_phase("phase1", {f"loss.infonce.{key}": value for key, value in changes.items()})
    return Contrast(phase.loss.infonce, D)


def unit(rows: int = B) -> torch.Tensor:
    return functional.normalize(torch.randn(rows, D), dim=-1)


def test_infonce_is_the_formula() -> None:
    prediction, target, loss = torch.randn(B, D), torch.randn(B, D), contrast(temperature=0.1)
    similarity = functional.cosine_similarity(prediction[:, None], target[None], dim=-1) / 0.1
    expected = -torch.stack([similarity[i, i] - torch.logsumexp(similarity[i], 0) for i in range(B)]).mean()
    assert loss(prediction, target).item() == pytest.approx(float(expected), rel=1e-5)


def test_infonce_with_a_queue_is_the_formula_over_more_negatives() -> None:
    prediction, target, loss = torch.randn(B, D), torch.randn(B, D), contrast(temperature=0.1, queue=50)
    old = unit(20)
    loss.push(7 * old)  # length does not matter
    every = torch.cat([functional.normalize(target, dim=-1), old])
    logits = functional.normalize(prediction, dim=-1) @ every.T / 0.1
    expected = (torch.logsumexp(logits, 1) - logits[torch.arange(B), torch.arange(B)]).mean()
    assert loss(prediction, target).item() == pytest.approx(float(expected), rel=1e-5)


def test_unrelated_predictions_are_at_chance_and_perfect_ones_near_zero() -> None:
    loss = contrast(temperature=0.2)
    assert loss(torch.ones(B, D), torch.ones(B, D)).item() == pytest.approx(math.log(B), rel=1e-5)
    target = torch.eye(D)
    assert loss(target, target).item() < 0.11


def test_the_queue_fills_wraps_and_counts() -> None:
    loss, pushed = contrast(queue=10), unit(24)
    fills = []
    for start in range(0, 24, 4):
        loss.push(pushed[start : start + 4])
        fills.append(float(loss.fill))
    assert fills == pytest.approx([0.4, 0.8, 1, 1, 1, 1])
    held = {tuple(row.tolist()) for row in loss.queue}
    newest = {tuple(row.tolist()) for row in functional.normalize(pushed[14:], dim=-1)}
    assert held == newest


@pytest.mark.parametrize("size", [0, 3])
def test_a_queue_smaller_than_a_batch(size: int) -> None:
    loss = contrast(queue=size)
    loss.push(unit())
    assert torch.isfinite(loss(unit(), unit()))
    assert float(loss.fill) == (1 if size else 0)


def test_more_negatives_raise_the_loss_in_training_only() -> None:
    loss, prediction, target = contrast(queue=200), unit(), unit()
    values = []
    for _ in range(4):
        values.append(loss(prediction, target).item())
        loss.push(unit(40))
    assert values == sorted(values)
    assert values[-1] > values[0] + 0.5
    loss.eval()
    assert loss(prediction, target).item() == pytest.approx(values[0])


def test_the_queue_gets_no_gradient() -> None:
    loss, prediction, target = contrast(queue=40), unit().requires_grad_(), unit().requires_grad_()
    loss.push(target)
    assert not loss.queue.requires_grad
    loss(prediction, target).backward()
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()  # although half of the queue is empty


@pytest.mark.parametrize(("value", "bound"), [(-9.0, 0.05), (9.0, 0.2)])
def test_the_temperature_stays_within_its_bounds(value: float, bound: float) -> None:
    loss, prediction, target = contrast(), unit(), unit()
    at_bound = contrast(temperature=bound)(prediction, target).item()
    loss.log_temperature.data.fill_(value)
    assert loss.temperature.item() == pytest.approx(bound, rel=1e-5)
    assert loss(prediction, target).item() == pytest.approx(at_bound, rel=1e-5)


@pytest.mark.parametrize(("value", "wanted"), [(-9.0, "higher"), (9.0, "lower")])
def test_the_temperature_comes_back_from_a_bound(value: float, wanted: str) -> None:
    """Wrong predictions want it higher, right ones lower: a clamp without gradient would hold it for ever."""
    loss, target = contrast(), torch.eye(D)
    prediction = -target if wanted == "higher" else target
    loss.log_temperature.data.fill_(value)
    bound = loss.temperature.item()
    optimizer = torch.optim.Adam([loss.log_temperature], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        loss(prediction, target).backward()
        optimizer.step()
    ratio = loss.temperature.item() / bound
    assert (ratio > 1.1) if wanted == "higher" else (ratio < 0.9)


def test_the_temperature_learns() -> None:
    loss = contrast()
    loss(unit(), unit()).backward()
    assert loss.log_temperature.grad is not None
    assert loss.log_temperature.grad != 0
