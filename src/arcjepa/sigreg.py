"""SIGReg: push embeddings towards an isotropic Gaussian by testing random one-dimensional slices of them.

LeJEPA (arXiv 2511.08544): mean over slices of the Epps-Pulley statistic of z @ a,

    T(x) = N * sum_j w_j [ (mean_n cos t_j x_n - phi_j)^2 + (mean_n sin t_j x_n)^2 ],   phi_j = exp(-t_j^2 / 2),

with 17 knots t_j equally spaced on [0, 3] and w_j = phi_j * 2 dt, dt at both ends. On N(0, 1) its mean is about 1.05;
where all embeddings are zero it is 0.402 N. Where several ranks train together, N is the size of the global batch and
the means are over all of it. Shapes: N embeddings, D dimensions, S slices, K knots.
"""

from typing import Any

import torch

from arcjepa import randomness
from arcjepa.ranks import mean_over_ranks, world_size
from arcjepa.sigreg_kernels import sliced_means, sliced_slopes

KNOTS = 17
SLICES = 1024
STREAM = 11
Device = torch.device | str
_made: dict[tuple[torch.dtype, torch.device], tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}
"""Of `_knots`."""
_STEP = 3.0 / (KNOTS - 1)


def knots(dtype: torch.dtype = torch.float32, device: Device = "cpu") -> tuple[torch.Tensor, ...]:
    """t (K,), phi (K,) and quadrature weights w (K,)."""
    t = torch.linspace(0, 3, KNOTS, dtype=torch.float64, device=device)
    phi = torch.exp(-(t**2) / 2)
    ends = (t == 0) | (t == 3)
    width = torch.where(ends, _STEP, 2 * _STEP)
    return t.to(dtype), phi.to(dtype), (phi * width).to(dtype)


def epps_pulley_plain(x: torch.Tensor) -> torch.Tensor:
    """The statistic of each column of x (N, S), as written above: the reference of `epps_pulley`. Returns (S,)."""
    t, phi, w = knots(x.dtype, x.device)
    angles = x[:, :, None] * t
    error = (angles.cos().mean(0) - phi) ** 2 + angles.sin().mean(0) ** 2
    return len(x) * (error * w).sum(-1)


class _EppsPulley(torch.autograd.Function):
    """One sine and cosine per element, those of further knots by Chebyshev's recurrence
    cos((k + 1) u) = 2 cos(u) cos(k u) - cos((k - 1) u), likewise for the sine.

    Nothing of size N x S x K exists, forward or backward. The knot at 0 says nothing, and is left out.
    """

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, slices: torch.Tensor, ranks: int) -> torch.Tensor:
        """z (..., N, D) of one of so many `ranks` and slices (D, S) to the statistic (..., S) of all."""
        _, wanted, w = _knots(z)
        if z.is_cuda:
            means, *kept = sliced_means(z, slices, _STEP, KNOTS - 1)
        else:
            kept = [_waves(slices.T @ z.mT), slices]
            means = _means(kept[0])
        means = means if ranks == 1 else mean_over_ranks(means)
        error = means - wanted
        ctx.save_for_backward(error, *kept)
        ctx.ranks = ranks
        return ranks * z.shape[-2] * (error**2 * w).sum((-3, -2))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """dT/dx = sum_k t_k (a_k cos t_k x + b_k sin t_k x), with the same recurrence as forward, and dT/dz from it.

        Times the number of ranks, as gradients of ranks are averaged and not added: each sees its own z alone.
        """
        error, *kept = ctx.saved_tensors
        t, _, w = _knots(error)
        slope = 2 * w * t * error * (ctx.ranks * grad_outputs[0])[..., None, None, :]
        along = torch.stack([slope.select(-3, 1), -slope.select(-3, 0)], -3)
        if error.is_cuda:
            return sliced_slopes(*kept, along, _STEP), None, None
        waves, slices = kept
        return _slopes(waves, along).mT @ slices.T, None, None


def _knots(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """t (K - 1, 1), the means of a Gaussian (2, K - 1, 1) and w (K - 1, 1), without the knot at 0, made once."""
    key = x.dtype, x.device
    compiling = torch.compiler.is_compiling()
    if compiling or key not in _made:
        t, phi, w = (value[1:, None] for value in knots(*key))
        found = t, torch.stack([phi, torch.zeros_like(phi)]), w
        if compiling or (x.is_cuda and torch.cuda.is_current_stream_capturing()):
            return found  # which belong to what is being compiled or recorded
        _made[key] = found
    return _made[key]


def _waves(x: torch.Tensor) -> torch.Tensor:
    """Cosines and sines (2, ...) of the angles x at the first knot."""
    waves = x.new_empty(2, *x.shape)
    angles = x * _STEP
    torch.cos(angles, out=waves[0])
    torch.sin(angles, out=waves[1])
    return waves


def _means(waves: torch.Tensor) -> torch.Tensor:
    """Means of cos(k u) and of sin(k u) over N, from those of u (2, ..., S, N): (..., 2, K - 1, S)."""
    from arcjepa import sigreg_loops  # here, as it imports numba

    *sets, columns, rows = waves.shape[1:]
    total = waves.new_empty(*sets, 2, columns, KNOTS - 1)
    for cosine, sine, found in zip(*_sets(waves), total.view(-1, 2, columns, KNOTS - 1), strict=True):
        sigreg_loops.sums(cosine.numpy(), sine.numpy(), found.numpy())
    return total.mT / rows


def _slopes(waves: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """Sum over k of along[0, k] cos(k u) + along[1, k] sin(k u), along (..., 2, K - 1, S): (..., S, N)."""
    from arcjepa import sigreg_loops

    total, along = torch.empty_like(waves[0]), along.mT.contiguous()
    rest = along.view(-1, *along.shape[-3:]), total.view(-1, *total.shape[-2:])
    for cosine, sine, factors, found in zip(*_sets(waves), *rest, strict=True):
        sigreg_loops.slopes(cosine.numpy(), sine.numpy(), factors.numpy(), found.numpy())
    return total


def _sets(waves: torch.Tensor) -> torch.Tensor:
    """(2, ..., S, N) as (2, sets, S, N)."""
    return waves.view(2, -1, *waves.shape[-2:])


def epps_pulley(z: torch.Tensor, slices: torch.Tensor, ranks: int = 1) -> torch.Tensor:
    """The statistic of each column of z @ slices, z (..., N, D), slices (D, S): (..., S), over the batches of `ranks`.

    In float32, or float64 on the CPU. Slices have no gradient.
    """
    return _EppsPulley.apply(z, slices, ranks)


def directions(dim: int, seed: randomness.Number, step: randomness.Number, device: Device = "cpu") -> torch.Tensor:
    """(D, SLICES) random unit columns, the same for everyone who shares seed and step."""
    a = randomness.normal((seed, STREAM, step), (dim, SLICES), device)
    return a / a.norm(dim=0, keepdim=True)


def sigreg(z: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
    """SIGReg of sets of embeddings z (..., N, D), N alike on all ranks, on unit columns (D, S), in float32: (...).

    z is not normalised: that would fix the statistic whatever the embeddings do.
    """
    with torch.autocast(z.device.type, enabled=False):
        return epps_pulley(z.float(), slices, world_size()).mean(-1)


def sigreg_normalised(z: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
    """The analysed run's variant, kept to be compared with: unit-length embeddings, and no factor N.

    It stays within [0.39, 0.41] whatever the embeddings do, so it regularises nothing.
    """
    return sigreg(torch.nn.functional.normalize(z.float(), dim=-1), slices) / (z.shape[-2] * world_size())
