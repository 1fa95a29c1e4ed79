"""The token encoder: object tokens in, one embedding per token and one per frame out.

Shapes: M frames, S object slots, T = S + 1 tokens (the grid token first), W width, H heads;
n slots of a batch that are computed, P = M + n packed tokens.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from arcjepa.layout import COLUMNS
from arcjepa.settings import Model
from arcjepa.views import TokenBatch

SIDE = 30
_COLUMN = {name: index for index, name in enumerate(COLUMNS)}
_SYMMETRY_BITS = torch.tensor([1, 2, 4, 8, 16])
_SCALARS = 6 + len(_SYMMETRY_BITS)
_GRID_SCALARS = 10 + 10 + 10 + 1
RELATIONS = 3


class ObjectFeatures(nn.Module):
    """Embeds an object's exact integers and its shape mask.

    Colour, box sides and distances to the four borders are looked up in tables (sums of rows, so that equality and
    order are both easy to read); area, fill, perimeter, holes, centroid and symmetry are scalars; the mask is
    linear in its 900 cells.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(11 + 8 * (SIDE + 1), width, mode="sum")
        self.scalars = nn.Linear(_SCALARS, width)
        self.shape = nn.Linear(SIDE * SIDE, width, bias=False)
        nn.init.normal_(self.table.weight, std=0.3)

    def forward(self, batch: TokenBatch) -> torch.Tensor:
        """(n, W) for the slots of the batch."""
        frame = torch.div(batch.slots, batch.valid.shape[1], rounding_mode="floor")
        columns = batch.columns.flatten(0, 1)[batch.slots]
        value = {name: columns[:, index] for name, index in _COLUMN.items()}
        below = batch.height[frame] - value["top"] - value["height"]
        right = batch.width[frame] - value["left"] - value["width"]
        places = [value["top"], value["left"], value["height"], value["width"], below, right]
        places += [value["top"] + value["height"], value["left"] + value["width"]]
        offsets = 11 + torch.arange(8, device=columns.device) * (SIDE + 1)
        rows = torch.cat([value["colour"][:, None], torch.stack(places, 1).clamp(0, SIDE) + offsets], 1)
        mask = batch.shape.flatten(1).to(self.shape.weight.dtype)
        return self.table(rows) + self.scalars(_object_scalars(value)) + self.shape(mask)


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
    bits = (value["symmetry"][:, None] & _SYMMETRY_BITS.to(area.device)) > 0
    return torch.cat([torch.stack(scalars, 1), bits.float()], 1)


class GridFeatures(nn.Module):
    """Embeds a frame's size, background and colours, and what did not fit among its objects."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(2 * (SIDE + 1) + 11, width, mode="sum")
        self.scalars = nn.Linear(_GRID_SCALARS, width)
        nn.init.normal_(self.table.weight, std=0.3)

    def forward(self, batch: TokenBatch) -> torch.Tensor:
        """(M, W)."""
        rows = torch.stack([batch.height, SIDE + 1 + batch.width, 2 * (SIDE + 1) + batch.background], dim=1)
        cells = (batch.height * batch.width).float()[:, None]
        histogram, residual = batch.histogram.float(), batch.residual.float()
        scalars = [histogram / cells, (histogram > 0).float(), residual / cells]
        scalars.append(batch.n_components.float().log1p()[:, None])
        return self.table(rows) + self.scalars(torch.cat(scalars, 1))


class AttentionBias(nn.Module):
    """Adjacency-aware attention: a learned addend per head for pairs of objects that touch (share an edge of a
    cell), whose boxes touch or overlap, or that have one colour; minus infinity where there is no object."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(RELATIONS, heads))

    def forward(self, batch: TokenBatch) -> torch.Tensor:
        """(M, H, T, T)."""
        relations = (batch.contact, boxes_touch(batch), same_colour(batch))
        weights = self.weight[:, None, :, None, None]
        bias = sum(weight * relation[:, None] for weight, relation in zip(weights, relations, strict=True))
        bias = functional.pad(bias, (1, 0, 1, 0))
        absent = functional.pad(~batch.valid, (1, 0))
        return bias.masked_fill(absent[:, None, None, :], -1e9)


