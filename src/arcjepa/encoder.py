"""The token encoder: object tokens in, one embedding per token and one per frame out.

Shapes: M frames, S object slots, T = S + 1 tokens (the grid token first), W width, H heads;
P slots of a batch that are computed, or with the M grid tokens before them, as packed tokens.
"""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from arcjepa import kernels
from arcjepa.attention import AttentionBias, Packing, attend, attend_packed, move
from arcjepa.layout import COLUMNS
from arcjepa.pictures import Sketch
from arcjepa.settings import Model
from arcjepa.views import TokenBatch

SIDE = 30
_COLUMN = {name: index for index, name in enumerate(COLUMNS)}
_BITS = 5
_SCALARS = 6 + _BITS
_GRID_SCALARS = 10 + 10 + 10 + 1


class Lookup(nn.Module):
    """Sums of rows of a table, a few for each item, as the product of a matrix of zeros and ones with it.

    On a GPU this and its gradient are repeatable, and cost less than looking rows up.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))
        nn.init.normal_(self.weight, std=0.3)

    def chosen(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, R) int64, distinct in every item, to bool (n, K): which of the K rows of the table."""
        return rows.new_zeros(len(rows), len(self.weight), dtype=torch.bool).scatter_(1, rows, True)

    def forward(self, chosen: torch.Tensor) -> torch.Tensor:
        """(n, K) bool, or how often each row, to (n, W)."""
        return chosen.to(self.weight.dtype) @ self.weight


class Properties(NamedTuple):
    """What the features of n objects are linear in; of frames, sums over their objects, all float32."""

    chosen: torch.Tensor
    """(n, K) bool: rows of the table."""
    scalars: torch.Tensor
    """(n, scalars) float32."""
    mask: torch.Tensor
    """(n, 900) bool: cells."""


class ObjectFeatures(nn.Module):
    """Embeds an object's exact integers and its shape mask.

    Colour, box sides and distances to the four borders are looked up in tables (sums of rows, so that equality and
    order are both easy to read); area, fill, perimeter, holes, centroid and symmetry are scalars; the mask is
    linear in its 900 cells.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = Lookup(11 + 8 * (SIDE + 1), width)
        self.scalars = nn.Linear(_SCALARS, width)
        self.shape = nn.Linear(SIDE * SIDE, width, bias=False)

    def properties(self, batch: TokenBatch) -> Properties:
        """Of the P slots of the batch."""
        slots = batch.slots.clamp(max=batch.valid.numel() - 1)
        frame = torch.div(slots, batch.valid.shape[1], rounding_mode="floor")
        columns = batch.columns.flatten(0, 1)[slots]
        value = {name: columns[:, index] for name, index in _COLUMN.items()}
        below = batch.height[frame] - value["top"] - value["height"]
        right = batch.width[frame] - value["left"] - value["width"]
        places = [value["top"], value["left"], value["height"], value["width"], below, right]
        places += [value["top"] + value["height"], value["left"] + value["width"]]
        offsets = 11 + torch.arange(8, device=columns.device) * (SIDE + 1)
        rows = torch.cat([value["colour"][:, None], torch.stack(places, 1).clamp(0, SIDE) + offsets], 1)
        return Properties(self.table.chosen(rows), _object_scalars(value), batch.shape.flatten(1))

    def forward(self, properties: Properties) -> torch.Tensor:
        """Of n objects to (n, W)."""
        shape = self.shape(properties.mask.to(self.shape.weight.dtype))
        return self.table(properties.chosen) + self.scalars(properties.scalars) + shape

    def summed(self, properties: Properties, batch: TokenBatch) -> torch.Tensor:
        """Of the P slots to the sum of its objects' features for each frame, (M, W) float32.

        What is summed are the properties: of features in reduced precision, one cell would be lost among many.
        """
        with torch.autocast(batch.slots.device.type, enabled=False):
            sums = Properties(*(add_up(x, batch) for x in properties))
            return self(sums) + (batch.valid.sum(1, keepdim=True) - 1) * self.scalars.bias


def _object_scalars(value: dict[str, torch.Tensor]) -> torch.Tensor:
    area = value["area"].clamp(min=1).float()
    height, width = value["height"].clamp(min=1).float(), value["width"].clamp(min=1).float()
    scalars = [
        area.log(),
        area / (height * width),
        value["perimeter"].float() / (4 * area.sqrt()),
        value["holes"].float().log1p(),
        (value["sum_row"].float() / area + 0.5) / height - 0.5,
        (value["sum_col"].float() / area + 0.5) / width - 0.5,
    ]
    bits = value["symmetry"][:, None] >> torch.arange(_BITS, device=area.device) & 1
    return torch.cat([torch.stack(scalars, 1), bits.float()], 1)


class GridFeatures(nn.Module):
    """Embeds a frame's size, background and colours, and what did not fit among its objects."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = Lookup(2 * (SIDE + 1) + 11, width)
        self.scalars = nn.Linear(_GRID_SCALARS, width)

    def forward(self, batch: TokenBatch) -> torch.Tensor:
        """(M, W)."""
        rows = torch.stack([batch.height, SIDE + 1 + batch.width, 2 * (SIDE + 1) + batch.background], dim=1)
        cells = (batch.height * batch.width).float()[:, None]
        histogram, residual = batch.histogram.float(), batch.residual.float()
        scalars = [histogram / cells, (histogram > 0).float(), residual / cells]
        scalars.append(batch.n_components.float().log1p()[:, None])
        return self.table(self.table.chosen(rows)) + self.scalars(torch.cat(scalars, 1))


