"""Attention among the tokens of each frame, which lie packed: without the padding that most frames would need.

Shapes: M frames, S object slots, T = S + 1 tokens of a frame (the grid token first), P packed tokens, W width, H heads,
R relations.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from arcjepa import kernels
from arcjepa.layout import COLOUR, HEIGHT, LEFT, TOP, WIDTH
from arcjepa.views import TokenBatch

RELATIONS = 3


class _Move(torch.autograd.Function):
    """Rows to other places, where gradients come back the same way.

    Both gather, where the gradient of indexing would add atomically, slow and in any order.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, there: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(there, back)
        return _taken(x, there)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _taken(gradients[0], ctx.saved_tensors[1]), None, None


def _taken(x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, x.new_zeros(1, x.shape[1])])[rows]


def move(x: torch.Tensor, there: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """x (n, W) to (m, W): row i is row there[i] of x, or zero where that is n. `back` (n,) undoes it."""
    return _Move.apply(x, there, back)


@dataclass
class Packing:
    """Where P packed tokens lie among M * T padded ones: the grid tokens first, then the slots of the batch."""

    positions: torch.Tensor
    """(P,) int64: the padded place of each packed token, M * T for room that is left over."""
    places: torch.Tensor
    """(M, T) int64: the packed place of each padded token, P for padding."""
    relations: torch.Tensor
    """(M, T, T) uint8: bit r says whether two tokens stand in relation r; see `relations_of`."""

    @classmethod
    def of(cls, batch: TokenBatch) -> "Packing":
        """The packing of a batch's frames."""
        frames, slots = batch.valid.shape
        frame = torch.arange(frames, device=batch.slots.device)
        objects = batch.slots + torch.div(batch.slots, slots, rounding_mode="floor") + 1
        objects = torch.where(batch.present, objects, frames * (slots + 1))
        places = torch.cat([frame[:, None], frames + batch.places], dim=1)
        relations = functional.pad(relations_of(batch), (1, 0, 1, 0))
        return cls(torch.cat([frame * (slots + 1), objects]), places, relations)

    def pad(self, x: torch.Tensor) -> torch.Tensor:
        """(P, W) to (M, T, W), zero elsewhere."""
        return move(x, self.places.flatten(), self.positions).unflatten(0, self.places.shape)

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        """(M, T, W) to (P, W), zero in room that is left over."""
        return move(x.flatten(0, 1), self.positions, self.places.flatten())


def relations_of(batch: TokenBatch) -> torch.Tensor:
    """(M, S, S) uint8: bit 0 for objects that touch (share an edge of a cell), 1 for those whose boxes do, 2 for those
    of one colour."""
    relations = (batch.contact, boxes_touch(batch), same_colour(batch))
    touch, boxes, colour = (relation.byte() << bit for bit, relation in enumerate(relations))
    return touch | boxes | colour


def boxes_touch(batch: TokenBatch) -> torch.Tensor:
    """(M, S, S) bool: bounding boxes overlap or touch, corners included."""
    low = torch.stack([batch.columns[..., TOP], batch.columns[..., LEFT]], -1)
    high = low + torch.stack([batch.columns[..., HEIGHT], batch.columns[..., WIDTH]], -1)
    return ((low[:, :, None] <= high[:, None]) & (low[:, None] <= high[:, :, None])).all(-1)


def same_colour(batch: TokenBatch) -> torch.Tensor:
    """(M, S, S) bool."""
    colour = batch.columns[..., COLOUR]
    return colour[:, :, None] == colour[:, None]


class AttentionBias(nn.Module):
    """Adjacency-aware attention: a learned addend per head to the logits of tokens in each relation."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(RELATIONS, heads))
        """(R, H)."""

    def forward(self, packing: Packing) -> torch.Tensor:
        """What `attend_packed` takes: the weight itself on a GPU, elsewhere the addends, once for all layers."""
        return self.weight if self.weight.is_cuda else addends(packing, self.weight)


def addends(packing: Packing, weight: torch.Tensor) -> torch.Tensor:
    """(M, H, T, T): what `weight` (R, H) adds to the logits; minus a billion where there is no token to attend to."""
    bits = [(packing.relations >> relation & 1)[:, None].bool() for relation in range(len(weight))]
    bias = sum(w * bit for w, bit in zip(weight[:, None, :, None, None], bits, strict=True))
    absent = packing.places == len(packing.positions)
    return bias.masked_fill(absent[:, None, None, :], -1e9)


def attend(qkv: torch.Tensor, heads: int, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Queries, keys and values (M, T, 3 W) of `heads` heads each to (M, T, W); bias (M, H, T, T)."""
    q, k, v = (part.transpose(1, 2) for part in qkv.unflatten(-1, (3, heads, -1)).unbind(2))
    bias = None if bias is None else bias.to(q.dtype)
    return functional.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2).flatten(2)


def attend_packed(qkv: torch.Tensor, packing: Packing, bias: torch.Tensor) -> torch.Tensor:
    """(P, 3 W) to (P, W): every token to those of its frame, with the bias that AttentionBias made."""
    if qkv.is_cuda:
        return _AttendPacked.apply(qkv, packing.places, packing.relations, bias)
    return packing.pack(attend(packing.pad(qkv), bias.shape[1], bias))


class _AttendPacked(torch.autograd.Function):
    """The same by kernels of our own: the library's are for long sequences, and wait for memory on short ones."""

    @staticmethod
    def forward(
        ctx: Any, qkv: torch.Tensor, places: torch.Tensor, relations: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(qkv, places, relations, weight)
        return kernels.attend(qkv, places, relations, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        along, by_frame = kernels.attend_back(*ctx.saved_tensors, gradients[0])
        return along, None, None, by_frame.sum(0).mT
