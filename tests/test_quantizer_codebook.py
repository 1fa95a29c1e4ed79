"""The codebook learns as published and as its reference does; padding leaves it alone; a refresh revives dead codes."""

import importlib
from types import ModuleType

import pytest
import torch
from model_cases import CODES, ROWS, WIDTH, Transfers, all_real, objects, tiny_quantizer

from arcjepa.quantizer import CodebookQuantizer, nearest

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.fixture(scope="module")
def library() -> ModuleType:
    """vector-quantize-pytorch, which takes seconds to import."""
    return importlib.import_module("vector_quantize_pytorch")


@pytest.mark.slow
def test_the_codebook_learns_as_the_library_s_does(library: ModuleType) -> None:
    ours = tiny_quantizer(decay=0.9)
    reference = library.VectorQuantize(
        WIDTH, CODES, decay=0.9, kmeans_init=False, threshold_ema_dead_code=0, rotation_trick=False, eps=1e-5
    )
    x = objects()
    ours(x, all_real(x))  # initialises and takes a step
    with torch.no_grad():
        reference._codebook.embed.copy_(ours.codebook[None])
        reference._codebook.embed_avg.copy_(ours.sums[None])
        reference._codebook.cluster_size.copy_(ours.counts[None])
    for step in range(8):
        x, mask = objects(scale=1 + step / 4), torch.rand(ROWS) < 0.8
        made = ours(x, mask)
        embeddings, codes, _ = reference(x[None], mask=mask[None])
        assert made.codes[mask].equal(codes[0][mask])
        assert torch.allclose(made.embeddings[mask], embeddings[0][mask], atol=1e-5)
        assert torch.allclose(ours.codebook, reference._codebook.embed[0], atol=1e-5)
        assert torch.allclose(ours.counts, reference._codebook.cluster_size[0], atol=1e-4)


@pytest.mark.slow
def test_the_commitment_loss_is_the_library_s(library: ModuleType) -> None:
    ours = tiny_quantizer()
    x = objects()
    ours(x, all_real(x))
    reference = library.VectorQuantize(WIDTH, CODES, rotation_trick=False, commitment_weight=1.0)
    reference._codebook.embed.data.copy_(ours.codebook[None])
    x, mask = objects(), torch.rand(ROWS) < 0.8
    made = ours(x, mask)
    _, _, loss = reference(x[None], mask=mask[None], freeze_codebook=True)
    assert made.commitment.item() == pytest.approx(loss.item(), rel=1e-5)


def test_the_average_follows_its_closed_form() -> None:
    """All rows are one vector v: the code nearest to it goes to v, as 1 - decay^t of its sums does."""
    quantizer = tiny_quantizer(decay=0.9, codes=2)
    quantizer.codebook.copy_(torch.stack([torch.zeros(WIDTH), torch.full((WIDTH,), 100.0)]))
    quantizer.counts.fill_(50.0)
    quantizer.sums.copy_(50 * quantizer.codebook)
    quantizer._start()
    x = torch.ones(100, WIDTH)
    for step in range(1, 6):
        quantizer(x, all_real(x))
        count = 100 + (50 - 100) * 0.9**step
        assert quantizer.counts[0] == pytest.approx(count, rel=1e-5)
        assert quantizer.codebook[0, 0] == pytest.approx(100 * (1 - 0.9**step) / count, rel=1e-4)


def test_codes_start_at_the_data_and_keep_its_scale() -> None:
    quantizer = tiny_quantizer()
    x = objects(scale=37.0)
    quantizer(x, all_real(x))
    assert 0.5 < quantizer.codebook.std() / x.std() < 1.5
    for _ in range(60):
        x = objects(scale=37.0)
        quantizer(x, all_real(x))
    assert quantizer.codebook.norm(dim=1).max() < 2 * x.norm(dim=1).max()  # no unused code blows up


def test_the_nearest_code_is_the_nearest() -> None:
    x, codebook = objects(), objects(CODES)
    assert nearest(x, codebook).equal(torch.cdist(x, codebook).argmin(1))


def test_reduced_precision_around_it_does_not_change_the_codes() -> None:
    quantizer = tiny_quantizer()
    x = objects(4000)
    quantizer(x, all_real(x))
    quantizer.eval()
    codes = quantizer(x, all_real(x)).codes
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert quantizer(x, all_real(x)).codes.equal(codes)


@pytest.mark.parametrize("start", [True, False])
def test_masked_rows_never_move_the_codebook(start: bool) -> None:
    """`start`: from the first batch on, which also initialises."""
    x, other = objects(), objects(scale=50.0)
    mask = torch.rand(ROWS) < 0.7
    books = []
    for garbage in (x, torch.where(mask[:, None], x, other)):
        torch.manual_seed(3)
        quantizer = tiny_quantizer()
        if not start:
            first = objects()
            quantizer(first, all_real(first))
        made = quantizer(garbage, mask)
        assert (made.codes[~mask] == -1).all()
        assert (made.codes[mask] >= 0).all()
        books.append((quantizer.codebook.clone(), float(made.commitment)))
    assert torch.allclose(books[0][0], books[1][0])
    assert books[0][1] == pytest.approx(books[1][1])