def boxes_touch(batch: TokenBatch) -> torch.Tensor:
    """(M, S, S) bool: bounding boxes overlap or touch, corners included."""
    low = torch.stack([batch.columns[..., _COLUMN["top"]], batch.columns[..., _COLUMN["left"]]], -1)
    high = low + torch.stack([batch.columns[..., _COLUMN["height"]], batch.columns[..., _COLUMN["width"]]], -1)
    return ((low[:, :, None] <= high[:, None]) & (low[:, None] <= high[:, :, None])).all(-1)


def same_colour(batch: TokenBatch) -> torch.Tensor:
    """(M, S, S) bool."""
    colour = batch.columns[..., _COLUMN["colour"]]
    return colour[:, :, None] == colour[:, None]


@dataclass
class Packing:
    """Where P packed tokens lie among M * T padded ones: the grid tokens first, then the slots of the batch.

    Layers that act on tokens one by one then skip the padding, most of what a batch holds.
    """

    positions: torch.Tensor
    """(P,) int64."""
    frames: int
    tokens: int

    @classmethod
    def of(cls, batch: TokenBatch) -> "Packing":
        frames, slots = batch.valid.shape
        tokens = slots + 1
        frame = torch.div(batch.slots, slots, rounding_mode="floor")
        grid = torch.arange(frames, device=frame.device) * tokens
        return cls(torch.cat([grid, batch.slots + frame + 1]), frames, tokens)

    def pad(self, x: torch.Tensor) -> torch.Tensor:
        """(P, W) to (M, T, W), zero elsewhere."""
        padded = x.new_zeros(self.frames * self.tokens, x.shape[1])
        return padded.index_copy(0, self.positions, x).unflatten(0, (self.frames, self.tokens))

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        """(M, T, W) to (P, W)."""
        return x.flatten(0, 1)[self.positions]


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
        """x (M, T, W), or (P, W) with its packing; bias (M, H, T, T) is added to the attention logits."""
        qkv = self.qkv(self.norm_1(x))
        q, k, v = (qkv if packing is None else packing.pad(qkv)).unflatten(-1, (3, self.heads, -1)).unbind(2)
        attended = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), None if bias is None else bias.to(q.dtype)
        )
        merged = attended.transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(merged if packing is None else packing.pack(merged)))
        return x + self.dropout(self.down(functional.gelu(self.up(self.norm_2(x)))))


class TokenEncoder(nn.Module):
    """Transformer over the tokens of one frame."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.object_features = ObjectFeatures(model.width)
        self.grid_features = GridFeatures(model.width)
        self.bias = AttentionBias(model.heads)
        self.blocks = nn.ModuleList(Block(model.width, model.heads) for _ in range(model.layers))
        self.norm = nn.LayerNorm(model.width)

    def forward(self, batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings of M grid tokens (M, W) and of the batch's slots (n, W); equivariant to the slots' order."""
        packing, bias = Packing.of(batch), self.bias(batch)
        x = torch.cat([self.grid_features(batch), self.object_features(batch)])
        for block in self.blocks:
            x = block(x, packing, bias)
        x = self.norm(x)
        return x[: packing.frames], x[packing.frames :]


def spread(objects: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """(n, W) of the batch's slots to (M, S, W), zero elsewhere."""
    padded = objects.new_zeros(batch.valid.numel(), objects.shape[1]).index_copy(0, batch.slots, objects)
    return padded.unflatten(0, batch.valid.shape)


def pool(grid: torch.Tensor, objects: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """(M, 3 W): the grid token, the sum over objects (scaled, so that counting works) and their maximum."""
    padded, present = spread(objects, batch), batch.valid[..., None]
    largest = padded.masked_fill(~present, -1e9).amax(1)
    largest = torch.where(batch.valid.any(1)[:, None], largest, torch.zeros_like(largest))
    return torch.cat([grid, (padded * present).sum(1) / 4, largest], dim=-1)
