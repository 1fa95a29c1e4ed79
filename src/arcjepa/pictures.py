"""Frames painted from their tokens, and a sketch of them in which every cell counts.

Legend: M frames, S object slots, P masks, K sums.
"""

import torch
from torch import nn
from torch.nn import functional

from arcjepa import kernels, randomness
from arcjepa.layout import COLOUR, LEFT, MAX_CELLS, MAX_SIDE, OUTSIDE, TOP
from arcjepa.views import TokenBatch

CELLS = (OUTSIDE + 1) * MAX_CELLS
"""Places times colours, MIXED and OUTSIDE among them: a multiple of 8, as tensor cores want it."""
STREAM_SKETCH = 31


def paint(batch: TokenBatch) -> torch.Tensor:
    """(M, 900) uint8: colours by row, top left aligned, MIXED for what a residual holds, OUTSIDE beyond the grid."""
    sizes = torch.stack([batch.height, batch.width, batch.background], 1)
    if batch.shape.is_cuda:
        return kernels.paint(batch.shape, batch.columns, batch.places, sizes)
    return _painted(batch.shape, batch.columns, batch.slots, sizes)


def _painted(shape: torch.Tensor, columns: torch.Tensor, slots: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """From masks (P, 30, 30), columns (M, S, 11), slots (P,), and heights, widths and backgrounds (M, 3)."""
    side = torch.arange(MAX_SIDE, device=sizes.device)
    height, width, background = sizes[:, :, None, None].unbind(1)
    inside = (side[:, None] < height) & (side < width)
    picture = torch.where(inside, background, OUTSIDE).to(torch.uint8)
    entry, row, col = shape.nonzero(as_tuple=True)
    slot = slots[entry]
    column = columns.flatten(0, 1)[slot]
    at = torch.div(slot, columns.shape[1], rounding_mode="floor"), column[:, TOP] + row, column[:, LEFT] + col
    picture[at] = column[:, COLOUR].to(torch.uint8)
    return picture.flatten(1)


class Sketch(nn.Module):
    """K sums over a frame's cells of a random sign for each place and colour, whole numbers.

    A random projection (Achlioptas 2003): inner products of two sketches, over K, are the number of cells in which
    two frames agree, give or take 1 / sqrt(K) of their size. Nothing is learned, and nothing kept in files.
    """

    signs: torch.Tensor
    """(CELLS, K) float32, each 1 or -1; 0 for OUTSIDE."""

    def __init__(self, size: int) -> None:
        super().__init__()
        inside = OUTSIDE * MAX_CELLS
        bits = randomness.hashes((0, STREAM_SKETCH, 0), (inside, size), torch.get_default_device()) & 1
        signs = nn.functional.pad((2 * bits - 1).float(), (0, 0, 0, CELLS - inside))
        self.register_buffer("signs", signs, persistent=False)

    @torch.no_grad()
    def forward(self, batch: TokenBatch) -> torch.Tensor:
        """(M, K) float32; the same by bfloat16, which is exact to 256, while sums of 900 signs spread by 30."""
        picture = paint(batch)
        if picture.is_cuda:
            colours = torch.arange(OUTSIDE + 1, device=picture.device)[:, None]
            return ((picture[:, None] == colours).flatten(1).to(self.signs.dtype) @ self.signs).float()
        inside = picture != OUTSIDE
        rows = (picture.long() * MAX_CELLS + torch.arange(MAX_CELLS, device=picture.device))[inside]
        first = inside.sum(1).cumsum(0) - inside.sum(1)
        return functional.embedding_bag(rows, self.signs, first, mode="sum")