class Block(nn.Module):
    """Pre-norm transformer block, feed-forward of twice the width."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, packing: Packing | None = None, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """x (M, T, W), or (P, W) with its packing and bias."""
        qkv = self.qkv(self.norm_1(x))
        attended = attend(qkv, self.heads) if packing is None or bias is None else attend_packed(qkv, packing, bias)
        x = x + self.dropout(self.out(attended))
        return x + self.dropout(self.down(functional.gelu(self.up(self.norm_2(x)))))


class TokenEmbeddings(NamedTuple):
    """What the token encoder makes of M frames with P slots."""

    grid: torch.Tensor
    """(M, W) of the grid tokens."""
    objects: torch.Tensor
    """(P, W) of the batch's slots."""
    features: torch.Tensor | None
    """(M, 2 W + K) float32: of the grid token and, summed, of the objects, before any token sees another; and a sketch
    of the cells, where the model has one of K sums."""


class TokenEncoder(nn.Module):
    """Transformer over the tokens of one frame."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.object_features = ObjectFeatures(model.width)
        self.grid_features = GridFeatures(model.width)
        self.bias = AttentionBias(model.heads)
        self.blocks = nn.ModuleList(Block(model.width, model.heads) for _ in range(model.layers))
        self.norm = nn.LayerNorm(model.width)
        self.additive = model.additive
        self.sketch = Sketch(model.sketch) if model.additive and model.sketch else None

    def forward(self, batch: TokenBatch) -> TokenEmbeddings:
        """Equivariant to the order of the slots; features only where the model is additive."""
        packing = Packing.of(batch)
        bias = self.bias(packing)
        with torch.autocast(batch.slots.device.type, enabled=False):
            grid = self.grid_features(batch)
        properties = self.object_features.properties(batch)
        objects = self.object_features(properties)
        x = torch.cat([grid.to(objects.dtype), objects])
        for block in self.blocks:
            x = block(x, packing, bias)
        x = self.norm(x)
        return TokenEmbeddings(x[: len(grid)], x[len(grid) :], self._features(grid, properties, batch))

    def _features(self, grid: torch.Tensor, properties: Properties, batch: TokenBatch) -> torch.Tensor | None:
        if not self.additive:
            return None
        sums = [grid, self.object_features.summed(properties, batch)]
        return torch.cat(sums if self.sketch is None else [*sums, self.sketch(batch)], 1)


def spread(objects: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """(P, W) of the batch's slots to (M, S, W), zero elsewhere."""
    return move(objects, batch.places.flatten(), batch.slots).unflatten(0, batch.valid.shape)


def add_up(x: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """(P, C) of the batch's slots, bool or float32, to their sums for each frame (M, C) float32, which are added in
    the same order whenever it is called."""
    if x.is_cuda:
        return kernels.add_up(x, batch.places)
    frame = torch.div(batch.slots, batch.valid.shape[1], rounding_mode="floor")
    sums = torch.zeros(len(batch.valid) + 1, x.shape[1], device=x.device)
    return sums.index_add(0, frame, x.float())[:-1]


def pool(grid: torch.Tensor, objects: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """(M, 3 W): the grid token, the sum over objects (scaled, so that counting works) and their maximum."""
    total, largest = _Pooled.apply(objects, batch.places, batch.slots) if objects.is_cuda else _pooled(objects, batch)
    return torch.cat([grid, total / 4, largest], dim=-1)


def _pooled(objects: torch.Tensor, batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum and maximum (M, W) over the objects of each frame, zero where there are none."""
    padded, present = spread(objects, batch), batch.valid[..., None]
    largest = padded.masked_fill(~present, -1e9).amax(1)
    return (padded * present).sum(1), torch.where(present.any(1), largest, torch.zeros_like(largest))


class _Pooled(torch.autograd.Function):
    """The same by a kernel of our own, that reads what lies packed: the compiler's takes ten times as long."""

    @staticmethod
    def forward(
        ctx: Any, objects: torch.Tensor, places: torch.Tensor, slots: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        total, largest, ties = kernels.pool(objects, places)
        ctx.save_for_backward(objects, largest, ties, slots)
        ctx.slots = places.shape[1]
        return total, largest

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """As torch.amax, which gives each of several largest an equal part."""
        objects, largest, ties, slots = ctx.saved_tensors
        to_total, to_largest = gradients
        frame = torch.div(slots, ctx.slots, rounding_mode="floor")
        present = (frame < len(largest))[:, None]
        frame = frame.clamp(max=len(largest) - 1)
        share = to_largest[frame] / ties[frame].clamp(min=1).to(to_largest.dtype)
        along = to_total[frame] + torch.where(objects == largest[frame], share, torch.zeros_like(share))
        return torch.where(present, along, torch.zeros_like(along)).to(objects.dtype), None, None
