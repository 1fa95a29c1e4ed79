"""Triton kernels of SIGReg: projections, one pass over them forward, one backward, and the product back.

Tensor cores multiply float32 matrices here: each is a power of two times the sum of two float16, an integer and what it
leaves (Ozaki et al. 2012; Markidis et al. 2018, arXiv 1803.04014). Whenever they add they cut off what does not fit,
which would bias every projection towards zero; sums of products of integers do fit, and all others are added up apart.
Low times low is left out, which leaves a random error of about 1e-6 of the projections.
Results do not depend on what else the GPU does: no program adds to what another one writes.
Shapes: V sets of N embeddings, D dimensions, S slices, K multiples of the angle.
"""

import torch

try:
    import triton
    from triton import language as tl
except ModuleNotFoundError:  # PyTorch for the CPU comes without it, and none of this is called there
    triton = None

PROJECTIONS = {"ROWS": 64, "COLUMNS": 128, "DEPTH": 32, "num_warps": 4, "num_stages": 3}
MEANS = {"ROWS": 8, "COLUMNS": 32, "num_warps": 1}
"""Tiles of one warp, in which a thread adds up its own columns: sums over rows need no other thread."""
SLOPES = {"ROWS": 32, "COLUMNS": 64, "num_warps": 4}
ELEMENTS = 1024
"""Of a program that changes every element by itself."""
PROGRAMS = 4224
"""Programs that a kernel is split into where its size allows: 32 for each multiprocessor of an H100."""

