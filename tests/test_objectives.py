"""The objective of each phase: which terms it has, with which weights, and that the total is their sum."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from model_cases import NEAR_MISSES, B, D, F, W, relations, tiny_phase
from torch.nn import functional

from arcjepa.jepa import Outputs
from arcjepa.objectives import Objective
from arcjepa.quantizer import Quantized
from arcjepa.sigreg import directions, sigreg, sigreg_normalised

pytestmark = pytest.mark.usefixtures("seeded")


def outputs(teacher: bool = False, **changes: Any) -> Outputs:
    target = torch.randn(B, D)
    made = Outputs(
        context=torch.randn(B, F, D).requires_grad_(),
        prediction=torch.randn(B, D).requires_grad_(),
        target=target if teacher else target.requires_grad_(),
        relations=None,
        quantized=Quantized(torch.zeros(1, W), torch.zeros(1, dtype=torch.int64)),
        view=torch.randn(B, D).requires_grad_(),
        near_misses=torch.randn(NEAR_MISSES, B, D).requires_grad_(),
    )
    return replace(made, **changes)


SLICES = directions(D, 0, 0)
KINDS = torch.arange(B) % 3


def objective(name: str, changes: dict[str, Any] | None = None) -> Objective:
    return Objective(tiny_phase(name, changes).loss, D)


def run(made: Objective, given: Outputs, commitment: float = 0.0) -> tuple[torch.Tensor, dict]:
    return made(given, SLICES, commitment, KINDS, [given.prediction])


def test_validation_tests_the_target_frame_as_training_does() -> None:
    made, given = objective("phase2").eval(), outputs()
    with torch.no_grad():
        evaluated = run(made, replace(given, target=given.target.detach()))[1]["sigreg"][0]
    assert evaluated.item() == pytest.approx(run(made, given)[1]["sigreg"][0].item())


@pytest.mark.parametrize("strength", [1.0, 0.5, 0.0])
def test_lejepa_is_prediction_plus_lambda_sigreg(strength: float) -> None:
    given = outputs()
    loss = tiny_phase("phase2").loss.model_copy(update={"lambda_sigreg": strength})
    total, terms = run(Objective(loss, D), given)
    frames = [*given.context.unbind(1), given.target]
    statistic = torch.stack([sigreg(z, SLICES) for z in frames]).mean()
    prediction = (given.prediction - given.target).square().mean()
    assert total.item() == pytest.approx(float((prediction + strength * 12.8 / B * statistic).detach()), rel=1e-5)
    assert set(terms) == {"prediction", "sigreg"}


def test_lambda_means_the_same_at_any_batch_size() -> None:
    """12.8 / N * SIGReg_N of the same rows, repeated, does not depend on N."""
    given, values = outputs(), []
    for copies in (1, 4):
        target = given.target.repeat(copies, 1)
        larger = replace(given, context=given.context.repeat(copies, 1, 1), target=target, prediction=target)
        raw, weight = run(objective("phase2"), larger)[1]["sigreg"]
        values.append(float(raw.detach()) * weight)
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    assert values[0] > 0.1


def test_under_lejepa_nothing_is_detached() -> None:
    given = outputs()
    terms = run(objective("phase2"), given)[1]
    (toward,) = torch.autograd.grad(terms["prediction"][0], given.target)
    assert torch.allclose(toward, 2 * (given.target - given.prediction) / (B * D))
    run(objective("phase2"), given)[0].backward()
    assert all(
        tensor.grad is not None and tensor.grad.any() for tensor in (given.context, given.prediction, given.target)
    )


def test_a_teacher_s_target_is_left_out_of_sigreg() -> None:
    given = outputs(teacher=True)
    _, terms = run(objective("phase2", {"loss.teacher.enabled": True}), given)
    statistic = torch.stack([sigreg(z, SLICES) for z in given.context.unbind(1)]).mean()
    assert terms["sigreg"][0].item() == pytest.approx(float(statistic.detach()), rel=1e-5)


def test_the_auxiliary_term_is_the_normalised_or_the_published_form() -> None:
    given = outputs(teacher=True)
    frames = given.context.detach().unbind(1)
    for form, statistic, scale in (("normalised", sigreg_normalised, 1), ("published", sigreg, 12.8 / B)):
        _, terms = run(objective("phase1", {"loss.sigreg.form": form, "loss.sigreg.weight": 0.3}), given)
        raw, weight = terms["sigreg"]
        assert raw.item() == pytest.approx(float(torch.stack([statistic(z, SLICES) for z in frames]).mean()), rel=1e-4)
        assert weight == pytest.approx(0.3 * scale)
    assert "sigreg" not in run(objective("phase1", {"loss.sigreg.enabled": False}), given)[1]


def test_invariance_is_zero_for_an_identical_view_and_weighs_each_kind() -> None:
    given = outputs(teacher=True)
    weights = {"loss.invariance.colour": 0.1, "loss.invariance.translation": 0.2, "loss.invariance.symmetry": 0.4}
    made = objective("phase1", weights)
    same = replace(given, view=5 * given.context[:, -1].detach())
    assert run(made, same)[1]["invariance"][0].item() == pytest.approx(0, abs=1e-6)
    query, view = (functional.normalize(z.detach(), dim=-1) for z in (given.context[:, -1], given.view))
    distance = (query - view).square().sum(-1)
    expected = sum(w * distance[kind == KINDS].sum() for kind, w in enumerate((0.1, 0.2, 0.4))) * 3 / B
    assert run(made, given)[1]["invariance"][0].item() == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "changes", "names"),
    [
        ("baseline", {}, {"prediction", "sigreg", "invariance", "relational", "commitment"}),
        (
            "baseline",
            {"loss.gradnorm.enabled": True},
            {"prediction", "sigreg", "invariance", "relational", "commitment"},
        ),
        ("phase1", {}, {"prediction", "sigreg", "invariance", "commitment"}),
        ("phase2", {}, {"prediction", "sigreg", "commitment"}),
        ("phase2", {"loss.gradnorm.enabled": True}, {"prediction", "sigreg", "commitment"}),
    ],
)
def test_the_total_is_the_sum_of_weighted_terms(name: str, changes: dict[str, Any], names: set[str]) -> None:
    quantized = Quantized(torch.zeros(1, W), torch.zeros(1, dtype=torch.int64), torch.tensor(0.7))
    given = outputs(teacher=name != "phase2", quantized=quantized)
    given = replace(given, relations=relations() if name == "baseline" else None)
    made = objective(name, changes)
    for _ in range(3):  # so that GradNorm has moved
        total, terms = run(made, given, commitment=0.15)
    assert set(terms) == names
    assert total.item() == pytest.approx(sum(float(raw.detach()) * float(w) for raw, w in terms.values()), rel=1e-5)
    assert terms["commitment"][1] == 0.15
    assert ("relational" not in terms) or terms["relational"][1] == 0.025


@pytest.mark.slow
def test_gradnorm_balances_prediction_and_sigreg_and_nothing_else() -> None:
    given = outputs(teacher=True)
    made = objective("phase1", {"loss.gradnorm.enabled": True, "loss.sigreg.form": "published"})
    assert made.gradnorm is not None
    for _ in range(20):
        shared = [given.context]
        terms = made(replace(given, prediction=given.context.mean(1)), SLICES, 0.0, KINDS, shared)[1]
    balance = made.gradnorm.weights
    assert not torch.allclose(balance, torch.ones(2))
    assert float(terms["prediction"][1]) == pytest.approx(float(balance[0]))
    assert float(terms["sigreg"][1]) == pytest.approx(0.1 * 12.8 / B * float(balance[1]))
    assert terms["invariance"][1] == 1.0
