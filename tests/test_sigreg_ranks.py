"""SIGReg as it enters the loss, and weights by uncertainty: two ranks are one process on the global batch."""

from collections.abc import Callable

import pytest
import torch
from model_cases import tiny_phase
from rank_cases import on_ranks

from arcjepa.jepa import Outputs
from arcjepa.objectives import Objective, Uncertainty
from arcjepa.quantizer import Quantized
from arcjepa.ranks import mean_over_ranks, rank
from arcjepa.settings import Loss
from arcjepa.sigreg import directions, sigreg

pytestmark = pytest.mark.slow

SLICES = directions(8, 0, 0)
AUXILIARY = {"loss.sigreg.form": "published", "loss.invariance.enabled": False}
Term = Callable[[torch.Tensor], torch.Tensor]


def of_frames(z: torch.Tensor) -> torch.Tensor:
    """Several frames of context at once, as training gives them."""
    return sigreg(torch.stack([z, z.roll(1, -1), 0.5 * z]), SLICES).mean()


def weighted(loss: Loss) -> Term:
    """The term of a loss with its weight, which the size of the batch is in."""

    def term(z: torch.Tensor) -> torch.Tensor:
        nothing = Quantized(torch.zeros(1, 8), torch.zeros(1, dtype=torch.int64))
        outputs = Outputs(z[:, None], z, z, None, nothing, None, z.new_zeros(0, *z.shape))
        raw, weight = Objective(loss, 8)(outputs, SLICES, 0.0, torch.zeros(len(z)), [z])[1]["sigreg"]
        return raw * weight

    return term


TERMS: dict[str, Term] = {
    "of frames": of_frames,
    "lejepa": weighted(tiny_phase("phase2").loss),
    "auxiliary": weighted(tiny_phase("phase1", AUXILIARY).loss),
}


def embeddings() -> torch.Tensor:
    """(64, 8), of which the first half is nothing like the second."""
    z = torch.randn(64, 8, generator=torch.Generator().manual_seed(3))
    return torch.cat([2 * z[:32] + 1, 0.1 * z[32:]])


def learned(losses: torch.Tensor) -> torch.Tensor:
    """Weights by uncertainty after some steps."""
    made = Uncertainty(2)
    return torch.stack([made(losses, losses) for _ in range(20)])[-1]


def of_a_rank() -> dict[str, tuple[torch.Tensor, ...]]:
    found: dict[str, tuple[torch.Tensor, ...]] = {
        name: value_and_gradient(term, embeddings().chunk(2)[rank()]) for name, term in TERMS.items()
    }
    return found | {"weights": (learned(torch.tensor([1.0 + rank(), 0.5])),)}


def value_and_gradient(term: Term, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For a layer that ranks share, its gradient averaged over them."""
    weight = torch.eye(8, requires_grad=True)
    value = term(z @ weight)
    return value.detach(), mean_over_ranks(torch.autograd.grad(value, weight)[0])


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    return on_ranks(tmp_path_factory.mktemp("ranks"), 2, of_a_rank)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_of_two_ranks_is_that_of_one_process(ranks: list[dict], name: str) -> None:
    value, gradient = value_and_gradient(TERMS[name], embeddings())
    for found in ranks:
        assert torch.allclose(found[name][0], value, rtol=1e-6, atol=0)
        assert (found[name][1] - gradient).abs().max() < 1e-6 * max(1.0, float(gradient.abs().max()))


def test_weights_are_by_the_losses_of_all(ranks: list[dict]) -> None:
    one = learned(torch.tensor([1.5, 0.5]))
    assert all(torch.allclose(found["weights"][0], one) for found in ranks)
