"""Quantisers: the codebook learns as published and as its reference does, padding and evaluation leave it alone."""

import math

import pytest
import torch
from model_cases import tiny_phase, weights
from vector_quantize_pytorch import VectorQuantize

from arcjepa.quantizer import (
    CodebookQuantizer,
    GumbelQuantizer,
    NoQuantizer,
    ScalarQuantizer,
    make_quantizer,
    nearest,
    usage_and_perplexity,
)

pytestmark = pytest.mark.usefixtures("seeded")
WIDTH, CODES, ROWS = 16, 32, 400
KINDS = ("none", "vq", "gumbel", "fsq")


def make(kind: str = "vq", **changes: object) -> torch.nn.Module:
    """A quantiser at scale tiny, refresh off unless asked for."""
    leaves = {"kind": kind, "refresh.enabled": False} | {key.replace("__", "."): v for key, v in changes.items()}
    phase = tiny_phase("baseline", {f"quantizer.{key}": value for key, value in leaves.items()})
    return make_quantizer(WIDTH, phase.quantizer)


def rows(count: int = ROWS, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(count, WIDTH)


def everything(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(x), dtype=torch.bool)


# --- the codebook


def test_the_codebook_learns_as_the_library_s_does() -> None:
    ours = make(decay=0.9)
    reference = VectorQuantize(
        WIDTH, CODES, decay=0.9, kmeans_init=False, threshold_ema_dead_code=0, rotation_trick=False, eps=1e-5
    )
    x = rows()
    ours(x, everything(x))  # initialises and takes a step
    with torch.no_grad():
        reference._codebook.embed.copy_(ours.codebook[None])
        reference._codebook.embed_avg.copy_(ours.sums[None])
        reference._codebook.cluster_size.copy_(ours.counts[None])
    for step in range(8):
        x, mask = rows(scale=1 + step / 4), torch.rand(ROWS) < 0.8
        made = ours(x, mask)
        embeddings, codes, _ = reference(x[None], mask=mask[None])
        assert made.codes[mask].equal(codes[0][mask])
        assert torch.allclose(made.embeddings[mask], embeddings[0][mask], atol=1e-5)
        assert torch.allclose(ours.codebook, reference._codebook.embed[0], atol=1e-5)
        assert torch.allclose(ours.counts, reference._codebook.cluster_size[0], atol=1e-4)


def test_the_commitment_loss_is_the_library_s() -> None:
    ours = make()
    x = rows()
    ours(x, everything(x))
    reference = VectorQuantize(WIDTH, CODES, rotation_trick=False, commitment_weight=1.0)
    reference._codebook.embed.data.copy_(ours.codebook[None])
    x, mask = rows(), torch.rand(ROWS) < 0.8
    made = ours(x, mask)
    _, _, loss = reference(x[None], mask=mask[None], freeze_codebook=True)
    assert made.commitment.item() == pytest.approx(loss.item(), rel=1e-5)


def test_the_average_follows_its_closed_form() -> None:
    """All rows are one vector v: the code nearest to it goes to v, as 1 - decay^t of its sums does."""
    quantizer = make(decay=0.9, codes=2)
    quantizer.codebook.copy_(torch.stack([torch.zeros(WIDTH), torch.full((WIDTH,), 100.0)]))
    quantizer.counts.fill_(50.0)
    quantizer.sums.copy_(50 * quantizer.codebook)
    quantizer.initialised.fill_(True)
    x = torch.ones(100, WIDTH)
    for step in range(1, 6):
        quantizer(x, everything(x))
        count = 100 + (50 - 100) * 0.9**step
        assert quantizer.counts[0] == pytest.approx(count, rel=1e-5)
        assert quantizer.codebook[0, 0] == pytest.approx(100 * (1 - 0.9**step) / count, rel=1e-4)


def test_codes_start_at_the_data_and_keep_its_scale() -> None:
    quantizer = make()
    x = rows(scale=37.0)
    quantizer(x, everything(x))
    assert 0.5 < quantizer.codebook.std() / x.std() < 1.5
    for _ in range(60):
        x = rows(scale=37.0)
        quantizer(x, everything(x))
    assert quantizer.codebook.norm(dim=1).max() < 2 * x.norm(dim=1).max()  # no unused code blows up


def test_the_nearest_code_is_the_nearest() -> None:
    x, codebook = rows(), rows(CODES)
    assert nearest(x, codebook).equal(torch.cdist(x, codebook).argmin(1))


def test_reduced_precision_around_it_does_not_change_the_codes() -> None:
    quantizer = make()
    x = rows(4000)
    quantizer(x, everything(x))
    quantizer.eval()
    codes = quantizer(x, everything(x)).codes
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert quantizer(x, everything(x)).codes.equal(codes)


@pytest.mark.parametrize("start", [True, False])
def test_masked_rows_never_move_the_codebook(start: bool) -> None:
    """`start`: from the first batch on, which also initialises."""
    x, other = rows(), rows(scale=50.0)
    mask = torch.rand(ROWS) < 0.7
    books = []
    for garbage in (x, torch.where(mask[:, None], x, other)):
        torch.manual_seed(3)
        quantizer = make()
        if not start:
            first = rows()
            quantizer(first, everything(first))
        made = quantizer(garbage, mask)
        assert (made.codes[~mask] == -1).all()
        assert (made.codes[mask] >= 0).all()
        books.append((quantizer.codebook.clone(), float(made.commitment)))
    assert torch.allclose(books[0][0], books[1][0])
    assert books[0][1] == pytest.approx(books[1][1])


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_changes_nothing(kind: str) -> None:
    quantizer = make(kind)
    x = rows()
    quantizer(x, everything(x))
    before = weights(quantizer) if kind != "none" else torch.zeros(1)
    quantizer.eval()
    one, two = (quantizer(x, everything(x)) for _ in range(2))
    assert kind == "none" or weights(quantizer).equal(before)
    assert one.embeddings.equal(two.embeddings)
    assert one.codes.equal(two.codes)


def test_training_does_change_the_codebook() -> None:
    quantizer = make()
    x = rows()
    quantizer(x, everything(x))
    before = quantizer.codebook.clone()
    quantizer(rows(), everything(x))
    assert not quantizer.codebook.equal(before)


def test_the_gradient_goes_straight_through() -> None:
    quantizer = make()
    x = rows().requires_grad_()
    mask = torch.rand(ROWS) < 0.7
    made = quantizer(x, mask)
    toward = torch.randn_like(x)
    (gradient,) = torch.autograd.grad((made.embeddings * toward).sum(), x, retain_graph=True)
    assert torch.allclose(gradient, toward)
    (gradient,) = torch.autograd.grad(made.commitment, x)
    expected = 2 * (x - made.embeddings).detach() / (WIDTH * mask.sum())
    assert torch.allclose(gradient[mask], expected[mask], atol=1e-7)
    assert not gradient[~mask].any()


def test_embeddings_are_code_vectors() -> None:
    quantizer = make()
    x = rows()
    quantizer(x, everything(x))
    quantizer.eval()
    made = quantizer(x, everything(x))
    assert torch.allclose(made.embeddings, quantizer.codebook[made.codes], atol=1e-6)


def test_a_code_that_is_not_used_stays_where_it_is() -> None:
    """With counts from zero it would move, to nothing or to infinity."""
    quantizer, same = make(), torch.full((ROWS, WIDTH), 3.0)  # all codes start there, one is used
    for _ in range(20):
        quantizer(same, everything(same))
    assert torch.allclose(quantizer.codebook, torch.tensor(3.0), rtol=1e-3)


# --- refresh


def with_dead_codes(**changes: object) -> CodebookQuantizer:
    """Half of the codes far from any data."""
    quantizer = make(**changes)
    x = rows()
    quantizer(x, everything(x))
    quantizer.codebook[CODES // 2 :] = 1000.0
    quantizer.sums.copy_(quantizer.codebook * quantizer.counts[:, None])
    if hasattr(quantizer, "usage"):
        quantizer.usage.zero_()
        quantizer.steps.zero_()
    return quantizer


def used(quantizer: CodebookQuantizer) -> torch.Tensor:
    x = rows(4000)
    training, _ = quantizer.training, quantizer.eval()
    codes = quantizer(x, everything(x)).codes
    quantizer.train(training)
    return torch.bincount(codes, minlength=CODES) > 0


def test_a_refresh_revives_dead_codes() -> None:
    on = {"refresh__enabled": True, "refresh__interval": 3, "refresh__threshold": 0.01}
    for changes, revived in (({}, False), (on, True)):
        quantizer = with_dead_codes(**changes)
        for step in range(3):
            assert not used(quantizer)[CODES // 2 :].any(), step
            quantizer(rows(), everything(rows()))
        assert used(quantizer)[CODES // 2 :].all() == revived
        assert used(quantizer)[: CODES // 2].all()


@pytest.mark.parametrize(("threshold", "dead"), [(0.0, 0), (0.5, 1), (0.75, 2), (1.0, 2), (2.0, 4)])
def test_only_codes_below_the_threshold_are_replaced(threshold: float, dead: int) -> None:
    """Shares of a uniform one: 0.4, 0.6, 1, 2."""
    quantizer = make(codes=4, refresh__enabled=True, refresh__threshold=min(threshold, 1.0))
    quantizer.refreshing = quantizer.refreshing.model_copy(update={"threshold": threshold + 1e-6 * (threshold > 1)})
    quantizer.codebook.copy_(torch.arange(4.0)[:, None].expand(4, WIDTH))
    quantizer.counts.fill_(10.0)
    quantizer.usage.copy_(torch.tensor([10.0, 15.0, 25.0, 50.0]))
    before, x = quantizer.codebook.clone(), rows()
    assert quantizer.refresh(x) == dead
    changed = (quantizer.codebook != before).any(1)
    assert changed.tolist() == [True] * dead + [False] * (4 - dead)
    assert all((quantizer.codebook[i] == x).all(1).any() for i in range(dead))
    assert torch.allclose(quantizer.sums[:dead], quantizer.codebook[:dead] * quantizer.counts[:dead, None])
    assert not quantizer.usage.any()


def test_a_refresh_counts_what_it_replaced_until_it_is_asked() -> None:
    quantizer = with_dead_codes(refresh__enabled=True, refresh__interval=2)
    for _ in range(2):
        quantizer(rows(), everything(rows()))
    assert quantizer.refreshed == CODES // 2


# --- Gumbel-softmax


def gumbel(temperature: float = 1.0) -> tuple[GumbelQuantizer, torch.Tensor]:
    quantizer = make("gumbel", temperature=temperature)
    x = rows()
    quantizer(x, everything(x))
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
        made = quantizer(x, everything(x)).embeddings
        distances.append(float(torch.cdist(made, quantizer.codebook).amin(1).mean().detach()))
    assert distances[0] < 1e-2
    assert distances[0] < distances[1] < distances[2]
    assert torch.allclose(made, quantizer.codebook.mean(0).expand_as(made), atol=0.1)


def test_codes_are_drawn_as_often_as_the_softmax_of_their_distances_says() -> None:
    quantizer, x = gumbel()
    quantizer.temperature.fill_(1e-3)
    row = (0.5 * x[:1]).expand(20_000, WIDTH)
    drawn = torch.cdist(quantizer(row, everything(row)).embeddings, quantizer.codebook).argmin(1)
    share = torch.bincount(drawn, minlength=CODES) / len(row)
    wanted = torch.softmax(-(torch.cdist(row[:1], quantizer.codebook)[0] ** 2) / math.sqrt(WIDTH), 0)
    assert torch.allclose(share, wanted, atol=0.02)


def test_evaluation_takes_the_nearest_code() -> None:
    quantizer, x = gumbel()
    quantizer.eval()
    made = quantizer(x, everything(x))
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
    (quantizer(x, everything(x)).embeddings * torch.randn_like(x)).sum().backward()
    assert (x.grad != 0).any(1).all()
    assert (quantizer.codebook.grad != 0).any(1).all()


# --- finite scalars


@pytest.mark.parametrize("levels", [[8, 6, 5], [3, 3], [5, 5, 5]])
def test_finite_scalars_have_as_many_codes_as_their_levels_multiply_to(levels: list[int]) -> None:
    quantizer = make("fsq", levels=levels)
    assert isinstance(quantizer, ScalarQuantizer)
    assert quantizer.codes == math.prod(levels)
    x = rows(3000, scale=4.0)
    made = quantizer(x, everything(x))
    assert made.codes.dtype == torch.int64
    assert made.codes.min() >= 0
    assert made.codes.max() < quantizer.codes
    if quantizer.codes < 10:
        assert len(made.codes.unique()) == quantizer.codes
    first = {int(code): made.embeddings[i] for i, code in enumerate(made.codes)}
    assert all(torch.allclose(first[int(code)], made.embeddings[i], atol=1e-5) for i, code in enumerate(made.codes))
    assert len(first) == len(torch.stack(list(first.values())).unique(dim=0))


def test_finite_scalars_take_their_levels_and_pass_the_gradient() -> None:
    quantizer = make("fsq")
    every = torch.arange(quantizer.codes)
    scalars = quantizer.layer._indices_to_codes(every)
    assert len(scalars.unique(dim=0)) == quantizer.codes
    assert quantizer.layer.codes_to_indices(scalars).equal(every.int())
    assert [len(scalars[:, i].unique()) for i in range(3)] == [8, 6, 5]
    x = rows().requires_grad_()
    quantizer(x, everything(x)).embeddings.square().sum().backward()
    assert x.grad.any()


# --- all of them


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_minus_one_where_masked(kind: str) -> None:
    quantizer = make(kind)
    x, mask = rows(), torch.rand(ROWS) < 0.5
    made = quantizer(x, mask)
    assert made.embeddings.shape == x.shape
    assert (made.codes[~mask] == -1).all()
    assert (made.codes[mask] >= 0).all() == (kind != "none")
    assert (made.commitment is not None) == (kind == "vq")


def test_no_quantiser_passes_through() -> None:
    x = rows()
    quantizer = make("none")
    assert isinstance(quantizer, NoQuantizer)
    assert quantizer(x, everything(x)).embeddings is x


@pytest.mark.parametrize(
    ("counts", "usage", "perplexity"),
    [([1] * 12, 1, 12), ([5, 0, 0, 0], 0.25, 1), ([2, 2, 0, 0], 0.5, 2), ([0, 0], 0, 1), ([3, 1], 1, 1.7548)],
)
def test_perplexity_is_the_number_of_codes_used_evenly(counts: list[int], usage: float, perplexity: float) -> None:
    found = usage_and_perplexity(torch.tensor(counts))
    assert [float(value) for value in found] == pytest.approx([usage, perplexity], abs=1e-3)
