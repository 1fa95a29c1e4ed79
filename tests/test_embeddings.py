"""Frozen encoders: what was saved is what is loaded, and an embedding depends on its frame and view alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_cases import steps, tiny_corpus, tiny_params, tiny_phase, weights
from safetensors.torch import load_file, save_file

from arcjepa import embeddings
from arcjepa.config import canonical
from arcjepa.embeddings import FrozenEncoder, load_encoder, save_encoder, settle_norms, untrained_encoder
from arcjepa.errors import UserError
from arcjepa.tokens import Tokens
from arcjepa.trainer import Trainer
from arcjepa.views import View

pytestmark = pytest.mark.usefixtures("seeded")
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("baseline", {}),
    ("phase2", {}),
    ("phase2", {"quantizer.kind": "none"}),
    ("phase2", {"quantizer.kind": "fsq"}),
    ("phase2", {"sequence.framing": "query"}),
    ("phase3", {}),
]


def trained(name: str, changes: dict[str, Any] | None = None) -> Trainer:
    trainer = Trainer(tiny_phase(name, changes), tiny_corpus(), 0, "cpu")
    steps(trainer, 2)
    return trainer


def saved(folder: Path, name: str = "phase2", changes: dict[str, Any] | None = None) -> tuple[Trainer, Path]:
    """A trainer whose matrices are rounded as files round them, and its file."""
    trainer, path = trained(name, changes), folder / "encoder.safetensors"
    with torch.no_grad():
        for value in trainer.jepa.state_dict().values():
            if value.is_floating_point() and value.ndim > 1:
                value.copy_(value.half())
    save_encoder(path, trainer.jepa, trainer.phase, tiny_params().tokens)
    return trainer, path


@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=str)
def test_what_was_saved_is_what_is_loaded(tmp_path: Path, tokens: Tokens, name: str, changes: dict[str, Any]) -> None:
    trainer, path = saved(tmp_path, name, changes)
    loaded, live = load_encoder(path), FrozenEncoder(trainer.jepa, trainer.phase)
    one, other = loaded.embed(tokens), live.embed(tokens)
    assert np.array_equal(one.frame, other.frame)
    assert np.array_equal(one.projected, other.projected)
    context = np.random.default_rng(0).normal(size=(9, trainer.jepa.frames, 16)).astype(np.float32)
    assert np.array_equal(loaded.predict(context), live.predict(context))
    assert loaded.sequence == trainer.phase.sequence
    counts, live_counts = loaded.code_counts(tokens), live.code_counts(tokens)
    assert np.array_equal(counts, live_counts) if counts is not None else live_counts is None
    assert not any("teacher" in key for key in load_file(path))


@pytest.mark.parametrize("name", ["baseline", "phase3"])
def test_half_precision_changes_most_embeddings_by_less_than_a_thousandth(
    tmp_path: Path, tokens: Tokens, name: str
) -> None:
    trainer, path = trained(name), tmp_path / "encoder.safetensors"
    save_encoder(path, trainer.jepa, trainer.phase, tiny_params().tokens)
    exact = FrozenEncoder(trainer.jepa, trainer.phase).embed(tokens).projected
    off = np.linalg.norm(load_encoder(path).embed(tokens).projected - exact, axis=1)
    # Few objects lie so close between two codes that rounding gives them the other one.
    assert 0 < np.median(off / np.linalg.norm(exact - exact.mean(0), axis=1)) < 1e-3


def test_what_no_half_can_hold_is_kept_whole(tmp_path: Path) -> None:
    trainer, path = trained("baseline"), tmp_path / "encoder.safetensors"
    with torch.no_grad():
        trainer.jepa.encoder.quantizer.codebook[0, 0] = 1e5
    save_encoder(path, trainer.jepa, trainer.phase, tiny_params().tokens)
    assert load_encoder(path).jepa.encoder.quantizer.codebook[0, 0] == 1e5


def test_a_file_holds_nothing_that_only_training_needs(tmp_path: Path) -> None:
    names = load_file(saved(tmp_path, "baseline")[1])
    assert "encoder.quantizer.codebook" in names
    assert not any(name.endswith(("sums", "counts", "usage")) or "teacher" in name for name in names)


def test_the_loaded_encoder_trains_no_more(tmp_path: Path, tokens: Tokens) -> None:
    loaded = load_encoder(saved(tmp_path, "baseline")[1])
    before = weights(loaded.jepa)
    one = loaded.embed(tokens)
    assert np.array_equal(one.projected, loaded.embed(tokens).projected)
    assert weights(loaded.jepa).equal(before)
    assert not loaded.jepa.training


def test_embeddings_have_their_shapes(tokens: Tokens) -> None:
    made = FrozenEncoder(trained("phase2").jepa, tiny_phase("phase2")).embed(tokens)
    assert made.frame.shape == (len(tokens), 3 * 16)
    assert made.projected.shape == (len(tokens), 16)
    assert made.frame.dtype == made.projected.dtype == np.float32


def test_an_embedding_does_not_depend_on_chunks_or_order(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FrozenEncoder(trained("baseline").jepa, tiny_phase("baseline"))
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
    encoder = FrozenEncoder(trained("phase2").jepa, tiny_phase("phase2"))
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


@pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=str)
def test_the_untrained_encoder_is_where_training_starts(name: str, changes: dict[str, Any]) -> None:
    phase = tiny_phase(name, changes)
    for seed in (0, 3):
        start = Trainer(phase, tiny_corpus(), seed, "cpu")
        assert weights(untrained_encoder(phase, seed).jepa).equal(weights(start.jepa))
    assert not weights(untrained_encoder(phase, 1).jepa).equal(weights(start.jepa))


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


# --- files that are no encoder of ours


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def beheaded(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6])


def foreign(path: Path) -> None:
    save_file({"x": torch.zeros(2)}, path)


def foreign_with_metadata(path: Path) -> None:
    save_file({"x": torch.zeros(2)}, path, metadata={"format": "pt"})


def nonsense(path: Path) -> None:
    path.write_text("not a model")


def other_settings(path: Path) -> None:
    _resave(path, '{"phase": {"model": {}}}')


def broken_settings(path: Path) -> None:
    _resave(path, "{")


def other_width(path: Path) -> None:
    _resave(path, canonical({"phase": tiny_phase("phase2", {"model.width": 24}).model_dump()}))


def other_layers(path: Path) -> None:
    _resave(path, canonical({"phase": tiny_phase("phase2", {"model.layers": 2}).model_dump()}))


def missing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _resave(path: Path, text: str) -> None:
    save_file(load_file(path), path, metadata={"settings": text})


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        beheaded,
        foreign,
        foreign_with_metadata,
        nonsense,
        other_settings,
        broken_settings,
        other_width,
        other_layers,
        missing,
        folder,
    ],
)
def test_a_file_that_is_no_encoder_of_ours_is_an_error_naming_it(tmp_path: Path, damage: Any) -> None:
    _, path = saved(tmp_path)
    damage(path)
    with pytest.raises(UserError) as error:
        load_encoder(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_one_flipped_bit_anywhere_in_an_encoder_is_noticed(tmp_path: Path) -> None:
    _, path = saved(tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in (*rng.integers(0, header, 60), *rng.integers(header, len(whole), 60)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"encoder.*; train it again with `snakemake --force "):
            load_encoder(path)
    path.write_bytes(whole)
    load_encoder(path)


@pytest.mark.parametrize("frames", [None, np.arange(1, 99, 2)])
def test_settled_norms_have_the_statistics_of_the_frames(tokens: Tokens, frames: np.ndarray | None) -> None:
    encoder = untrained_encoder(tiny_phase("phase2"), 0)
    settle_norms(encoder, tokens, frames)
    norm, seen = encoder.jepa.encoder.projector.norm, []
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    encoder.embed(tokens, frames)
    made = torch.cat(seen)
    assert made.mean(0).abs().max() < 0.05
    assert (made.std(0) - 1).abs().max() < 0.1
    assert not norm.training
