"""How embeddings fill their space, measured while they are learned: products on the device, eigenvalues beside it.

Shapes: V sets of N embeddings, D dimensions, S slices.
"""

from typing import NamedTuple

import torch

from arcjepa.sigreg import epps_pulley

GEOMETRY = {
    "effective_rank": ("dimensions", "exp(entropy) of the eigenvalues of the covariance"),
    "rankme": ("dimensions", "exp(entropy) of the singular values, mean not removed (RankMe)"),
    "variance": ("squared units", "variance, mean over dimensions"),
    "isotropy": ("ratio", "smallest over largest eigenvalue of the covariance"),
    "epps_pulley": ("1", "Epps-Pulley statistic, mean over slices; about 1.05 on Gaussian data"),
}


class Moments(NamedTuple):
    """What the geometry of V sets of embeddings follows from, on the CPU."""

    products: torch.Tensor
    """(2 V, D, D) float64: z.T @ z of every set with its mean removed, then as it is."""
    epps_pulley: torch.Tensor
    """(V,) float64, mean over slices."""
    rows: int
    """N."""


@torch.no_grad()
def moments(z: torch.Tensor, slices: torch.Tensor) -> Moments:
    """Of embeddings (V, N, D), by slices (D, S); waits for the device once."""
    x = z.double()
    centred = x - x.mean(1, keepdim=True)
    products = torch.cat([centred.mT @ centred, x.mT @ x]).cpu()
    return Moments(products, epps_pulley(z.float(), slices).mean(1).double().cpu(), z.shape[1])


@torch.no_grad()
def geometry(moments: Moments) -> list[dict[str, float]]:
    """How each of V sets of embeddings fills its space.

    effective_rank: exp(entropy) of covariance eigenvalues, the analysed run's definition. rankme: exp(entropy) of
    singular values (Garrido et al. 2023). variance: mean over dimensions. isotropy: smallest over largest
    eigenvalue, among the min(N - 1, D) that can be above zero. epps_pulley: mean over slices, about 1.05 if healthy.
    """
    sets, dimensions = len(moments.products) // 2, moments.products.shape[-1]
    # Squared singular values, without the cost of a singular value decomposition.
    squares = torch.linalg.eigvalsh(moments.products).clamp(min=0).flip(1)
    spread = squares[:sets, : min(moments.rows - 1, dimensions)]
    values = (
        _exp_entropy(spread),
        _exp_entropy(squares[sets:].sqrt()),
        spread.sum(1) / dimensions / max(1, moments.rows - 1),
        spread[:, -1] / spread[:, 0].clamp(min=1e-30),
        moments.epps_pulley,
    )
    return [dict(zip(GEOMETRY, row, strict=True)) for row in torch.stack(values, dim=1).tolist()]


def sides(measured: list[dict[str, float]]) -> dict[str, float]:
    """The geometry of context and target as columns of steps.csv."""
    return {
        f"{name}_{side}": value
        for side, values in zip(("context", "target"), measured, strict=True)
        for name, value in values.items()
    }


def _exp_entropy(values: torch.Tensor) -> torch.Tensor:
    """Of each row of values (V, M) that are not negative."""
    share = values / values.sum(1, keepdim=True).clamp(min=1e-30)
    return torch.exp(-(share * share.clamp(min=1e-30).log()).sum(1))
