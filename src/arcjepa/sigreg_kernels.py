"""Triton kernels of SIGReg: one pass over the projections forward, one backward, and products of float16 parts.

Tensor cores multiply float32 matrices here: each is a power of two times the sum of two float16 (22 bits together), and
what is left out, low times low, is less than float32 rounds off (Markidis et al. 2018, arXiv 1803.04014).
Results do not depend on what else the GPU does: no program adds to what another one writes.
Shapes: V sets of N embeddings, D dimensions, S slices, K multiples of the angle.
"""

import torch

try:
    import triton
    from triton import language as tl
except ModuleNotFoundError:  # PyTorch for the CPU comes without it, and none of this is called there
    triton = None

MEANS = {"ROWS": 8, "COLUMNS": 32, "num_warps": 1}
SLOPES = {"ROWS": 8, "COLUMNS": 64, "num_warps": 1}
"""Tiles of one warp, in which a thread adds up its own columns: sums over rows need no other thread."""
HALVES = 1024
"""Elements that a program splits."""
PROGRAMS = 4224
"""Programs that a kernel is split into where its size allows: 32 for each multiprocessor of an H100."""

if triton is not None:

    @triton.jit
    def _scale(largest):
        """The power of two that brings what is as large as this to 2^13 .. 2^14, and its inverse."""
        exponent = tl.maximum(largest.to(tl.int32, bitcast=True) >> 23, 40)
        scale = (267 - exponent << 23).to(tl.float32, bitcast=True)
        return scale, (exponent - 13 << 23).to(tl.float32, bitcast=True)

    @triton.jit
    def _halves_kernel(x, largest, out, unit, size, width, stride, again, low, BLOCK: tl.constexpr):
        """Some elements of a matrix: the high part at its place of `out` and at another, the low part at a third."""
        index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        scale, inverse = _scale(tl.load(largest))
        tl.store(unit, inverse)
        value = scale * tl.load(x + index, mask=index < size, other=0.0)
        high = value.to(tl.float16)
        place = out + index // width * stride + index % width
        tl.store(place, high, mask=index < size)
        tl.store(place + again, high, mask=index < size)
        tl.store(place + low, (value - high.to(tl.float32)).to(tl.float16), mask=index < size)

    @triton.jit
    def _means_kernel(x, unit, out, n, s, step, K: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
        """A program sums over every so many blocks of rows of one set, for some columns: in one order, whatever else
        runs."""
        of_set, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        part, parts, beyond = tl.program_id(2), tl.num_programs(2), 0
        knot, angle = tl.arange(0, K), step * tl.load(unit) * tl.load(unit + 1)
        cosines, sines = tl.zeros([K, COLUMNS], tl.float32), tl.zeros([K, COLUMNS], tl.float32)
        for first in range(part * ROWS, n, parts * ROWS):
            row = first + tl.arange(0, ROWS)
            beyond += tl.maximum(first + ROWS - n, 0)
            inside = (row < n)[:, None] & (column < s)[None, :]
            u = angle * tl.load(x + (of_set * n + row)[:, None] * s + column[None, :], mask=inside, other=0.0)
            cos_new, sin_new = tl.cos(u), tl.sin(u)
            double = 2 * cos_new
            cos_old, sin_old = tl.zeros_like(u) + 1, tl.zeros_like(u)
            for k in tl.static_range(K):
                here = knot[:, None] == k
                cosines += tl.where(here, tl.sum(cos_new, 0)[None, :], 0.0)
                sines += tl.where(here, tl.sum(sin_new, 0)[None, :], 0.0)
                cos_old, cos_new = cos_new, double * cos_new - cos_old
                sin_old, sin_new = sin_new, double * sin_new - sin_old
        # Rows beyond the last have u = 0, so that each counted 1 in every cosine and 0 in every sine.
        place = out + ((of_set * parts + part) * 2 * K + knot)[:, None] * s + column[None, :]
        tl.store(place, cosines - beyond, mask=(column < s)[None, :])
        tl.store(place + K * s, sines, mask=(column < s)[None, :])

    @triton.jit
    def _slopes_kernel(
        x, unit, along, largest, high, low, unit_out, n, s, step,
        K: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    ):  # fmt: skip
        """A program makes one tile of the result, in two parts."""
        of_set, column = tl.program_id(2).to(tl.int64), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        inside = (row < n)[:, None] & (column < s)[None, :]
        place = (of_set * n + row)[:, None] * s + column[None, :]
        u = step * tl.load(unit) * tl.load(unit + 1) * tl.load(x + place, mask=inside, other=0.0)
        cos_new, sin_new = tl.cos(u), tl.sin(u)
        double = 2 * cos_new
        cos_old, sin_old, total = tl.zeros_like(u) + 1, tl.zeros_like(u), tl.zeros_like(u)
        for k in tl.static_range(K):
            factor = along + (of_set * 2 * K + k) * s + column
            total += cos_new * tl.load(factor, mask=column < s, other=0.0)[None, :]
            total += sin_new * tl.load(factor + K * s, mask=column < s, other=0.0)[None, :]
            cos_old, cos_new = cos_new, double * cos_new - cos_old
            sin_old, sin_new = sin_new, double * sin_new - sin_old
        scale, inverse = _scale(tl.load(largest))
        tl.store(unit_out, inverse)
        total *= scale
        upper = total.to(tl.float16)
        tl.store(high + place, upper, mask=inside)
        tl.store(low + place, (total - upper.to(tl.float32)).to(tl.float16), mask=inside)


def means(
    z: torch.Tensor, slices: torch.Tensor, step: float, knots: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means over N of cos(k u) and sin(k u), u = step * z @ slices, k = 1 .. K: z (..., N, D), slices (D, S), float32.

    Returns (..., 2, K, S), and for `slopes`: projections (..., N, S), their two units (2,) and the slices' parts.
    """
    z, slices = z.contiguous(), slices.contiguous()
    *sets, n, dim = z.shape
    s, units = slices.shape[1], z.new_empty(2)
    rows, columns = z.new_empty(z[..., 0].numel(), 3 * dim, dtype=torch.half), z.new_empty(3 * dim, s, dtype=torch.half)
    _halves(z, rows, units[:1], 3 * dim, 2 * dim, dim)
    _halves(slices, columns, units[1:], s, dim * s, 2 * dim * s)
    x = _product(rows, columns).view(*sets, n, s)
    grid = z[..., 0, 0].numel(), triton.cdiv(s, MEANS["COLUMNS"])
    parts = min(triton.cdiv(n, MEANS["ROWS"]), triton.cdiv(PROGRAMS, grid[0] * grid[1]))
    sums = x.new_empty(*sets, parts, 2, knots, s)
    _means_kernel[*grid, parts](x, units, sums, n, s, step, K=knots, **MEANS)
    return sums.sum(-4) / n, x, units, columns


def slopes(
    x: torch.Tensor, units: torch.Tensor, columns: torch.Tensor, along: torch.Tensor, step: float
) -> torch.Tensor:
    """The sum over k of along[0, k] cos(k u) + along[1, k] sin(k u), along (..., 2, K, S), times slices.T: (..., N, D).

    The others are what `means` returned.
    """
    *sets, n, s = x.shape
    along, dim = along.contiguous(), len(columns) // 3
    high, low = x.new_empty(2, x[..., 0].numel(), s, dtype=torch.half)
    largest, unit = along.abs().sum((-3, -2)).amax(), x.new_empty(1)
    grid = triton.cdiv(n, SLOPES["ROWS"]), triton.cdiv(s, SLOPES["COLUMNS"]), x[..., 0, 0].numel()
    _slopes_kernel[grid](x, units, along, largest, high, low, unit, n, s, step, K=along.shape[-2], **SLOPES)
    upper, lower = _product(high, columns[dim:].T), _product(low, columns[:dim].T)
    return ((upper[:, :dim] + upper[:, dim:] + lower) * (unit * units[1])).view(*sets, n, dim)


def _halves(x: torch.Tensor, out: torch.Tensor, unit: torch.Tensor, stride: int, again: int, low: int) -> None:
    """Write x (..., W) into `out`, whose rows are so far apart, as high and low parts, and their unit (1,)."""
    grid = (triton.cdiv(x.numel(), HALVES),)
    _halves_kernel[grid](
        x, x.abs().amax(), out, unit, x.numel(), x.shape[-1], stride, again, low, BLOCK=HALVES
    )  # fmt: skip


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b of float16 in float32."""
    return torch.mm(a, b, out_dtype=torch.float32)


sliced_means = torch.library.custom_op("arcjepa::sliced_means", means, mutates_args=(), device_types="cuda")
sliced_slopes = torch.library.custom_op("arcjepa::sliced_slopes", slopes, mutates_args=(), device_types="cuda")


@sliced_means.register_fake
def _(z: torch.Tensor, slices: torch.Tensor, step: float, knots: int) -> tuple[torch.Tensor, ...]:
    *sets, n, dim = z.shape
    s, half = slices.shape[1], torch.half
    return (
        *(z.new_empty(*sets, 2, knots, s), z.new_empty(*sets, n, s)),
        *(z.new_empty(2), z.new_empty(3 * dim, s, dtype=half)),
    )


@sliced_slopes.register_fake
def _(x: torch.Tensor, units: torch.Tensor, columns: torch.Tensor, along: torch.Tensor, step: float) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], len(columns) // 3)
