"""The predictor: from the projected embeddings of the context frames to that of the target frame.

It adds to the query's own embedding, since most outputs resemble their input; or to that moved by what the
demonstrations change, as an analogy has it.
Shapes: B sequences, F context frames (the query last), D dimensions, W width.
"""

import torch
from torch import nn
from torch.nn import functional

from arcjepa.encoder import Block
from arcjepa.settings import Model


class ConcatPredictor(nn.Module):
    """Reads the context frames side by side: a residual multilayer perceptron."""

    def __init__(self, model: Model, frames: int, width: int) -> None:
        super().__init__()
        hidden = 4 * model.width
        self.enter = nn.Linear(frames * width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(model.predictor_layers))
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(model.predictor_layers))
        self.leave = nn.Linear(hidden, model.embedding)
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, frames: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        """Frames (B, F, width) and the query's embedding (B, D) to (B, D)."""
        x = self.enter(frames.flatten(1))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + self.dropout(functional.gelu(layer(norm(x))))
        return query + self.leave(functional.gelu(x))


class FrameAttention(nn.Module):
    """Attends over the context frames; a learned embedding tells position, and so input from output, apart."""

    def __init__(self, model: Model, frames: int) -> None:
        super().__init__()
        self.enter = nn.Linear(model.embedding, 2 * model.width)
        self.position = nn.Parameter(0.02 * torch.randn(frames, 2 * model.width))
        self.block = Block(2 * model.width, model.heads, model.dropout)

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        """(B, F, D) to (B, F, 2 W)."""
        return self.block(self.enter(context) + self.position)


class Predictor(nn.Module):
    """The frames of the context, mixed by attention where that is on, then read side by side."""

    def __init__(self, model: Model, frames: int) -> None:
        super().__init__()
        self.attention = FrameAttention(model, frames) if model.frame_attention else None
        self.analogy = model.analogy
        self.read = ConcatPredictor(model, frames, 2 * model.width if model.frame_attention else model.embedding)

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        """(B, F, D) to (B, D)."""
        frames = context if self.attention is None else self.attention(context)
        start = context[:, -1] + shown_change(context) if self.analogy else context[:, -1]
        return self.read(frames, start)


def shown_change(context: torch.Tensor) -> torch.Tensor:
    """(B, D): output less input, the mean over the pairs that come before the query (B, F, D); zero without any."""
    inputs, outputs = context[:, :-1:2], context[:, 1::2]
    return (outputs - inputs).sum(1) / max(1, inputs.shape[1])
