"""Frozen encoders: an embedding depends on its frame and view alone."""

from typing import Any

import numpy as np
import pytest
import torch
from model_cases import VARIANTS, briefly_trained, tiny_corpus, tiny_phase, weights

from arcjepa import embeddings
from arcjepa.embeddings import FrozenEncoder, settle_norms, untrained_encoder
from arcjepa.tokens import Tokens
from arcjepa.trainer import Trainer
from arcjepa.views import View

pytestmark = pytest.mark.usefixtures("seeded")


def test_embeddings_have_their_shapes(tokens: Tokens) -> None:
    made = FrozenEncoder(briefly_trained("phase2").jepa, tiny_phase("phase2")).embed(tokens)
    assert made.frame.shape == (len(tokens), 3 * 16)
    assert made.projected.shape == (len(tokens), 16)
    assert made.frame.dtype == made.projected.dtype == np.float32


@pytest.mark.slow
def test_an_embedding_does_not_depend_on_chunks_or_order(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FrozenEncoder(briefly_trained("baseline").jepa, tiny_phase("baseline"))
    every = encoder.embed(tokens).projected
    order = np.random.default_rng(0).permutation(len(tokens))
    assert np.allclose(encoder.embed(tokens, order).projected, every[order], atol=1e-5)
    view = random_view(len(tokens))
    turned = encoder.embed(tokens, None, view).projected
    counts = encoder.code_counts(tokens)
    monkeypatch.setattr(embeddings, "CHUNK", 37)
    assert np.allclose(encoder.embed(tokens).projected, every, atol=1e-5)
    assert np.allclose(encoder.embed(tokens, None, view).projected, turned, atol=1e-5)
    assert np.array_equal(encoder.code_counts(tokens), counts)


def random_view(count: int, shift: bool = True) -> View:
    colours = torch.stack([torch.randperm(10) for _ in range(count)])
    return View(torch.randint(8, (count,)), colours, torch.randint(-3, 4, (count, 2)) if shift else None)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["d8", "colours", "shift"])
def test_a_view_changes_the_embedding(tokens: Tokens, part: str) -> None:
    encoder = untrained_encoder(tiny_phase("phase2", {"quantizer.kind": "none"}), 0)
    count = len(tokens)
    identity = View(torch.zeros(count, dtype=torch.int64), torch.arange(10).repeat(count, 1), None)
    plain, same = encoder.embed(tokens).projected, encoder.embed(tokens, None, identity).projected
    assert np.allclose(plain, same, atol=1e-6)
    setattr(identity, part, getattr(random_view(count), part))
    moved = np.abs(encoder.embed(tokens, None, identity).projected - plain).max(axis=1)
    assert (moved > 1e-5).mean() > (0.3 if part == "shift" else 0.8)  # many objects fill their frame


def test_a_view_may_come_without_a_shift(tokens: Tokens) -> None:
    encoder = untrained_encoder(tiny_phase("phase2"), 0)
    view = random_view(len(tokens), shift=False)
    still = View(view.d8, view.colours, torch.zeros(len(tokens), 2, dtype=torch.int64))
    one, other = (encoder.embed(tokens, None, v).projected for v in (view, still))
    assert np.array_equal(one, other)


def test_codes_are_counted_over_the_objects_of_the_frames_asked(tokens: Tokens) -> None:
    encoder = FrozenEncoder(briefly_trained("phase2").jepa, tiny_phase("phase2"))
    objects = np.diff(tokens.object_start)
    counts = encoder.code_counts(tokens)
    assert counts is not None
    assert counts.shape == (32,)
    assert counts.sum() == objects.sum()
    some = encoder.code_counts(tokens, np.array([3, 5, 9]))
    assert some is not None
    assert some.sum() == objects[[3, 5, 9]].sum()
    assert not np.any(untrained_encoder(tiny_phase("phase2"), 0).code_counts(tokens))  # its codes have not started
    plain = tiny_phase("phase2", {"quantizer.kind": "none"})
    assert untrained_encoder(plain, 0).code_counts(tokens) is None


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=str)
def test_the_untrained_encoder_is_where_training_starts(name: str, changes: dict[str, Any]) -> None:
    phase = tiny_phase(name, changes)
    for seed in (0, 3):
        start = Trainer(phase, tiny_corpus(), seed, "cpu")
        assert weights(untrained_encoder(phase, seed).jepa).equal(weights(start.jepa))
    assert not weights(untrained_encoder(phase, 1).jepa).equal(weights(start.jepa))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=str)
def test_the_untrained_encoder_tells_frames_apart_by_their_objects(
    tokens: Tokens, name: str, changes: dict[str, Any]
) -> None:
    """The control must see the tokens: a codebook that has not started would map every object to nothing."""
    encoder = untrained_encoder(tiny_phase(name, changes), 0)
    before, made = weights(encoder.jepa), encoder.embed(tokens).frame
    assert weights(encoder.jepa).equal(before)  # nor may it start its codebook here
    objects = made[:, 16:32]  # the sum over object embeddings
    assert np.abs(objects).max() > 0.1
    assert len(np.unique(objects.round(4), axis=0)) > 100


@pytest.mark.parametrize("of", ["projector", "additive"])
@pytest.mark.parametrize("frames", [None, np.arange(1, 99, 2)])
def test_settled_norms_have_the_statistics_of_the_frames(tokens: Tokens, frames: np.ndarray | None, of: str) -> None:
    encoder = untrained_encoder(tiny_phase("phase2", {"model.additive": True}), 0)
    settle_norms(encoder, tokens, frames)
    norm, seen = getattr(encoder.jepa.encoder, of).norm, []
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    encoder.embed(tokens, frames)
    made = torch.cat(seen)
    assert made.mean(0).abs().max() < 0.05
    assert (made.std(0) - 1).abs().max() < 0.1
    assert not norm.training
