"""GradNorm equalises gradient norms, holds the faster term back and starves none; uncertainty equalises losses."""

import pytest
import torch

from arcjepa.objectives import GRADNORM_FLOOR, UNCERTAINTY_BOUND, GradNorm, Uncertainty

pytestmark = pytest.mark.usefixtures("seeded")


def balanced(scales: tuple[float, ...], alpha: float, steps: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights after `steps` on losses scale_i * |x - c_i|^2, x held still; norms of the weighted gradients."""
    norm, x = GradNorm(len(scales), alpha), torch.zeros(4, requires_grad=True)
    centres = torch.eye(4)[: len(scales)]
    for _ in range(steps):
        losses = torch.stack([s * (x - c).square().sum() for s, c in zip(scales, centres, strict=True)])
        w = norm(losses, [x])
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
            weights[alpha] = norm(losses, [x])
    assert weights[1.5][1] < weights[1.5][0]
    assert weights[1.5][1] < weights[0.0][1] - 0.2


def test_gradnorm_moves_in_training_only_and_survives_a_loss_of_zero() -> None:
    norm, x = GradNorm(2, 1.5), torch.ones(4, requires_grad=True)
    for _ in range(3):
        weights = norm(torch.stack([x.sum(), 0 * x.sum()]), [x])
        assert torch.isfinite(weights).all()
    norm.eval()
    with torch.no_grad():
        assert norm(torch.ones(2), [x]).equal(weights)


# --- uncertainty


def test_uncertainty_weighs_a_term_by_one_over_its_loss() -> None:
    made, losses = Uncertainty(2), torch.tensor([8.0, 0.25])
    for _ in range(400):
        weights = made(losses, losses)
    assert weights.tolist() == pytest.approx([1 / 8, 4], rel=1e-3)


def test_uncertainty_descends_on_the_published_loss() -> None:
    """One step is that of gradient descent on exp(-s) L + s."""
    made, losses = Uncertainty(2), torch.tensor([3.0, 0.5])
    made.spread.copy_(torch.tensor([0.3, -0.2]))
    s = made.spread.clone().requires_grad_()
    (slope,) = torch.autograd.grad(((-s).exp() * losses + s).sum(), s)
    made(losses, losses)
    assert torch.allclose(made.spread, (s - 0.025 * slope).detach())


def test_uncertainty_is_bounded_and_moves_in_training_only() -> None:
    made, losses = Uncertainty(2), torch.tensor([0.0, 1e6])
    for _ in range(300):
        weights = made(losses, losses)
    assert weights.tolist() == pytest.approx([UNCERTAINTY_BOUND, 1 / UNCERTAINTY_BOUND])
    made.eval()
    assert made(torch.ones(2), losses).equal(weights)
    assert not weights.requires_grad
