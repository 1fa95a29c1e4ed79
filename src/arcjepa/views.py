"""Tokens on a device, and views (D8, colours, translation) that act on them by arithmetic, without a grid.

Legend: n stored frames, o entries, r mask rows; M frames of a batch, S = max_objects + 1 slots, P masks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from arcjepa.layout import (
    ANTIDIAGONAL,
    AREA,
    COLOUR,
    DIAGONAL,
    HEIGHT,
    LEFT,
    LEFT_RIGHT,
    MAX_SIDE,
    MIXED,
    SUM_COL,
    SUM_ROW,
    SYMMETRY,
    TOP,
    UP_DOWN,
    WIDTH,
)
from arcjepa.tokens import Tokens

# Bits of a D8 index, applied from the highest: transpose, flip up-down, flip left-right.
FLIP_COLUMNS, FLIP_ROWS, TRANSPOSE = 1, 2, 4


@dataclass(frozen=True, eq=False)
class DeviceTokens:
    """`Tokens` as tensors on one device. Empty slots point at a blank last entry and a blank last mask row.

    Masks are stored upright and transposed (together some 170 bytes a frame), so that every D8 element is a
    choice of one of the two and an order of its rows and bits.
    """

    height: Tensor  # uint8 (n,), as width and background
    width: Tensor
    background: Tensor
    histogram: Tensor  # int16 (n, 10), as residual
    residual: Tensor
    n_components: Tensor  # int16 (n,)
    object_start: Tensor  # int64 (n+1,)
    columns: Tensor  # int16 (o+1, 11)
    contact: Tensor  # int64 (o+1,)
    mask_start: Tensor  # int64 (2, o+1) first row of an entry's mask, of its transposed mask
    rows: Tensor  # int32 (r,) rows of all masks and transposed masks, and a blank one
    symmetry: Tensor  # int64 (8, 32) symmetry bits after each D8 element
    max_objects: int

    @classmethod
    def from_numpy(cls, tokens: Tokens, device: torch.device | str = "cpu") -> "DeviceTokens":
        """Put stored tokens on a device, with their transposed masks beside them."""

        def put(name: str, dtype: torch.dtype, blank: bool = False) -> Tensor:
            # Through a copy, as arrays from a file are read-only; uint16 counts are at most 900.
            array = torch.tensor(getattr(tokens, name), dtype=dtype)
            return torch.cat([array, array.new_zeros(1, *array.shape[1:])] if blank else [array]).to(device)

        rows, mask_start = _with_transposed(put("rows", torch.int32), put("columns", torch.int64))
        return cls(
            height=put("height", torch.uint8),
            width=put("width", torch.uint8),
            background=put("background", torch.uint8),
            histogram=put("histogram", torch.int16),
            residual=put("residual", torch.int16),
            n_components=put("n_components", torch.int16),
            object_start=put("object_start", torch.int64),
            columns=put("columns", torch.int16, blank=True),
            contact=put("contact", torch.int64, blank=True),
            mask_start=mask_start,
            rows=rows,
            symmetry=torch.tensor([[_turned(bits, d8) for bits in range(32)] for d8 in range(8)]).to(device),
            max_objects=tokens.max_objects,
        )

    def __len__(self) -> int:
        return len(self.height)


@dataclass
class TokenBatch:
    """Tokens of M frames, padded to S slots; entries as in `Tokens`, everything 0 where a slot is empty."""

    height: Tensor  # int64 (M,), as width and background (10: none)
    width: Tensor
    background: Tensor
    histogram: Tensor  # float (M, 10) cells per colour, as residual
    residual: Tensor
    n_components: Tensor  # int64 (M,)
    columns: Tensor  # int64 (M, S, 11) as layout.COLUMNS
    valid: Tensor  # bool (M, S)
    contact: Tensor  # bool (M, S, S) symmetric, diagonal off
    slots: Tensor  # int64 (P,) flat indices into M * S of the slots whose masks follow; M * S for none
    present: Tensor  # bool (P,) whether it is a slot, and not room that is left over
    places: Tensor  # int64 (M, S) where among the P each slot is; P for those that are empty
    shape: Tensor  # bool (P, 30, 30) masks, cropped to the box, in the top left corner


@dataclass
class View:
    """One symmetry per frame: D8 element, then colours, then translation.

    The translation is cut so that every entry stays inside; cells that enter are background. In a frame that
    overflows it moves the residual as it is, although tokenising the moved grid might cut elsewhere.
    """

    d8: Tensor  # int64 (M,) 0..7: sum of FLIP_COLUMNS, FLIP_ROWS, TRANSPOSE
    colours: Tensor  # int64 (M, 10) permutations: new = colours[old]
    shift: Tensor | None = None  # int64 (M, 2) rows, columns


def gather(tokens: DeviceTokens, frames: Tensor, view: View | None = None, room: int | None = None) -> TokenBatch:
    """The tokens of `frames` (M,) int64, seen through `view`, on the device of `tokens`.

    room: P, at least the objects of these frames, so that no shape depends on data and nothing waits for the device;
    otherwise P is their number.
    """
    begin = tokens.object_start[frames, None]
    slot = torch.arange(tokens.max_objects + 1, device=frames.device)
    valid = slot < tokens.object_start[frames + 1, None] - begin
    blank = len(tokens.columns) - 1
    entries = torch.where(valid, begin + slot, blank)
    slots, places = _pack(valid, room)
    present, held = slots < valid.numel(), slots.clamp(max=valid.numel() - 1)
    own = torch.where(present, entries.flatten()[held], blank)
    batch = TokenBatch(
        height=tokens.height[frames].long(),
        width=tokens.width[frames].long(),
        background=tokens.background[frames].long(),
        histogram=tokens.histogram[frames].float(),
        residual=tokens.residual[frames].float(),
        n_components=tokens.n_components[frames].long(),
        columns=tokens.columns[entries].long(),
        valid=valid,
        contact=(tokens.contact[entries][:, :, None] >> slot & 1).bool(),
        slots=slots,
        present=present,
        places=places,
        shape=_masks(tokens, own, None if view is None else view.d8[held // len(slot)]),
    )
    if view is not None:
        _turn(batch, view.d8, tokens.symmetry)
        _recolour(batch, view.colours)
        if view.shift is not None:
            _translate(batch, view.shift)
        batch.columns *= valid[:, :, None]
    return batch


def count_objects(tokens: DeviceTokens, frames: Tensor) -> Tensor:
    """Entries of each of `frames`, of the same shape: together the least room for them."""
    return tokens.object_start[frames + 1] - tokens.object_start[frames]


def _pack(valid: Tensor, room: int | None) -> tuple[Tensor, Tensor]:
    """The valid slots (P,), in order, and where each slot (M, S) is among them. Without room P is their number."""
    flat = valid.flatten()
    rank = flat.cumsum(0) - 1
    if room is None:
        slots = flat.nonzero().squeeze(1)
        return slots, torch.where(flat, rank, len(slots)).view_as(valid)
    places = torch.where(flat, rank, room)
    every = torch.arange(len(flat), device=flat.device)
    slots = torch.full((room + 1,), len(flat), device=flat.device).scatter(0, places, every)
    # The row after the last took all the empty slots.
    return slots[:room], places.view_as(valid)


def _masks(tokens: DeviceTokens, entries: Tensor, d8: Tensor | None) -> Tensor:
    """Masks (P, 30, 30) bool of `entries` (P,), turned by `d8` (P,)."""
    side = torch.arange(MAX_SIDE, device=entries.device)
    columns = tokens.columns[entries]
    height, width = columns[:, HEIGHT, None].long(), columns[:, WIDTH, None].long()
    first, row, col = tokens.mask_start[0, entries], side, side
    if d8 is not None:
        transpose, down, across = (d8[:, None] & bit > 0 for bit in (TRANSPOSE, FLIP_ROWS, FLIP_COLUMNS))
        height, width = torch.where(transpose, width, height), torch.where(transpose, height, width)
        first = torch.where(transpose[:, 0], tokens.mask_start[1, entries], first)
        row = torch.where(down, height - 1 - side, side)
        col = torch.where(across, width - 1 - side, side)
    stored = torch.where(side < height, first[:, None] + row, len(tokens.rows) - 1)
    bit = torch.where(side < width, 1 << col.clamp(min=0), 0).int()
    return (tokens.rows[stored][:, :, None] & bit[:, None, :]).bool()


def _turn(batch: TokenBatch, d8: Tensor, symmetry: Tensor) -> None:
    """Size and columns under D8; box and centroid follow exactly from the sizes of frame and box."""
    transpose, down, across = (d8 & bit > 0 for bit in (TRANSPOSE, FLIP_ROWS, FLIP_COLUMNS))
    batch.height, batch.width = _swap(transpose, batch.height, batch.width)
    column = list(batch.columns.unbind(-1))
    for a, b in ((TOP, LEFT), (HEIGHT, WIDTH), (SUM_ROW, SUM_COL)):
        column[a], column[b] = _swap(transpose[:, None], column[a], column[b])
    for flip, side, first, extent, total in (
        (down, batch.height, TOP, HEIGHT, SUM_ROW),
        (across, batch.width, LEFT, WIDTH, SUM_COL),
    ):
        far = side[:, None] - column[extent] - column[first]
        column[first] = torch.where(flip[:, None], far, column[first])
        mirrored = column[AREA] * (column[extent] - 1) - column[total]
        column[total] = torch.where(flip[:, None], mirrored, column[total])
    column[SYMMETRY] = symmetry[d8[:, None], column[SYMMETRY]]
    batch.columns = torch.stack(column, dim=-1)


def _swap(swap: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return torch.where(swap, b, a), torch.where(swap, a, b)


def _recolour(batch: TokenBatch, colours: Tensor) -> None:
    """Colours of entries, background and histograms; MIXED (and no background) stays as it is."""
    new = torch.cat([colours, torch.full_like(colours[:, :1], MIXED)], dim=1)
    batch.columns[:, :, COLOUR] = new.gather(1, batch.columns[:, :, COLOUR])
    batch.background = new.gather(1, batch.background[:, None]).squeeze(1)
    batch.histogram = torch.zeros_like(batch.histogram).scatter(1, colours, batch.histogram)
    batch.residual = torch.zeros_like(batch.residual).scatter(1, colours, batch.residual)


def _translate(batch: TokenBatch, shift: Tensor) -> None:
    """Moves all entries of a frame alike, as far as the one nearest to the border allows."""
    for axis, side, first, extent in ((0, batch.height, TOP, HEIGHT), (1, batch.width, LEFT, WIDTH)):
        top, size = batch.columns[:, :, first], batch.columns[:, :, extent]
        before = torch.where(batch.valid, top, MAX_SIDE).amin(1)
        after = torch.where(batch.valid, side[:, None] - top - size, MAX_SIDE).amin(1)
        step = torch.minimum(torch.maximum(shift[:, axis], -before), after)
        batch.columns[:, :, first] += step[:, None]


def _with_transposed(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of all masks, of all transposed masks and a blank one; where an entry's begin in both."""
    height, width = columns[:, HEIGHT], columns[:, WIDTH]
    row_start, col_start = (torch.cat([size.new_zeros(1), size.cumsum(0)]) for size in (height, width))
    entry = torch.repeat_interleave(torch.arange(len(columns), device=rows.device), height)
    within = torch.arange(len(rows), device=rows.device) - row_start[entry]
    turned = rows.new_zeros(int(col_start[-1]))
    left = torch.arange(len(rows), device=rows.device)
    for col in range(MAX_SIDE):
        left = left[width[entry[left]] > col]
        # Adding is setting here: every cell of a mask is one bit of one transposed row.
        turned.index_add_(0, col_start[entry[left]] + col, (rows[left] >> col & 1) << within[left].int())
    return torch.cat([rows, turned, rows.new_zeros(1)]), torch.stack([row_start, col_start + len(rows)])


def _turned(bits: int, d8: int) -> int:
    """Symmetry bits after a D8 element: a transposition trades the axes, one flip trades the diagonals."""
    trades = []
    if d8 & TRANSPOSE:
        trades.append((LEFT_RIGHT, UP_DOWN))
    if bool(d8 & FLIP_ROWS) != bool(d8 & FLIP_COLUMNS):
        trades.append((DIAGONAL, ANTIDIAGONAL))
    for a, b in trades:
        bits = bits & ~(a | b) | (b if bits & a else 0) | (a if bits & b else 0)
    return bits
