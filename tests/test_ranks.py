"""Ranks that train together are one process on the global batch."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from model_cases import S, W, tiny_phase
from rank_cases import on_ranks
from torch import distributed

from arcjepa import ranks as ranks_module
from arcjepa.jepa import Relations
from arcjepa.launch import GRACE
from arcjepa.objectives import GradNorm, relational
from arcjepa.ranks import (
    LAST_RESORT,
    all_rows,
    form_group,
    from_first,
    gathered,
    largest,
    mean_of_all,
    mean_over_ranks,
    merged,
    own,
    own_moments,
    placed,
    rank,
    summed,
    world_size,
)
from arcjepa.sigreg import directions, sigreg, sigreg_normalised
from arcjepa.training_job import ENDED_BY_THEN

pytestmark = pytest.mark.slow

FORMS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "published": sigreg,
    "normalised": sigreg_normalised,
}
SLICES = directions(8, 0, 0)


def embeddings() -> torch.Tensor:
    """(64, 8), of which the first half is nothing like the second."""
    z = torch.randn(64, 8, generator=torch.Generator().manual_seed(3))
    return torch.cat([2 * z[:32] + 1, 0.1 * z[32:]])


NORMALISED = tiny_phase("baseline", {"loss.relational.form": "normalised"}).loss.relational


def shares() -> list[Relations]:
    """Each rank's sequences, far from the origin and unlike the other's."""
    objects = torch.randn(4, 8, S, W, generator=torch.Generator().manual_seed(5))
    objects = objects + torch.tensor([2.0, 7.0]).repeat(4)[:, None, None]
    everyone = torch.ones(4, 4, S, S, dtype=torch.bool)
    return [Relations(objects[:, number::2], everyone) for number in range(2)]


def balanced(x: torch.Tensor) -> torch.Tensor:
    """Weights of two terms, of the sum and the squares of x (W,) that a rank sees, after some updates."""
    shared, gradnorm = torch.ones(len(x), requires_grad=True), GradNorm(2, 1.0)
    for _ in range(5):
        weights = gradnorm(torch.stack([(x * shared).sum(), 0.1 * (x * shared).square().sum()]), [shared])
    return weights


def of_a_rank() -> dict[str, Any]:
    """Value and gradient of a layer that both ranks share, averaged as data-parallel training does."""
    number = float(rank())
    found: dict[str, Any] = {"size": world_size(), "mean": mean_over_ranks(torch.tensor([number]))}
    for name, statistic in FORMS.items():
        weight = torch.eye(8, requires_grad=True)
        value = statistic(embeddings().chunk(2)[rank()] @ weight, SLICES)
        (gradient,) = torch.autograd.grad(value, weight)
        found[name] = value.detach(), mean_over_ranks(gradient)
    rows = torch.arange(6.0)[:, None].expand(6, 3)
    found |= {"own": own(rows), "gathered": gathered(own(rows)), "largest": largest(torch.tensor([number, -number]))}
    found |= {
        "first": from_first(torch.tensor([number])),
        "all": mean_of_all([torch.tensor([number]), torch.ones(2, 2)]),
    }
    moments = own_moments(embeddings().chunk(world_size())[rank()])
    found["moments"] = gathered(moments[None]), mean_of_all([placed(moments)])[0]
    # Rank 0 has objects of its frames 0 and 1, rank 1 of its frame 0 alone: frames 0, 2 and 1 of the batch.
    objects, frames = torch.tensor([[0.0], [0.5], [2.0]]), torch.tensor([0, 0, 1])
    found["rows"] = all_rows(*((objects, frames) if rank() == 0 else (torch.tensor([[1.0]]), torch.tensor([0]))))
    found["relational"] = mean_over_ranks(relational(shares()[rank()], NORMALISED))
    found["gradnorm"] = balanced(shares()[rank()].objects.flatten(1, -2).mean((0, 1)))
    # d/dx of the mean over ranks of (rank + 1) * f(everyone's x).
    for name, everyones in (("gathered gradient", gathered), ("summed gradient", summed)):
        x = torch.full((2,), 1 + number, requires_grad=True)
        ((1 + number) * (torch.arange(1.0, 5.0)[: len(everyones(x))] * everyones(x)).sum()).backward()
        found[name] = x.grad
    return found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    return on_ranks(tmp_path_factory.mktemp("ranks"), 2, of_a_rank)


@pytest.mark.parametrize("form", FORMS)
def test_sigreg_of_two_ranks_is_that_of_one_process(ranks: list[dict], form: str) -> None:
    weight = torch.eye(8, requires_grad=True)
    value = FORMS[form](embeddings() @ weight, SLICES)
    (gradient,) = torch.autograd.grad(value, weight)
    for found in ranks:
        assert torch.allclose(found[form][0], value, rtol=1e-6, atol=0)
        assert (found[form][1] - gradient).abs().max() < 1e-6 * max(1.0, float(gradient.abs().max()))


def test_a_half_alone_says_something_else() -> None:
    whole = sigreg(embeddings(), SLICES)
    assert all((sigreg(half, SLICES) / whole - 1).abs() > 0.2 for half in embeddings().chunk(2))


def test_ranks_know_their_number_and_mean(ranks: list[dict]) -> None:
    assert [one["size"] for one in ranks] == [2, 2]
    assert [float(one["mean"]) for one in ranks] == [0.5, 0.5]
    assert world_size() == 1
    assert float(mean_over_ranks(torch.tensor(3.0))) == 3.0


def test_rows_of_a_batch_are_shared_out_and_come_back_in_order(ranks: list[dict]) -> None:
    assert [one["own"][:, 0].tolist() for one in ranks] == [[0, 2, 4], [1, 3, 5]]
    assert [one["gathered"][:, 0].tolist() for one in ranks] == [[0, 1, 2, 3, 4, 5]] * 2
    assert [one["rows"][:, 0].tolist() for one in ranks] == [[0, 0.5, 1, 2]] * 2


def test_gradients_find_their_way_back(ranks: list[dict]) -> None:
    """Averaged over ranks, the gradient of each one's own x is that of the mean of their losses."""
    # x of rank 0 stands first and third among all, and both ranks' losses, of weights 1 and 2, see it.
    assert [one["gathered gradient"].tolist() for one in ranks] == [[3, 9], [6, 12]]
    assert [one["summed gradient"].tolist() for one in ranks] == [[3, 6]] * 2


