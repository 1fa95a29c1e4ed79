"""Quantisers: Gumbel-softmax codes and finite scalars behave as theory says; all of them mask and evaluate alike."""

import math

import pytest
import torch
from model_cases import CODES, ROWS, WIDTH, all_real, objects, tiny_quantizer, weights

from arcjepa.quantizer import GumbelQuantizer, NoQuantizer, ScalarQuantizer, usage_and_perplexity

pytestmark = pytest.mark.usefixtures("seeded")
KINDS = ("none", "vq", "gumbel", "fsq")


# --- Gumbel-softmax


def gumbel(temperature: float = 1.0) -> tuple[GumbelQuantizer, torch.Tensor]:
    quantizer = tiny_quantizer("gumbel", temperature=temperature)
    x = objects()
    quantizer(x, all_real(x))
    return quantizer, x


def test_codes_of_gumbel_start_at_the_data() -> None:
    quantizer, x = gumbel()
    assert torch.cdist(quantizer.codebook, x).amin(1).max() < 0.2
    assert float(quantizer.codebook.detach().norm(dim=1).mean()) == pytest.approx(float(x.norm(dim=1).mean()), rel=0.2)


def test_a_low_temperature_gives_single_codes_a_high_one_mixes_all() -> None:
    quantizer, x = gumbel()
    distances = []
    for temperature in (1e-3, 1.0, 1e3):
        quantizer.temperature.fill_(temperature)
        made = quantizer(x, all_real(x)).embeddings
        distances.append(float(torch.cdist(made, quantizer.codebook).amin(1).mean().detach()))
    assert distances[0] < 1e-2
    assert distances[0] < distances[1] < distances[2]
    assert torch.allclose(made, quantizer.codebook.mean(0).expand_as(made), atol=0.1)


def test_codes_are_drawn_as_often_as_the_softmax_of_their_distances_says() -> None:
    quantizer, x = gumbel()
    quantizer.temperature.fill_(1e-3)
    row = (0.5 * x[:1]).expand(20_000, WIDTH)
    drawn = torch.cdist(quantizer(row, all_real(row)).embeddings, quantizer.codebook).argmin(1)
    share = torch.bincount(drawn, minlength=CODES) / len(row)
    wanted = torch.softmax(-(torch.cdist(row[:1], quantizer.codebook)[0] ** 2) / math.sqrt(WIDTH), 0)
    assert torch.allclose(share, wanted, atol=0.02)


def test_evaluation_takes_the_nearest_code() -> None:
    quantizer, x = gumbel()
    quantizer.eval()
    made = quantizer(x, all_real(x))
    codes = torch.cdist(x, quantizer.codebook).argmin(1)
    assert made.codes.equal(codes)
    assert made.embeddings.equal(quantizer.codebook[codes])


def test_the_temperature_falls_to_a_tenth() -> None:
    quantizer, _ = gumbel(0.8)
    seen = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        quantizer.anneal(progress)
        seen.append(float(quantizer.temperature))
    assert seen == pytest.approx([0.8, 0.8 * 10**-0.25, 0.8 * 10**-0.5, 0.08])


def test_gumbel_s_gradient_reaches_input_and_codes() -> None:
    quantizer, x = gumbel()
    x.requires_grad_()
    (quantizer(x, all_real(x)).embeddings * torch.randn_like(x)).sum().backward()
    assert (x.grad != 0).any(1).all()
    assert (quantizer.codebook.grad != 0).any(1).all()


# --- finite scalars


@pytest.mark.slow
@pytest.mark.parametrize("levels", [[8, 6, 5], [3, 3], [5, 5, 5]])
def test_finite_scalars_have_as_many_codes_as_their_levels_multiply_to(levels: list[int]) -> None:
    quantizer = tiny_quantizer("fsq", levels=levels)
    assert isinstance(quantizer, ScalarQuantizer)
    assert quantizer.codes == math.prod(levels)
    x = objects(3000, scale=4.0)
    made = quantizer(x, all_real(x))
    assert made.codes.dtype == torch.int64
    assert made.codes.min() >= 0
    assert made.codes.max() < quantizer.codes
    if quantizer.codes < 10:
        assert len(made.codes.unique()) == quantizer.codes
    first = {int(code): made.embeddings[i] for i, code in enumerate(made.codes)}
    assert all(torch.allclose(first[int(code)], made.embeddings[i], atol=1e-5) for i, code in enumerate(made.codes))
    assert len(first) == len(torch.stack(list(first.values())).unique(dim=0))


def test_finite_scalars_take_their_levels_and_pass_the_gradient() -> None:
    quantizer = tiny_quantizer("fsq")
    every = torch.arange(quantizer.codes)
    scalars = quantizer.layer._indices_to_codes(every)
    assert len(scalars.unique(dim=0)) == quantizer.codes
    assert quantizer.layer.codes_to_indices(scalars).equal(every.int())
    assert [len(scalars[:, i].unique()) for i in range(3)] == [8, 6, 5]
    x = objects().requires_grad_()
    quantizer(x, all_real(x)).embeddings.square().sum().backward()
    assert x.grad.any()


# --- all of them


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_changes_nothing(kind: str) -> None:
    quantizer = tiny_quantizer(kind)
    x = objects()
    quantizer(x, all_real(x))
    before = weights(quantizer) if kind != "none" else torch.zeros(1)
    quantizer.eval()
    one, two = (quantizer(x, all_real(x)) for _ in range(2))
    assert kind == "none" or weights(quantizer).equal(before)
    assert one.embeddings.equal(two.embeddings)
    assert one.codes.equal(two.codes)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_minus_one_where_masked(kind: str) -> None:
    quantizer = tiny_quantizer(kind)
    x, mask = objects(), torch.rand(ROWS) < 0.5
    made = quantizer(x, mask)
    assert made.embeddings.shape == x.shape
    assert (made.codes[~mask] == -1).all()
    assert (made.codes[mask] >= 0).all() == (kind != "none")
    assert (made.commitment is not None) == (kind == "vq")


def test_no_quantiser_passes_through() -> None:
    x = objects()
    quantizer = tiny_quantizer("none")
    assert isinstance(quantizer, NoQuantizer)
    assert quantizer(x, all_real(x)).embeddings is x


@pytest.mark.parametrize(
    ("counts", "usage", "perplexity"),
    [([1] * 12, 1, 12), ([5, 0, 0, 0], 0.25, 1), ([2, 2, 0, 0], 0.5, 2), ([0, 0], 0, 1), ([3, 1], 1, 1.7548)],
)
def test_perplexity_is_the_number_of_codes_used_evenly(counts: list[int], usage: float, perplexity: float) -> None:
    found = usage_and_perplexity(torch.tensor(counts))
    assert [float(value) for value in found] == pytest.approx([usage, perplexity], abs=1e-3)
