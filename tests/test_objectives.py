"""Losses against manual computations, and their stated behaviour under scale, queue, temperature and balance."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from model_cases import tiny_phase
from torch.nn import functional

from arcjepa.jepa import Outputs, Relations
from arcjepa.objectives import GRADNORM_FLOOR, Contrast, GradNorm, Objective, relational
from arcjepa.quantizer import Quantized
from arcjepa.sigreg import directions, sigreg, sigreg_normalised

pytestmark = pytest.mark.usefixtures("seeded")
B, F, D, S, W = 32, 3, 16, 5, 8


def contrast(**changes: Any) -> Contrast:
    phase = tiny_phase("phase1", {f"loss.infonce.{key}": value for key, value in changes.items()})
    return Contrast(phase.loss.infonce, D)


def unit(rows: int = B) -> torch.Tensor:
    return functional.normalize(torch.randn(rows, D), dim=-1)


# --- InfoNCE


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


# --- GradNorm


def balanced(scales: tuple[float, ...], alpha: float, steps: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights after `steps` on losses scale_i * |x - c_i|^2, x held still; norms of the weighted gradients."""
    norm, x = GradNorm(len(scales), alpha), torch.zeros(4, requires_grad=True)
    centres = torch.eye(4)[: len(scales)]
    for _ in range(steps):
        losses = torch.stack([s * (x - c).square().sum() for s, c in zip(scales, centres, strict=True)])
        w = norm(losses, x)
    gradients = [torch.autograd.grad(loss, x, retain_graph=True)[0].norm() for loss in losses]
    return w, w * torch.stack(gradients)


@pytest.mark.parametrize("scales", [(1.0, 4.0), (5.0, 1.0), (1.0, 2.0, 3.0)])
def test_gradnorm_equalises_gradient_norms(scales: tuple[float, ...]) -> None:
    w, norms = balanced(scales, alpha=0.0)
    assert norms.max() / norms.min() < 1.3
    assert max(scales) / min(scales) > 2  # which they were apart before
    assert float(w.sum()) == pytest.approx(len(scales), rel=1e-5)


def test_gradnorm_never_starves_a_term() -> None:
    w, _ = balanced((1.0, 1000.0), alpha=0.0)
    assert w.min() >= GRADNORM_FLOOR - 1e-6
    assert float(w.sum()) == pytest.approx(2, rel=1e-5)


def test_gradnorm_holds_back_the_faster_term() -> None:
    """Equal gradients, but the second loss has fallen to a tenth: alpha > 0 gives it less."""
    weights = {}
    for alpha in (0.0, 1.5):
        norm, x = GradNorm(2, alpha), torch.ones(4, requires_grad=True)
        for level in (1.0, *[0.1] * 20):
            losses = torch.stack([x.sum(), x.sum() * 1.0 - 4 + 4 * level])
            weights[alpha] = norm(losses, x)
    assert weights[1.5][1] < weights[1.5][0]
    assert weights[1.5][1] < weights[0.0][1] - 0.2


def test_gradnorm_moves_in_training_only_and_survives_a_loss_of_zero() -> None:
    norm, x = GradNorm(2, 1.5), torch.ones(4, requires_grad=True)
    for _ in range(3):
        weights = norm(torch.stack([x.sum(), 0 * x.sum()]), x)
        assert torch.isfinite(weights).all()
    norm.eval()
    with torch.no_grad():
        assert norm(torch.ones(2), x).equal(weights)


# --- relational


def relations(scale: float = 1.0) -> Relations:
    objects = scale * torch.randn(F + 1, B, S, W)
    adjacent = torch.rand(F + 1, B, S, S) < 0.5
    return Relations(objects, adjacent | adjacent.transpose(-1, -2))


def relational_settings(**changes: Any) -> Any:
    return tiny_phase("baseline", {f"loss.relational.{k}": v for k, v in changes.items()}).loss.relational


def test_relational_is_the_formula() -> None:
    made, settings = relations(), relational_settings(self_share=0.3)
    x = made.objects.double()
    distances = torch.cdist(x, x) ** 2 / W**0.5 * made.adjacent
    context, target = distances[:-1], distances[-1]
    expected = (context.mean(0) - target).square().mean() + 0.3 * context.var(0, unbiased=False).mean()
    assert relational(made, settings).item() == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(("form", "power"), [("raw", 4), ("normalised", 0)])
