"""SIGReg: push embeddings towards an isotropic Gaussian by testing random one-dimensional slices of them.

LeJEPA (arXiv 2511.08544): mean over slices of the Epps-Pulley statistic of z @ a,

    T(x) = N * sum_j w_j [ (mean_n cos t_j x_n - phi_j)^2 + (mean_n sin t_j x_n)^2 ],   phi_j = exp(-t_j^2 / 2),

with 17 knots t_j equally spaced on [0, 3] and w_j = phi_j * 2 dt, dt at both ends. On N(0, 1) its mean is about 1.05;
where all embeddings are zero it is 0.402 N. Where several ranks train together, N is the size of the global batch and
the means are over all of it. Shapes: N embeddings, D dimensions, S slices, K knots.
"""

from collections.abc import Iterator
from typing import Any

import torch

from arcjepa import kernels, randomness
from arcjepa.ranks import mean_over_ranks, world_size

KNOTS = 17
SLICES = 1024
STREAM = 11
Device = torch.device | str
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
    def forward(ctx: Any, x: torch.Tensor, ranks: int) -> torch.Tensor:
        """x (..., N, S) of one of so many `ranks` to the statistic (..., S) of all."""
        _, phi, w = (value[1:, None] for value in knots(x.dtype, x.device))
        waves = (x,) if x.is_cuda else (torch.cos(_STEP * x), torch.sin(_STEP * x))
        means = kernels.means(x, _STEP, KNOTS - 1) if x.is_cuda else _means(*waves)
        means = means if ranks == 1 else mean_over_ranks(means)
        error = means - torch.stack([phi, torch.zeros_like(phi)])
        ctx.save_for_backward(error, *waves)
        ctx.ranks = ranks
        return ranks * x.shape[-2] * (error**2 * w).sum((-3, -2))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        """dT/dx = sum_k t_k (a_k cos t_k x + b_k sin t_k x), with the same recurrence as forward.

        Times the number of ranks, as gradients of ranks are averaged and not added: each sees its own x alone.
        """
        error, *waves = ctx.saved_tensors
        t, _, w = (value[1:, None] for value in knots(error.dtype, error.device))
        slope = 2 * w * t * error * (ctx.ranks * grad_outputs[0])[..., None, None, :]
        along = torch.stack([slope.select(-3, 1), -slope.select(-3, 0)], -3)
        if error.is_cuda:
            return kernels.slopes(waves[0], along, _STEP), None
        cosine, sine = waves
        return _slopes(cosine, sine, along), None


def _means(cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Means of cos(k u) and of sin(k u) over N, from those of u (..., N, S): (..., 2, K - 1, S)."""
    means = [torch.stack([cos_k.mean(-2), sin_k.mean(-2)], -2) for cos_k, sin_k in _multiples(cosine, sine)]
    return torch.stack(means, -2)


def _slopes(cosine: torch.Tensor, sine: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """Sum over k of along[0, k] cos(k u) + along[1, k] sin(k u), along (..., 2, K - 1, S): (..., N, S)."""
    total = torch.zeros_like(cosine)
    for k, (cos_k, sin_k) in enumerate(_multiples(cosine, sine)):
        total.addcmul_(cos_k, along[..., 0, k, None, :]).addcmul_(sin_k, along[..., 1, k, None, :])
    return total


def _multiples(cosine: torch.Tensor, sine: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """cos(k u), sin(k u) for k = 1 .. KNOTS - 1; the tensors yielded are overwritten two steps later."""
    double = 2 * cosine
    cos_old, sin_old = torch.ones_like(cosine), torch.zeros_like(sine)
    cos_new, sin_new = cosine.clone(), sine.clone()
    for _ in range(KNOTS - 1):
        yield cos_new, sin_new
        cos_old = cos_old.neg_().addcmul_(double, cos_new)
        sin_old = sin_old.neg_().addcmul_(double, sin_new)
        cos_old, cos_new, sin_old, sin_new = cos_new, cos_old, sin_new, sin_old


def epps_pulley(x: torch.Tensor, ranks: int = 1) -> torch.Tensor:
    """The statistic of each column of x (..., N, S), float32, or float64 on the CPU; returns (..., S).

    Over the batches of `ranks` ranks.
    """
    return _EppsPulley.apply(x, ranks)


def directions(dim: int, seed: randomness.Number, step: randomness.Number, device: Device = "cpu") -> torch.Tensor:
    """(D, SLICES) random unit columns, the same for everyone who shares seed and step."""
    a = randomness.normal((seed, STREAM, step), (dim, SLICES), device)
    return a / a.norm(dim=0, keepdim=True)


def sigreg(z: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
    """SIGReg of sets of embeddings z (..., N, D), N alike on all ranks, on unit columns (D, S), in float32: (...).

    z is not normalised: that would fix the statistic whatever the embeddings do.
    """
    with torch.autocast(z.device.type, enabled=False):
        return epps_pulley(z.float() @ slices, world_size()).mean(-1)


def sigreg_normalised(z: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
    """The analysed run's variant, kept to be compared with: unit-length embeddings, and no factor N.

    It stays within [0.39, 0.41] whatever the embeddings do, so it regularises nothing.
    """
    return sigreg(torch.nn.functional.normalize(z.float(), dim=-1), slices) / (z.shape[-2] * world_size())
