"""Predictors: from the projected embeddings of the context frames to that of the target frame.

Both add to the query's own embedding, since most outputs resemble their input.
Shapes: B sequences, F context frames (the query last), D dimensions, W width.
"""

import torch
from torch import nn
from torch.nn import functional

from arcjepa.config import Model
from arcjepa.encoder import Block


class ConcatPredictor(nn.Module):
    """Reads the context frames side by side: a residual multilayer perceptron."""

    def __init__(self, model: Model, frames: int) -> None:
        super().__init__()
        hidden = 4 * model.width
        self.enter = nn.Linear(frames * model.embedding, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(model.predictor_layers))
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(model.predictor_layers))
        self.leave = nn.Linear(hidden, model.embedding)
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        """(B, F, D) to (B, D)."""
        x = self.enter(context.flatten(1))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + self.dropout(functional.gelu(layer(norm(x))))
        return context[:, -1] + self.leave(functional.gelu(x))


class AttentionPredictor(nn.Module):
    """Attends over the context frames; a learned embedding tells position, and so input from output, apart."""

    def __init__(self, model: Model, frames: int) -> None:
        super().__init__()
        width = 2 * model.width
        self.enter = nn.Linear(model.embedding, width)
        self.position = nn.Parameter(0.02 * torch.randn(frames, width))
        self.blocks = nn.ModuleList(
            Block(width, model.heads, model.dropout) for _ in range(model.predictor_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, model.embedding)

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        """(B, F, D) to (B, D)."""
        x = self.enter(context) + self.position
        for block in self.blocks:
            x = block(x)
        return context[:, -1] + self.leave(self.norm(x[:, -1]))


def make_predictor(model: Model, frames: int) -> nn.Module:
    """The predictor that the settings ask for, for `frames` context frames."""
    return (AttentionPredictor if model.frame_attention else ConcatPredictor)(model, frames)
