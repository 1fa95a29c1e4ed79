"""GradNorm equalises gradient norms, holds the faster term back and starves none."""

import pytest
import torch

from arcjepa.objectives import GRADNORM_FLOOR, GradNorm

pytestmark = pytest.mark.usefixtures("seeded")


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