def test_relations_are_over_the_spread_of_all_objects(ranks: list[dict]) -> None:
    objects = torch.stack([part.objects for part in shares()], 2).flatten(1, 2)
    whole = relational(Relations(objects, torch.ones(4, 8, S, S, dtype=torch.bool)), NORMALISED)
    assert [float(one["relational"] / whole) for one in ranks] == pytest.approx([1, 1], abs=1e-5)
    alone = torch.stack([relational(part, NORMALISED) for part in shares()]).mean()
    assert abs(float(alone / whole) - 1) > 0.05


def test_terms_are_balanced_by_gradients_of_all(ranks: list[dict]) -> None:
    assert ranks[0]["gradnorm"].equal(ranks[1]["gradnorm"])


def test_ranks_agree(ranks: list[dict]) -> None:
    assert [one["largest"].tolist() for one in ranks] == [[1, 0]] * 2
    assert [float(one["first"]) for one in ranks] == [0, 0]
    assert [[part.tolist() for part in one["all"]] for one in ranks] == [[[0.5], [[1, 1], [1, 1]]]] * 2


def test_moments_travel_with_a_mean_and_are_those_of_all(ranks: list[dict]) -> None:
    everyone = embeddings()
    for one in ranks:
        together, along = one["moments"]
        assert torch.allclose(along, together, rtol=1e-6, atol=1e-7)
        mean, variance = merged(along)
        assert torch.allclose(mean, everyone.mean(0), atol=1e-6)
        assert torch.allclose(variance, everyone.var(0, unbiased=False), rtol=1e-5)


def of_three() -> torch.Tensor:
    return mean_of_all([placed(torch.tensor([1.0 + rank(), -0.3]))])[0]


def test_moments_travel_among_three(tmp_path: Path) -> None:
    for found in on_ranks(tmp_path, 3, of_three):
        assert torch.allclose(found, torch.tensor([[1, -0.3], [2, -0.3], [3, -0.3]]))


def test_the_last_resort_of_gpus_comes_after_what_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchanges between processors, after every step, are late first; NCCL, which aborts, is last."""
    formed: dict[str, timedelta] = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(ranks_module, "_on_cpu", [])
    monkeypatch.setattr(distributed, "init_process_group", lambda backend, timeout: formed.update({backend: timeout}))
    monkeypatch.setattr(distributed, "new_group", lambda backend, timeout: formed.update({backend: timeout}) or backend)
    form_group(5.0)
    assert formed == {"gloo": timedelta(seconds=5), "cpu:gloo,cuda:nccl": timedelta(seconds=5 + LAST_RESORT)}
    assert LAST_RESORT > ENDED_BY_THEN + GRACE
    reduced: list[Any] = []
    monkeypatch.setattr(distributed, "all_reduce", lambda x, *_, group: reduced.append(group))
    monkeypatch.setattr(ranks_module, "world_size", lambda: 2)
    for device in ("cpu", "meta"):
        largest(torch.zeros(1, device=device))
    assert reduced == ["gloo", None]


def test_one_process_is_a_group_of_one() -> None:
    x = torch.randn(4, 2, requires_grad=True)
    assert all(f(x) is x for f in (gathered, summed, mean_over_ranks, largest, from_first))
    assert own(x).equal(x)
    assert all_rows(x, torch.arange(4)) is x
    assert rank() == 0
