"""Files of encoders: weights in half precision, the settings that rebuild them, and a digest of both."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from arcjepa.archives import reason
from arcjepa.config import canonical
from arcjepa.data_settings import TokenSettings
from arcjepa.embeddings import FrozenEncoder
from arcjepa.errors import UserError
from arcjepa.files import remake, write_atomic
from arcjepa.jepa import JEPA
from arcjepa.settings import Phase

UNUSABLE = (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OverflowError)
"""What safetensors, JSON and pydantic raise on a file that is no encoder."""
PREDICTOR = "predictor."
LATER = {"additive": False, "sketch": 0, "analogy": False}
"""Settings of the model that came later, as they are where a file has none."""


def save_encoder(path: Path, jepa: JEPA, phase: Phase, tokens: TokenSettings) -> None:
    """Encoder and predictor, without a teacher and in half precision, which is what is evaluated; in the metadata the
    settings that rebuild them, and a digest of all."""
    weights = {name: _halved(value.contiguous().cpu()) for name, value in jepa.state_dict().items() if _kept(name)}
    _write(path, weights, {"phase": phase.model_dump(), "tokens": tokens.model_dump()})


def publish_encoder(source: Path, target: Path) -> None:
    """Copy what `save_encoder` wrote, without the predictor. Errors: UserError as `load_encoder`."""
    weights, settings = _read_encoder(source)
    _write(target, {name: value for name, value in weights.items() if not name.startswith(PREDICTOR)}, settings)


def load_encoder(path: Path, device: str = "cpu") -> FrozenEncoder:
    """What `save_encoder` or `publish_encoder` wrote. Errors: UserError naming a file that is missing or damaged."""
    again = f"train it again with `{remake(path)}`"
    weights, settings = _read_encoder(path)
    try:
        model = {**LATER, **settings["phase"]["model"]}
        phase = Phase.model_validate({**settings["phase"], "model": model})
    except UNUSABLE as error:
        raise UserError(f"{path}: is no encoder of ours: {reason(error)}; {again}") from None
    if sum(value.numel() for value in weights.values()) < _fewest(phase):
        raise UserError(f"{path}: does not fit its settings: has too few weights for a model of that size; {again}")
    jepa = JEPA(phase)
    predicts = any(name.startswith(PREDICTOR) for name in weights)
    wanted, held = _kinds(jepa.state_dict()), _kinds(weights)
    wanted = {name: kind for name, kind in wanted.items() if predicts or not name.startswith(PREDICTOR)}
    differing = sorted(name for name in wanted.keys() | held.keys() if wanted.get(name) != held.get(name))
    if differing:
        raise UserError(f"{path}: does not fit its settings: {differing[0]:.80}; {again}")
    jepa.load_state_dict(weights, strict=False)  # a teacher, and what a codebook learns from, stay as they are
    return FrozenEncoder(jepa, phase, device, predicts)


def _write(path: Path, weights: dict[str, torch.Tensor], settings: dict[str, Any]) -> None:
    # One entry, as the order of several would differ from run to run.
    held = canonical(settings | {"sha256": _digest(weights, settings)})
    write_atomic(path, save(weights, metadata={"settings": held}))


def _read_encoder(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and settings as they are in a file. Errors: UserError where they are not what was written."""
    again = f"train it again with `{remake(path)}`"
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {})["settings"])
            if not isinstance(settings, dict):
                raise ValueError("its settings are no mapping")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        recorded, found = settings.pop("sha256"), _digest(weights, settings)
    except UNUSABLE as error:
        raise UserError(f"{path}: is no encoder of ours: {reason(error)}; {again}") from None
    if recorded != found:
        raise UserError(f"{path}: is damaged or edited: its SHA-256 is not the one that it records; {again}")
    return weights, settings


def _fewest(phase: Phase) -> int:
    """Weights that an encoder of this size has at least: a small file must not ask for one that fills the memory."""
    model = phase.model
    return model.layers * model.width**2 + (model.sketch * model.embedding if model.additive else 0)


def _kept(name: str) -> bool:
    """Whether an embedding or a prediction depends on these weights: not a teacher's, and not a codebook's sums."""
    return "teacher." not in name and name.rsplit(".", 1)[-1] not in ("sums", "counts", "usage")


def _halved(value: torch.Tensor) -> torch.Tensor:
    """Matrices as float16, where their values have room in it; the rest (norms, biases, counts) as it is."""
    fits = value.is_floating_point() and value.ndim > 1 and bool((value.abs() <= torch.finfo(torch.float16).max).all())
    return value.half() if fits else value


def _kinds(weights: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, bool]]:
    """Shape by name and whether it holds whole numbers, of those that are kept."""
    return {name: (value.shape, value.is_floating_point()) for name, value in weights.items() if _kept(name)}


def _digest(weights: Mapping[str, torch.Tensor], settings: Mapping[str, Any]) -> str:
    """SHA-256 of names, types, shapes and values, and of the settings."""
    total = hashlib.sha256(canonical(settings).encode())
    for name, value in sorted(weights.items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