def test_relational_grows_with_the_scale_of_embeddings(form: str, power: int) -> None:
    made, settings = relations(), relational_settings(form=form)
    larger = replace(made, objects=3 * made.objects)
    ratio = relational(larger, settings).item() / relational(made, settings).item()
    assert ratio == pytest.approx(3**power, rel=1e-3)


def test_normalising_relational_does_not_see_empty_slots() -> None:
    made, settings = relations(), relational_settings(form="normalised")
    empty = functional.pad(made.objects, (0, 0, 0, 3)), functional.pad(made.adjacent, (0, 3, 0, 3))
    slots = made.objects.shape[-2]
    padded = relational(replace(made, objects=empty[0], adjacent=empty[1]), settings).item()
    # The mean over pairs of slots falls with their number; the divisor must not.
    assert padded * (slots + 3) ** 2 == pytest.approx(relational(made, settings).item() * slots**2, rel=1e-4)


def test_validation_tests_the_target_frame_as_training_does() -> None:
    made, given = objective("phase2").eval(), outputs()
    with torch.no_grad():
        evaluated = run(made, replace(given, target=given.target.detach()))[1]["sigreg"][0]
    assert evaluated.item() == pytest.approx(run(made, given)[1]["sigreg"][0].item())


def test_relational_sees_adjacent_objects_only() -> None:
    made, settings = relations(), relational_settings()
    nothing = replace(made, adjacent=torch.zeros_like(made.adjacent))
    assert relational(nothing, settings).item() == 0
    alone = made.adjacent.clone()
    alone[..., 0, :] = alone[..., :, 0] = False
    moved = made.objects.clone()
    moved[..., 0, :] += 100
    before = relational(replace(made, adjacent=alone), settings).item()
    after = relational(Relations(moved, alone), settings).item()
    assert after == pytest.approx(before, rel=1e-4)


def test_relational_is_zero_where_all_frames_are_alike() -> None:
    one = torch.randn(1, B, S, W).expand(F + 1, B, S, W)
    adjacent = torch.ones(F + 1, B, S, S, dtype=torch.bool)
    assert relational(Relations(one, adjacent), relational_settings()).item() == pytest.approx(0, abs=1e-8)


def test_self_share_weighs_the_variance_over_context_frames() -> None:
    made = relations()
    values = [relational(made, relational_settings(self_share=share)).item() for share in (0.0, 1.0, 2.0)]
    assert values[2] - values[1] == pytest.approx(values[1] - values[0], rel=1e-4)
    assert values[1] > values[0]


# --- the objective


def outputs(teacher: bool = False, **changes: Any) -> Outputs:
    target = torch.randn(B, D)
    made = Outputs(
        context=torch.randn(B, F, D).requires_grad_(),
        prediction=torch.randn(B, D).requires_grad_(),
        target=target if teacher else target.requires_grad_(),
        relations=None,
        quantized=Quantized(torch.zeros(1, W), torch.zeros(1, dtype=torch.int64)),
        view=torch.randn(B, D).requires_grad_(),
    )
    return replace(made, **changes)


SLICES = directions(D, 0, 0)
KINDS = torch.arange(B) % 3


def objective(name: str, changes: dict[str, Any] | None = None) -> Objective:
    return Objective(tiny_phase(name, changes).loss, D)


def run(made: Objective, given: Outputs, commitment: float = 0.0) -> tuple[torch.Tensor, dict]:
    return made(given, SLICES, commitment, KINDS, given.prediction)


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


def test_gradnorm_balances_prediction_and_sigreg_and_nothing_else() -> None:
    given = outputs(teacher=True)
    made = objective("phase1", {"loss.gradnorm.enabled": True, "loss.sigreg.form": "published"})
    assert made.gradnorm is not None
    for _ in range(20):
        shared = given.context
        terms = made(replace(given, prediction=given.context.mean(1)), SLICES, 0.0, KINDS, shared)[1]
    balance = made.gradnorm.weights
    assert not torch.allclose(balance, torch.ones(2))
    assert float(terms["prediction"][1]) == pytest.approx(float(balance[0]))
    assert float(terms["sigreg"][1]) == pytest.approx(0.1 * 12.8 / B * float(balance[1]))
    assert terms["invariance"][1] == 1.0
