"""Frozen encoders as evaluation sees them: tokens in, embeddings out.

Shapes: M frames, B sequences, F context frames, D dimensions, K codes.
"""

from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch

from arcjepa.errors import UserError
from arcjepa.jepa import JEPA, BatchNorm
from arcjepa.settings import Phase, Sequence
from arcjepa.tokens import Tokens
from arcjepa.views import DeviceTokens, View, gather

CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Embedding:
    """Embeddings of M frames."""

    frame: np.ndarray
    """(M, W) float32, pooled, before the projector and without the additive path."""
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
    """A JEPA in evaluation mode, on one device; one that was published has no predictor."""

    def __init__(self, jepa: JEPA, phase: Phase, device: str = "cpu", predicts: bool = True) -> None:
        self.jepa, self.sequence, self.device = jepa.to(device).eval(), phase.sequence, device
        self.predicts = predicts
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
        """(B, F, D) to (B, D). Errors: UserError where the file had no predictor."""
        if not self.predicts:
            raise UserError("encoder: was published without its predictor; use the encoder.safetensors of its run")
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
    """Give an untrained encoder's BatchNorms the statistics of these frames (M,), all by default, in random order: in
    training they would have them from the first step, and with mean 0 and variance 1 the control would be another
    function."""
    norms = [module for module in encoder.jepa.encoder.modules() if isinstance(module, BatchNorm)]
    for norm in norms:
        norm.momentum = None  # a plain average over the chunks
        norm.reset_running_stats()
        norm.train()
    encoder.embed(tokens, frames)
    for norm in norms:
        norm.eval()