if triton is not None:

    @triton.jit
    def _scale(largest):
        """The power of two that brings what is as large as this to 2^10 .. 2^11, and its inverse."""
        exponent = tl.maximum(largest.to(tl.int32, bitcast=True) >> 23, 40)
        scale = (264 - exponent << 23).to(tl.float32, bitcast=True)
        return scale, (exponent - 10 << 23).to(tl.float32, bitcast=True)

    @triton.jit
    def _parts(x):
        """The nearest integer, and what it leaves."""
        high = tl.floor(x + 0.5)
        return high.to(tl.float16), (x - high).to(tl.float16)

    @triton.jit
    def _bits(x):
        return x.to(tl.int16, bitcast=True).to(tl.int32) & 0xFFFF

    @triton.jit
    def _halves_kernel(x, largest, out, unit, size, BLOCK: tl.constexpr):
        """Some elements of a matrix: their high parts, and after those of all elements the low parts."""
        index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        scale, inverse = _scale(tl.load(largest))
        tl.store(unit, inverse)
        high, low = _parts(scale * tl.load(x + index, mask=index < size, other=0.0))
        tl.store(out + index, high, mask=index < size)
        tl.store(out + size + index, low, mask=index < size)

    @triton.jit
    def _project_kernel(
        z, slices, units, out, n, s, D: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr
    ):
        """One tile of the projections, from the parts of both."""
        row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
        column = tl.program_id(1).to(tl.int64) * COLUMNS + tl.arange(0, COLUMNS)
        whole = tl.zeros([ROWS, COLUMNS], tl.float32)
        rest = tl.zeros([ROWS, COLUMNS], tl.float32)
        for first in range(0, D, DEPTH):
            d = first + tl.arange(0, DEPTH)
            in_z, in_slices = (row < n)[:, None] & (d < D)[None, :], (d < D)[:, None] & (column < s)[None, :]
            of_z, of_slices = z + row[:, None] * D + d[None, :], slices + d[:, None] * s + column[None, :]
            z_high, z_low = tl.load(of_z, mask=in_z, other=0.0), tl.load(of_z + n * D, mask=in_z, other=0.0)
            high = tl.load(of_slices, mask=in_slices, other=0.0)
            low = tl.load(of_slices + s * D, mask=in_slices, other=0.0)
            whole = tl.dot(z_high, high, whole)
            rest = tl.dot(z_high, low, rest)
            rest = tl.dot(z_low, high, rest)
        x = (whole + rest) * (tl.load(units) * tl.load(units + 1))
        tl.store(out + row[:, None] * s + column[None, :], x, mask=(row < n)[:, None] & (column < s)[None, :])

    @triton.jit
    def _cos_sin(u):
        """Both, by one reduction to a quarter turn and the polynomials of Cephes: within 1e-7 up to 1e4 radians, where
        float32 itself is coarser, and bounded beyond."""
        turns = tl.floor(u * 0.6366197723675814 + 0.5)
        r = u - turns * 1.5703125 - turns * 4.837512969970703125e-4 - turns * 7.54978995489188216e-8
        r = tl.where(tl.abs(r) > 0.8, 0 * r, r)
        square = r * r
        sine = r + r * square * (-1.6666654611e-1 + square * (8.3321608736e-3 - square * 1.9515295891e-4))
        fourth = 4.166664568298827e-2 + square * (-1.388731625493765e-3 + square * 2.443315711809948e-5)
        cosine = 1 - 0.5 * square + square * square * fourth
        quarter = turns.to(tl.int32)
        swapped = (quarter & 1) == 1
        cosine, sine = tl.where(swapped, sine, cosine), tl.where(swapped, cosine, sine)
        return tl.where(((quarter + 1) & 2) == 2, -cosine, cosine), tl.where((quarter & 2) == 2, -sine, sine)

    @triton.jit
    def _means_kernel(x, out, n, s, step, K: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
        """A program sums over every so many blocks of rows of one set, for some columns: in one order, whatever else
        runs."""
        of_set, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        part, parts, beyond = tl.program_id(2), tl.num_programs(2), 0
        knot = tl.arange(0, K)
        cosines, sines = tl.zeros([K, COLUMNS], tl.float32), tl.zeros([K, COLUMNS], tl.float32)
        for first in range(part * ROWS, n, parts * ROWS):
            row = first + tl.arange(0, ROWS)
            beyond += tl.maximum(first + ROWS - n, 0)
            inside = (row < n)[:, None] & (column < s)[None, :]
            u = step * tl.load(x + (of_set * n + row)[:, None] * s + column[None, :], mask=inside, other=0.0)
            cos_new, sin_new = _cos_sin(u)
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
        x, along, largest, out, unit, n, s, step, K: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
    ):  # fmt: skip
        """A program makes one tile of the result, the parts of each element side by side."""
        of_set, column = tl.program_id(2).to(tl.int64), tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        inside = (row < n)[:, None] & (column < s)[None, :]
        place = (of_set * n + row)[:, None] * s + column[None, :]
        u = step * tl.load(x + place, mask=inside, other=0.0)
        cos_new, sin_new = _cos_sin(u)
        double = 2 * cos_new
        cos_old, sin_old, total = tl.zeros_like(u) + 1, tl.zeros_like(u), tl.zeros_like(u)
        for k in tl.static_range(K):
            factor = along + (of_set * 2 * K + k) * s + column
            total += cos_new * tl.load(factor, mask=column < s, other=0.0)[None, :]
            total += sin_new * tl.load(factor + K * s, mask=column < s, other=0.0)[None, :]
            cos_old, cos_new = cos_new, double * cos_new - cos_old
            sin_old, sin_new = sin_new, double * sin_new - sin_old
        scale, inverse = _scale(tl.load(largest))
        tl.store(unit, inverse)
        high, low = _parts(total * scale)
        tl.store(out + place, _bits(high) | _bits(low) << 16, mask=inside)

    @triton.jit
    def _pairs_kernel(slices, out, size, BLOCK: tl.constexpr):
        """What the two parts of a slope are multiplied by: (high, 0) for the integers, (low, high) for the rest."""
        index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        high = _bits(tl.load(slices + index, mask=index < size, other=0.0))
        low = _bits(tl.load(slices + size + index, mask=index < size, other=0.0))
        tl.store(out + index, high, mask=index < size)
        tl.store(out + size + index, low | high << 16, mask=index < size)


