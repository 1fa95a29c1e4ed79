"""Files of encoders: what was saved is what is loaded, and what is not that is noticed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_cases import VARIANTS, briefly_trained, tiny_params, tiny_phase, weights
from safetensors.torch import load_file, save_file

from arcjepa.config import canonical
from arcjepa.embeddings import FrozenEncoder
from arcjepa.encoder_files import LATER, _read_encoder, _write, load_encoder, publish_encoder, save_encoder
from arcjepa.errors import UserError
from arcjepa.tokens import Tokens
from arcjepa.trainer import Trainer

pytestmark = pytest.mark.usefixtures("seeded")
PUBLISHED = Path(__file__).parents[1] / "results/encoders"


def saved(folder: Path, name: str = "phase2", changes: dict[str, Any] | None = None) -> tuple[Trainer, Path]:
    """A trainer whose matrices are rounded as files round them, and its file."""
    trainer, path = briefly_trained(name, changes), folder / "encoder.safetensors"
    with torch.no_grad():
        for value in trainer.jepa.state_dict().values():
            if value.is_floating_point() and value.ndim > 1:
                value.copy_(value.half())
    save_encoder(path, trainer.jepa, trainer.phase, tiny_params().tokens)
    return trainer, path


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "phase3"])
def test_half_precision_changes_most_embeddings_by_less_than_a_thousandth(
    tmp_path: Path, tokens: Tokens, name: str
) -> None:
    trainer, path = briefly_trained(name), tmp_path / "encoder.safetensors"
    save_encoder(path, trainer.jepa, trainer.phase, tiny_params().tokens)
    exact = FrozenEncoder(trainer.jepa, trainer.phase).embed(tokens).projected
    off = np.linalg.norm(load_encoder(path).embed(tokens).projected - exact, axis=1)
    # Few objects lie so close between two codes that rounding gives them the other one.
    assert 0 < np.median(off / np.linalg.norm(exact - exact.mean(0), axis=1)) < 1e-3


def test_what_no_half_can_hold_is_kept_whole(tmp_path: Path) -> None:
    trainer, path = briefly_trained("baseline"), tmp_path / "encoder.safetensors"
    with torch.no_grad():
        trainer.jepa.encoder.quantizer.codebook[0, 0] = 1e5
    save_encoder(path, trainer.jepa, trainer.phase, tiny_params().tokens)
    assert load_encoder(path).jepa.encoder.quantizer.codebook[0, 0] == 1e5


def test_a_file_holds_nothing_that_only_training_needs(tmp_path: Path) -> None:
    names = load_file(saved(tmp_path, "baseline")[1])
    assert "encoder.quantizer.codebook" in names
    assert not any(name.endswith(("sums", "counts", "usage")) or "teacher" in name for name in names)


@pytest.mark.slow
def test_a_published_encoder_embeds_as_before_and_predicts_no_more(tmp_path: Path, tokens: Tokens) -> None:
    _, path = saved(tmp_path, "phase3")
    publish_encoder(path, tmp_path / "published.safetensors")
    whole, published = load_encoder(path), load_encoder(tmp_path / "published.safetensors")
    assert np.array_equal(whole.embed(tokens).projected, published.embed(tokens).projected)
    assert not any(name.startswith("predictor") for name in load_file(tmp_path / "published.safetensors"))
    with pytest.raises(UserError, match="without its predictor"):
        published.predict(np.zeros((1, whole.jepa.frames, 16), np.float32))


@pytest.mark.slow
def test_a_file_of_before_a_setting_of_the_model_was_there_is_read_without_it(tmp_path: Path, tokens: Tokens) -> None:
    _, path = saved(tmp_path, changes={"model.additive": False, "model.analogy": False})
    context = torch.randn(9, 3, 16).numpy()
    before, predicted = load_encoder(path).embed(tokens).projected, load_encoder(path).predict(context)
    weights, settings = _read_encoder(path)
    for name in LATER:
        del settings["phase"]["model"][name]
    _write(path, weights, settings)
    assert np.array_equal(load_encoder(path).embed(tokens).projected, before)
    assert np.array_equal(load_encoder(path).predict(context), predicted)
    settings["phase"]["model"] = {"additive": True, **settings["phase"]["model"]}
    _write(path, weights, settings)
    with pytest.raises(UserError, match="does not fit its settings"):
        load_encoder(path)


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*/*.safetensors")), ids=lambda path: path.stem)
def test_an_encoder_that_is_in_git_is_loaded(path: Path) -> None:
    assert load_encoder(path).jepa.encoder.projector.leave.weight.any()


def test_a_damaged_encoder_is_not_published(tmp_path: Path) -> None:
    _, path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match="SHA-256"):
        publish_encoder(path, tmp_path / "published.safetensors")
    assert not (tmp_path / "published.safetensors").exists()


def test_the_loaded_encoder_trains_no_more(tmp_path: Path, tokens: Tokens) -> None:
    loaded = load_encoder(saved(tmp_path, "baseline")[1])
    before = weights(loaded.jepa)
    one = loaded.embed(tokens)
    assert np.array_equal(one.projected, loaded.embed(tokens).projected)
    assert weights(loaded.jepa).equal(before)
    assert not loaded.jepa.training


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


@pytest.mark.slow
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


@pytest.mark.slow
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
