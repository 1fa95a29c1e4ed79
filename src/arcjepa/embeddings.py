"""Frozen encoders as evaluation sees them: tokens in, embeddings out.

Shapes: M frames, B sequences, F context frames, D dimensions, K codes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from arcjepa.archives import reason
from arcjepa.config import canonical
from arcjepa.data_settings import TokenSettings
from arcjepa.errors import UserError
from arcjepa.files import write_atomic
from arcjepa.jepa import JEPA
from arcjepa.settings import Phase, Sequence
from arcjepa.tokens import Tokens
from arcjepa.views import DeviceTokens, View, gather

CHUNK = 1024
UNUSABLE = (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OverflowError)
"""What safetensors, JSON and pydantic raise on a file that is no encoder."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """Embeddings of M frames."""

    frame: np.ndarray
    """(M, W) float32, pooled, before the projector."""
    projected: np.ndarray
    """(M, D) float32."""


class Embedder(Protocol):
    """Anything that turns frames into vectors and predicts a target's vector: trained, untrained or hand-made."""

    sequence: Sequence
    """Framing and window of its predictor."""

    def embed(self, tokens: Tokens, frames: np.ndarray | None = None, view: View | None = None) -> Embedding:
        """Embed the given frames (all by default), each under its view."""
        ...

    def predict(self, projected: np.ndarray) -> np.ndarray:
        """(B, F, D) context embeddings to (B, D) predictions."""
        ...

    def code_counts(self, tokens: Tokens, frames: np.ndarray | None = None) -> np.ndarray | None:
        """(K,) assignments per code over object tokens; None without a codebook."""
        ...


class FrozenEncoder:
    """A JEPA in evaluation mode, on one device."""

    def __init__(self, jepa: JEPA, phase: Phase, device: str = "cpu") -> None:
        self.jepa, self.sequence, self.device = jepa.to(device).eval(), phase.sequence, device
        self._held: WeakKeyDictionary[Tokens, DeviceTokens] = WeakKeyDictionary()

    @torch.no_grad()
    def embed(self, tokens: Tokens, frames: np.ndarray | None = None, view: View | None = None) -> Embedding:
        """Embed frames in chunks; deterministic."""
        held = self._hold(tokens)
        rows = torch.arange(len(tokens)) if frames is None else torch.as_tensor(frames)
        parts = []
        for start in range(0, len(rows), CHUNK):
            chunk = slice(start, start + CHUNK)
            turned = None if view is None else _rows(view, chunk, self.device)
            made = self.jepa.encoder(gather(held, rows[chunk].to(self.device), turned))
            parts.append((made.frame.float().cpu(), made.projected.cpu()))
        return Embedding(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)))

    @torch.no_grad()
    def predict(self, projected: np.ndarray) -> np.ndarray:
        """(B, F, D) to (B, D)."""
        context = torch.as_tensor(projected, dtype=torch.float32)
        chunks = [self.jepa.predictor(part.to(self.device)).float().cpu() for part in context.split(8 * CHUNK)]
        return torch.cat(chunks).numpy()

    @torch.no_grad()
    def code_counts(self, tokens: Tokens, frames: np.ndarray | None = None) -> np.ndarray | None:
        """Assignments per code over the object tokens of the frames; None where there is no codebook yet."""
        codes = self.jepa.encoder.quantizer.codes
        if not codes:
            return None
        held = self._hold(tokens)
        rows = torch.arange(len(tokens)) if frames is None else torch.as_tensor(frames)
        counts = torch.zeros(codes, dtype=torch.int64)
        for chunk in rows.split(CHUNK):
            used = self.jepa.encoder(gather(held, chunk.to(self.device), None)).quantized.codes.cpu()
            counts += torch.bincount(used[used >= 0], minlength=codes)
        return counts.numpy() if counts.any() else None

    def _hold(self, tokens: Tokens) -> DeviceTokens:
        if tokens not in self._held:
            self._held[tokens] = DeviceTokens.from_numpy(tokens, self.device)
        return self._held[tokens]


def _rows(view: View, rows: slice, device: str) -> View:
    shift = None if view.shift is None else view.shift[rows].to(device)
    return View(view.d8[rows].to(device), view.colours[rows].to(device), shift)


def untrained_encoder(phase: Phase, seed: int, device: str = "cpu") -> FrozenEncoder:
    """The control: a phase's architecture with the weights that training starts from."""
    torch.manual_seed(seed)
    return FrozenEncoder(JEPA(phase), phase, device)


def settle_norms(encoder: FrozenEncoder, tokens: Tokens, frames: np.ndarray | None = None) -> None:
    """Give an untrained projector's BatchNorm the statistics of these frames (M,), all by default, in random order: in
    training it would have them from the first step, and with mean 0 and variance 1 the control would be another
    function."""
    norm = encoder.jepa.encoder.projector.norm
    norm.momentum = None  # a plain average over the chunks
    norm.reset_running_stats()
    norm.train()
    encoder.embed(tokens, frames)
    norm.eval()


def save_encoder(path: Path, jepa: JEPA, phase: Phase, tokens: TokenSettings) -> None:
    """Encoder and predictor, without a teacher and in half precision, which is what is evaluated; in the metadata the
    settings that rebuild them, and a digest of all."""
    weights = {name: _halved(value.contiguous().cpu()) for name, value in jepa.state_dict().items() if _kept(name)}
    settings = {"phase": phase.model_dump(), "tokens": tokens.model_dump()}
    # One entry, as the order of several would differ from run to run.
    held = canonical(settings | {"sha256": _digest(weights, settings)})
    write_atomic(path, save(weights, metadata={"settings": held}))


def load_encoder(path: Path, device: str = "cpu") -> FrozenEncoder:
    """What `save_encoder` wrote. Errors: UserError naming the file where it is missing or damaged."""
    again = f"train it again with `snakemake --force {path}`"
    try:
        weights, settings = _read_encoder(path)
        recorded, phase = settings.pop("sha256"), Phase.model_validate(settings["phase"])
        found = _digest(weights, settings)
    except UNUSABLE as error:
        raise UserError(f"{path}: is no encoder of ours: {reason(error)}; {again}") from None
    if recorded != found:
        raise UserError(f"{path}: is damaged or edited: its SHA-256 is not the one that it records; {again}")
    if sum(value.numel() for value in weights.values()) < _fewest(phase):
        raise UserError(f"{path}: does not fit its settings: has too few weights for a model of that size; {again}")
    jepa = JEPA(phase)
    wanted, held = _kinds(jepa.state_dict()), _kinds(weights)
    differing = sorted(name for name in wanted.keys() | held.keys() if wanted.get(name) != held.get(name))
    if differing:
        raise UserError(f"{path}: does not fit its settings: {differing[0]:.80}; {again}")
    jepa.load_state_dict(weights, strict=False)  # a teacher, and what a codebook learns from, stay as they are
    return FrozenEncoder(jepa, phase, device)


def _read_encoder(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and settings as they are in a file. Errors: one of UNUSABLE."""
    with safe_open(path, framework="pt") as file:
        settings = json.loads((file.metadata() or {})["settings"])
        if not isinstance(settings, dict):
            raise ValueError("its settings are no mapping")
        return {name: file.get_tensor(name) for name in file.keys()}, settings  # noqa: SIM118


def _fewest(phase: Phase) -> int:
    """Weights that a model of this size has at least: a small file must not ask for a model that fills the memory."""
    model = phase.model
    return model.layers * model.width**2 + model.predictor_layers * model.embedding**2


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