def test_training_does_change_the_codebook() -> None:
    quantizer = tiny_quantizer()
    x = objects()
    quantizer(x, all_real(x))
    before = quantizer.codebook.clone()
    quantizer(objects(), all_real(x))
    assert not quantizer.codebook.equal(before)


def test_the_gradient_goes_straight_through() -> None:
    quantizer = tiny_quantizer()
    x = objects().requires_grad_()
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
    quantizer = tiny_quantizer()
    x = objects()
    quantizer(x, all_real(x))
    quantizer.eval()
    made = quantizer(x, all_real(x))
    assert torch.allclose(made.embeddings, quantizer.codebook[made.codes], atol=1e-6)


def test_a_code_that_is_not_used_stays_where_it_is() -> None:
    """With counts from zero it would move, to nothing or to infinity."""
    quantizer, same = tiny_quantizer(), torch.full((ROWS, WIDTH), 3.0)  # all codes start there, one is used
    for _ in range(20):
        quantizer(same, all_real(same))
    assert torch.allclose(quantizer.codebook, torch.tensor(3.0), rtol=1e-3)


# --- refresh


def with_dead_codes(**changes: object) -> CodebookQuantizer:
    """Half of the codes far from any data."""
    quantizer = tiny_quantizer(**changes)
    x = objects()
    quantizer(x, all_real(x))
    quantizer.codebook[CODES // 2 :] = 1000.0
    quantizer.sums.copy_(quantizer.codebook * quantizer.counts[:, None])
    quantizer.usage.zero_()
    quantizer.steps = 0
    return quantizer


def used(quantizer: CodebookQuantizer) -> torch.Tensor:
    x = objects(4000)
    training, _ = quantizer.training, quantizer.eval()
    codes = quantizer(x, all_real(x)).codes
    quantizer.train(training)
    return torch.bincount(codes, minlength=CODES) > 0


def test_a_refresh_revives_dead_codes() -> None:
    on = {"refresh__enabled": True, "refresh__interval": 3, "refresh__threshold": 0.01}
    for changes, revived in (({}, False), (on, True)):
        quantizer = with_dead_codes(**changes)
        for step in range(3):
            assert not used(quantizer)[CODES // 2 :].any(), step
            quantizer.after_step(quantizer(objects(), all_real(objects())))
        assert used(quantizer)[CODES // 2 :].all() == revived
        assert used(quantizer)[: CODES // 2].all()


@pytest.mark.parametrize(("threshold", "dead"), [(0.0, 0), (0.5, 1), (0.75, 2), (1.0, 2), (2.0, 4)])
def test_only_codes_below_the_threshold_are_replaced(threshold: float, dead: int) -> None:
    """Shares of a uniform one: 0.4, 0.6, 1, 2."""
    quantizer = tiny_quantizer(codes=4, refresh__enabled=True, refresh__threshold=min(threshold, 1.0))
    quantizer.refreshing = quantizer.refreshing.model_copy(update={"threshold": threshold + 1e-6 * (threshold > 1)})
    quantizer.codebook.copy_(torch.arange(4.0)[:, None].expand(4, WIDTH))
    quantizer.counts.fill_(10.0)
    quantizer.usage.copy_(torch.tensor([10.0, 15.0, 25.0, 50.0]))
    before, x = quantizer.codebook.clone(), objects()
    assert quantizer.refresh(x) == dead
    changed = (quantizer.codebook != before).any(1)
    assert changed.tolist() == [True] * dead + [False] * (4 - dead)
    assert all((quantizer.codebook[i] == x).all(1).any() for i in range(dead))
    assert torch.allclose(quantizer.sums[:dead], quantizer.codebook[:dead] * quantizer.counts[:dead, None])
    assert not quantizer.usage.any()


def test_between_refreshes_the_codebook_learns_without_waiting_for_the_device() -> None:
    quantizer = with_dead_codes(refresh__enabled=True, refresh__interval=3)
    x = objects()
    with Transfers() as transfers:
        for waiting in (False, False, True):
            quantizer.after_step(quantizer(x, all_real(x)))
            assert (transfers.count > 0) == waiting


def test_a_refresh_counts_what_it_replaced_until_it_is_asked() -> None:
    quantizer = with_dead_codes(refresh__enabled=True, refresh__interval=2)
    for _ in range(2):
        quantizer.after_step(quantizer(objects(), all_real(objects())))
    assert quantizer.refreshed == CODES // 2
