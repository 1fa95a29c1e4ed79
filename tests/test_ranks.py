"""Ranks that train together are one process on the global batch."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from arcjepa.ranks import mean_over_ranks, world_size
from arcjepa.sigreg import directions, sigreg, sigreg_normalised

FORMS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "published": sigreg,
    "normalised": sigreg_normalised,
}
SLICES = directions(8, 0, 0)


def embeddings() -> torch.Tensor:
    """(64, 8), of which the first half is nothing like the second."""
    z = torch.randn(64, 8, generator=torch.Generator().manual_seed(3))
    return torch.cat([2 * z[:32] + 1, 0.1 * z[32:]])


def of_a_rank(rank: int, port: int, folder: Path) -> None:
    """Saves value and gradient of a layer that both ranks share, averaged as data-parallel training does."""
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    found = {"size": world_size(), "mean": mean_over_ranks(torch.tensor([float(rank)]))}
    for name, statistic in FORMS.items():
        weight = torch.eye(8, requires_grad=True)
        value = statistic(embeddings().chunk(2)[rank] @ weight, SLICES)
        (gradient,) = torch.autograd.grad(value, weight)
        found[name] = value.detach(), mean_over_ranks(gradient)
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(of_a_rank, (port, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("form", FORMS)
def test_sigreg_of_two_ranks_is_that_of_one_process(ranks: list[dict], form: str) -> None:
    weight = torch.eye(8, requires_grad=True)
    value = FORMS[form](embeddings() @ weight, SLICES)
    (gradient,) = torch.autograd.grad(value, weight)
    for rank in ranks:
        assert torch.allclose(rank[form][0], value, rtol=1e-6, atol=0)
        assert (rank[form][1] - gradient).abs().max() < 1e-6 * max(1.0, float(gradient.abs().max()))


def test_a_half_alone_says_something_else() -> None:
    whole = sigreg(embeddings(), SLICES)
    assert all((sigreg(half, SLICES) / whole - 1).abs() > 0.2 for half in embeddings().chunk(2))


def test_ranks_know_their_number_and_mean(ranks: list[dict]) -> None:
    assert [rank["size"] for rank in ranks] == [2, 2]
    assert [float(rank["mean"]) for rank in ranks] == [0.5, 0.5]
    assert world_size() == 1
    assert float(mean_over_ranks(torch.tensor(3.0))) == 3.0
