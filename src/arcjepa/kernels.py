"""Triton kernels: attention within frames, pooling and painting them, and random bits.

Results do not depend on what else the GPU does: no program adds to what another one writes.
Shapes: M frames, T tokens of a frame, P packed tokens, W width, H heads.
"""

import torch

from arcjepa import layout

try:
    import triton
    from triton import language as tl
except ModuleNotFoundError:  # PyTorch for the CPU comes without it, and none of this is called there
    triton = None

ATTENTION_WARPS = 1
POOL_COLUMNS, POOL_WARPS = 128, 1
SPLITMIX = {"GOLDEN": -7046029254386353131, "MIX_1": -4658895280553007687, "MIX_2": -7723592293110705685}
"""2^64 / golden ratio and the factors of SplitMix64, as signed 64-bit integers."""
HASHES = 512
"""Random numbers of a program."""
LAYOUT = {
    "TOP": layout.TOP, "LEFT": layout.LEFT, "COLOUR": layout.COLOUR, "COLUMNS": len(layout.COLUMNS),
    "SIDE": layout.MAX_SIDE, "OUTSIDE": layout.OUTSIDE,
    "BLOCK": 1 << (layout.MAX_CELLS - 1).bit_length(),
}  # fmt: skip

if triton is not None:

    @triton.jit
    def _attention(q, k, relations, weight, head, there, frame, T, H, SCALE: tl.constexpr, BT: tl.constexpr):
        """Shares (BT, BT) of attention, float32, and the bits of the relations."""
        t = tl.arange(0, BT)
        pair = frame * T * T + t[:, None] * T + t[None, :]
        bits = tl.load(relations + pair, mask=(t < T)[:, None] & (t < T)[None, :], other=0)
        logits = tl.dot(q, tl.trans(k), input_precision="ieee") * SCALE
        logits += tl.load(weight + head) * (bits & 1) + tl.load(weight + H + head) * (bits >> 1 & 1)
        logits += tl.load(weight + 2 * H + head) * (bits >> 2 & 1)
        logits = tl.where(there[None, :], logits, -1e9)
        shares = tl.exp(logits - tl.max(logits, 1)[:, None])
        return shares / tl.sum(shares, 1)[:, None], bits

    @triton.jit
    def _attend_kernel(
        qkv, places, relations, weight, out, P, T, D, H, SCALE: tl.constexpr, BT: tl.constexpr, BD: tl.constexpr
    ):
        """One head of one frame."""
        frame, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
        t, d = tl.arange(0, BT), tl.arange(0, BD)
        row = tl.load(places + frame * T + t, mask=t < T, other=P)
        there = row < P
        inside = there[:, None] & (d < D)[None, :]
        width = H * D
        place = qkv + row[:, None] * 3 * width + head * D + d[None, :]
        q = tl.load(place, mask=inside, other=0.0)
        k = tl.load(place + width, mask=inside, other=0.0)
        v = tl.load(place + 2 * width, mask=inside, other=0.0)
        shares, _ = _attention(q, k, relations, weight, head, there, frame, T, H, SCALE, BT)
        result = tl.dot(shares.to(v.dtype), v, input_precision="ieee")
        tl.store(out + row[:, None] * width + head * D + d[None, :], result.to(v.dtype), mask=inside)

    @triton.jit
    def _attend_back_kernel(
        qkv, places, relations, weight, gradient, out, by_frame,
        P, T, D, H, SCALE: tl.constexpr, BT: tl.constexpr, BD: tl.constexpr,
    ):  # fmt: skip
        """One head of one frame: gradients of queries, keys and values, and its part of that of the weights."""
        frame, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
        t, d = tl.arange(0, BT), tl.arange(0, BD)
        row = tl.load(places + frame * T + t, mask=t < T, other=P)
        there = row < P
        inside = there[:, None] & (d < D)[None, :]
        width = H * D
        offset = row[:, None] * 3 * width + head * D + d[None, :]
        q = tl.load(qkv + offset, mask=inside, other=0.0)
        k = tl.load(qkv + offset + width, mask=inside, other=0.0)
        v = tl.load(qkv + offset + 2 * width, mask=inside, other=0.0)
        along = tl.load(gradient + row[:, None] * width + head * D + d[None, :], mask=inside, other=0.0)
        shares, bits = _attention(q, k, relations, weight, head, there, frame, T, H, SCALE, BT)
        along_shares = tl.dot(along, tl.trans(v), input_precision="ieee")
        along_logits = shares * (along_shares - tl.sum(shares * along_shares, 1)[:, None])
        to_v = tl.dot(tl.trans(shares).to(along.dtype), along, input_precision="ieee")
        scaled = (along_logits * SCALE).to(q.dtype)
        to_q = tl.dot(scaled, k, input_precision="ieee")
        to_k = tl.dot(tl.trans(scaled), q, input_precision="ieee")
        tl.store(out + offset, to_q.to(q.dtype), mask=inside)
        tl.store(out + offset + width, to_k.to(q.dtype), mask=inside)
        tl.store(out + offset + 2 * width, to_v.to(q.dtype), mask=inside)
        for relation in tl.static_range(3):
            total = tl.sum(tl.sum(along_logits * (bits >> relation & 1), 1), 0)
            tl.store(by_frame + (frame * H + head) * 3 + relation, total)

    @triton.jit
    def _mixed(x, MIX_1: tl.constexpr, MIX_2: tl.constexpr):
        x = (x ^ (x >> 30 & ((1 << 34) - 1))) * MIX_1
        x = (x ^ (x >> 27 & ((1 << 37) - 1))) * MIX_2
        return x ^ (x >> 31 & ((1 << 33) - 1))

    @triton.jit(do_not_specialize=["stream", "n"])
    def _hashes_kernel(
        seed, step, out, stream, n,
        GOLDEN: tl.constexpr, MIX_1: tl.constexpr, MIX_2: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        """Some of the numbers of one key."""
        index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        start = _mixed((tl.load(seed) + 1) * GOLDEN, MIX_1, MIX_2)
        start = _mixed(start + (stream.to(tl.int64) + 1) * GOLDEN, MIX_1, MIX_2)
        start = _mixed(start + (tl.load(step) + 1) * GOLDEN, MIX_1, MIX_2)
        tl.store(out + index, _mixed(start + (index + 1) * GOLDEN, MIX_1, MIX_2), mask=index < n)

    @triton.jit
    def _pool_kernel(x, places, sums, largest, ties, P, S, W, BLOCK: tl.constexpr):
        """Some columns of one frame."""
        frame, w = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        total, most = tl.zeros([BLOCK], tl.float32), tl.full([BLOCK], float("-inf"), tl.float32)
        count = tl.zeros([BLOCK], tl.int32)
        for s in range(S):
            row = tl.load(places + frame * S + s)
            if row < P:
                value = tl.load(x + row * W + w, mask=w < W, other=0.0).to(tl.float32)
                total += value
                count = tl.where(value > most, 1, count + (value == most).to(tl.int32))
                most = tl.maximum(most, value)
        out = frame * W + w
        tl.store(sums + out, total, mask=w < W)
        tl.store(largest + out, tl.where(count > 0, most, 0.0), mask=w < W)
        tl.store(ties + out, count, mask=w < W)

    @triton.jit
    def _add_kernel(x, places, sums, P, S, W, BLOCK: tl.constexpr):
        """Some columns of one frame."""
        frame, w = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        total = tl.zeros([BLOCK], tl.float32)
        for s in range(S):
            row = tl.load(places + frame * S + s)
            if row < P:
                total += tl.load(x + row * W + w, mask=w < W, other=0).to(tl.float32)
        tl.store(sums + frame * W + w, total, mask=w < W)

    @triton.jit
    def _paint_kernel(
        shape, columns, places, sizes, out, P, S,
        TOP: tl.constexpr, LEFT: tl.constexpr, COLOUR: tl.constexpr, COLUMNS: tl.constexpr,
        SIDE: tl.constexpr, OUTSIDE: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        """One frame."""
        frame, cell = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
        row, col = cell // SIDE, cell % SIDE
        size = sizes + frame * 3
        height, width, background = tl.load(size), tl.load(size + 1), tl.load(size + 2)
        colour = tl.where((row < height) & (col < width), background, OUTSIDE)
        for s in range(S):
            slot = frame * S + s
            mask = tl.load(places + slot)
            if mask < P:
                column = columns + slot * COLUMNS
                r, c = row - tl.load(column + TOP), col - tl.load(column + LEFT)
                within = (r >= 0) & (r < SIDE) & (c >= 0) & (c < SIDE)
                on = tl.load(shape + mask * SIDE * SIDE + r * SIDE + c, mask=within, other=0)
                colour = tl.where(on > 0, tl.load(column + COLOUR), colour)
        tl.store(out + frame * SIDE * SIDE + cell, colour.to(tl.uint8), mask=cell < SIDE * SIDE)


def _blocks(places: torch.Tensor, head: int) -> dict[str, float]:
    sizes = {name: max(16, triton.next_power_of_2(size)) for name, size in (("BT", places.shape[1]), ("BD", head))}
    return {"SCALE": head**-0.5, "num_warps": ATTENTION_WARPS, **sizes}


@torch.library.custom_op("arcjepa::attend", mutates_args=(), device_types="cuda")
def attend(qkv: torch.Tensor, places: torch.Tensor, relations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Packed queries, keys and values (P, 3 W) to (P, W); places (M, T), relations (M, T, T), weight (3, H)."""
    packed, width, heads = len(qkv), qkv.shape[1] // 3, weight.shape[1]
    qkv, out = qkv.contiguous(), qkv.new_zeros(packed, width)
    head = width // heads
    grid = len(places), heads
    _attend_kernel[grid](
        qkv, places, relations.contiguous(), weight.contiguous(), out, packed, places.shape[1], head, heads,
        **_blocks(places, head),
    )  # fmt: skip
    return out


@attend.register_fake
def _(qkv: torch.Tensor, places: torch.Tensor, relations: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return qkv.new_empty(len(qkv), qkv.shape[1] // 3)


@torch.library.custom_op("arcjepa::attend_back", mutates_args=(), device_types="cuda")
def attend_back(
    qkv: torch.Tensor, places: torch.Tensor, relations: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient along qkv (P, 3 W), and each frame's part (M, H, 3) of that along the weights."""
    packed, width, heads = len(qkv), qkv.shape[1] // 3, weight.shape[1]
    qkv, out = qkv.contiguous(), qkv.new_zeros(packed, 3 * width)
    by_frame = weight.new_empty(len(places), heads, 3)
    head = width // heads
    grid = len(places), heads
    _attend_back_kernel[grid](
        qkv, places, relations.contiguous(), weight.contiguous(), gradient.contiguous(), out, by_frame,
        packed, places.shape[1], head, heads, **_blocks(places, head),
    )  # fmt: skip
    return out, by_frame


@attend_back.register_fake
def _(
    qkv: torch.Tensor, places: torch.Tensor, relations: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty_like(qkv), weight.new_empty(len(places), weight.shape[1], 3)


@torch.library.custom_op("arcjepa::pool", mutates_args=(), device_types="cuda")
def pool(x: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sum and maximum of the packed rows x (P, W) at each frame's places (M, S), where P is none: (M, W) each.

    Zero where a frame has none. And int32 how many share the maximum.
    """
    x, places = x.contiguous(), places.contiguous()
    (packed, width), (frames, slots) = x.shape, places.shape
    sums, ties = x.new_empty(frames, width), x.new_empty(frames, width, dtype=torch.int32)
    largest = torch.empty_like(sums)
    grid = frames, triton.cdiv(width, POOL_COLUMNS)
    _pool_kernel[grid](x, places, sums, largest, ties, packed, slots, width, BLOCK=POOL_COLUMNS, num_warps=POOL_WARPS)
    return sums, largest, ties


@pool.register_fake
def _(x: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    shape = len(places), x.shape[1]
    return x.new_empty(shape), x.new_empty(shape), x.new_empty(shape, dtype=torch.int32)


@torch.library.custom_op("arcjepa::add_up", mutates_args=(), device_types="cuda")
def add_up(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Sums (M, W) float32 of the packed rows x (P, W), bool or float32, at each frame's places (M, S); P is none."""
    x, places = (x.view(torch.uint8) if x.dtype == torch.bool else x).contiguous(), places.contiguous()
    (packed, width), (frames, slots) = x.shape, places.shape
    sums = x.new_empty(frames, width, dtype=torch.float32)
    grid = frames, triton.cdiv(width, POOL_COLUMNS)
    _add_kernel[grid](x, places, sums, packed, slots, width, BLOCK=POOL_COLUMNS, num_warps=POOL_WARPS)
    return sums


@add_up.register_fake
def _(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return x.new_empty(len(places), x.shape[1], dtype=torch.float32)


@torch.library.custom_op("arcjepa::paint", mutates_args=(), device_types="cuda")
def paint(shape: torch.Tensor, columns: torch.Tensor, places: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Masks (P, 30, 30) bool, columns (M, S, 11), places (M, S), and heights, widths and backgrounds (M, 3) to the
    colours of every cell (M, 900) uint8, by row."""
    shape, columns, places, sizes = (x.contiguous() for x in (shape.view(torch.uint8), columns, places, sizes))
    out = shape.new_empty(len(places), layout.MAX_CELLS)
    _paint_kernel[len(places),](shape, columns, places, sizes, out, len(shape), places.shape[1], **LAYOUT)
    return out


@paint.register_fake
def _(shape: torch.Tensor, columns: torch.Tensor, places: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    return shape.new_empty(len(places), layout.MAX_CELLS, dtype=torch.uint8)


@torch.library.custom_op("arcjepa::hashes", mutates_args=(), device_types="cuda")
def hashes(seed: torch.Tensor, stream: int, step: torch.Tensor, count: int) -> torch.Tensor:
    """(count,) int64 random bits of a key, as `randomness.hashes`; seed and step are int64 scalars."""
    out = torch.empty(count, dtype=torch.int64, device=seed.device)
    _hashes_kernel[(triton.cdiv(count, HASHES),)](seed, step, out, stream, count, **SPLITMIX, BLOCK=HASHES)
    return out


@hashes.register_fake
def _(seed: torch.Tensor, stream: int, step: torch.Tensor, count: int) -> torch.Tensor:
    return torch.empty(count, dtype=torch.int64, device=seed.device)