def means(
    z: torch.Tensor, slices: torch.Tensor, step: float, knots: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means over N of cos(k u) and sin(k u), u = step * z @ slices, k = 1 .. K: z (..., N, D), slices (D, S), float32.

    Returns (..., 2, K, S), and for `slopes` the projections (..., N, S), the parts of slices (2, D, S) and units (2,).
    """
    *sets, n, dim = z.shape
    s, rows, units = slices.shape[1], z[..., 0].numel(), z.new_empty(2)
    x, parts_z, parts = z.new_empty(*sets, n, s), _halves(z, units[:1]), _halves(slices, units[1:])
    grid = triton.cdiv(rows, PROJECTIONS["ROWS"]), triton.cdiv(s, PROJECTIONS["COLUMNS"])
    _project_kernel[grid](parts_z, parts, units, x, rows, s, D=dim, **PROJECTIONS)
    grid = z[..., 0, 0].numel(), triton.cdiv(s, MEANS["COLUMNS"])
    shares = min(triton.cdiv(n, MEANS["ROWS"]), triton.cdiv(PROGRAMS, grid[0] * grid[1]))
    sums = x.new_empty(*sets, shares, 2, knots, s)
    _means_kernel[*grid, shares](x, sums, n, s, step, K=knots, **MEANS)
    return sums.sum(-4) / n, x, parts, units


def slopes(x: torch.Tensor, parts: torch.Tensor, units: torch.Tensor, along: torch.Tensor, step: float) -> torch.Tensor:
    """The sum over k of along[0, k] cos(k u) + along[1, k] sin(k u), along (..., 2, K, S), times slices.T: (..., N, D).

    The others are what `means` returned.
    """
    *sets, n, s = x.shape
    along, dim = along.contiguous(), parts.shape[1]
    largest, unit = torch.linalg.vector_norm(along, 1, (-3, -2)).amax(), x.new_empty(1)
    slope, pairs = torch.empty_like(x, dtype=torch.int32), x.new_empty(2 * dim, s, dtype=torch.int32)
    grid = triton.cdiv(n, SLOPES["ROWS"]), triton.cdiv(s, SLOPES["COLUMNS"]), x[..., 0, 0].numel()
    _slopes_kernel[grid](x, along, largest, slope, unit, n, s, step, K=along.shape[-2], **SLOPES)
    _pairs_kernel[triton.cdiv(dim * s, ELEMENTS),](parts, pairs, dim * s, BLOCK=ELEMENTS)
    found = _product(slope.view(-1, s).view(torch.half), pairs.view(torch.half).T)
    return ((found[:, :dim] + found[:, dim:]) * (unit * units[1])).view(*sets, n, dim)


def _halves(x: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """x (..., W) as high and low parts (2, ..., W), and its unit (1,)."""
    x, out = x.contiguous(), x.new_empty(2, *x.shape, dtype=torch.half)
    largest = torch.linalg.vector_norm(x, torch.inf)
    _halves_kernel[triton.cdiv(x.numel(), ELEMENTS),](x, largest, out, unit, x.numel(), BLOCK=ELEMENTS)
    return out


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b of float16 in float32."""
    return torch.mm(a, b, out_dtype=torch.float32)


sliced_means = torch.library.custom_op("arcjepa::sliced_means", means, mutates_args=(), device_types="cuda")
sliced_slopes = torch.library.custom_op("arcjepa::sliced_slopes", slopes, mutates_args=(), device_types="cuda")


@sliced_means.register_fake
def _(z: torch.Tensor, slices: torch.Tensor, step: float, knots: int) -> tuple[torch.Tensor, ...]:
    sets, s = z.shape[:-2], slices.shape[1]
    parts = slices.new_empty(2, *slices.shape, dtype=torch.half)
    return z.new_empty(*sets, 2, knots, s), z.new_empty(*z.shape[:-1], s), parts, z.new_empty(2)


@sliced_slopes.register_fake
def _(x: torch.Tensor, parts: torch.Tensor, units: torch.Tensor, along: torch.Tensor, step: float) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], parts.shape[1])
