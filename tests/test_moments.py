"""The geometry of embeddings in training, against that of the evaluation and on clouds whose answer is known."""

import numpy as np
import pytest
import torch

from arcjepa import geometry as reference
from arcjepa.moments import geometry, moments, sides
from arcjepa.sigreg import directions

pytestmark = pytest.mark.usefixtures("seeded")


def samples(kind: str, rows: int = 300, dim: int = 12) -> torch.Tensor:
    z = torch.randn(rows, dim)
    scales = {
        "healthy": torch.ones(dim),
        "stretched": torch.linspace(0.1, 3, dim),
        "flat": (torch.arange(dim) < 4) * 1.0,
    }
    return z * scales[kind] + (2.0 if kind == "stretched" else 0.0)


def measured(z: torch.Tensor) -> dict[str, float]:
    return geometry(moments(z[None], directions(z.shape[1], 0, 0)))[0]


@pytest.mark.parametrize("kind", ["healthy", "stretched", "flat"])
def test_geometry_is_that_of_the_evaluation(kind: str) -> None:
    """Two implementations, one definition each: torch here, numpy on moments there."""
    z = samples(kind)
    found, x = measured(z), z.double().numpy()
    covariance = np.cov(x.T)
    assert found["effective_rank"] == pytest.approx(reference.effective_rank(covariance), rel=1e-4)
    assert found["rankme"] == pytest.approx(reference.rankme(x.T @ x), rel=1e-3)
    assert found["variance"] == pytest.approx(np.trace(covariance) / 12, rel=1e-4)
    assert found["isotropy"] == pytest.approx(reference.isotropy(covariance), rel=1e-4, abs=1e-9)


@pytest.mark.slow
def test_geometry_of_a_healthy_cloud() -> None:
    found = measured(samples("healthy", 4000))
    assert found["effective_rank"] == pytest.approx(12, abs=0.1)
    assert found["rankme"] == pytest.approx(12, abs=0.1)
    assert found["variance"] == pytest.approx(1, abs=0.05)
    assert found["isotropy"] > 0.75
    assert found["epps_pulley"] == pytest.approx(1.05, abs=0.4)


def test_geometry_tells_the_two_ranks_apart_by_the_mean() -> None:
    """The singular values see a common mean, the covariance does not."""
    z = samples("healthy", 2000)
    centred, moved = measured(z), measured(z + 10)
    assert moved["effective_rank"] == pytest.approx(centred["effective_rank"], rel=1e-3)
    assert moved["rankme"] < 0.8 * centred["rankme"]


@pytest.mark.parametrize("z", [torch.zeros(50, 12), torch.ones(50, 12), torch.randn(2, 12), torch.randn(8, 12)])
def test_geometry_is_finite_on_collapse_and_on_small_batches(z: torch.Tensor) -> None:
    assert all(np.isfinite(value) for value in measured(z).values())


@pytest.mark.slow
def test_geometry_counts_lost_dimensions() -> None:
    found = measured(samples("flat", 4000))
    assert found["effective_rank"] == pytest.approx(4, abs=0.1)
    assert found["isotropy"] < 1e-6


def test_sets_measured_together_are_measured_each_by_itself() -> None:
    sets = [samples(kind) for kind in ("healthy", "stretched", "flat")]
    together = geometry(moments(torch.stack(sets), directions(12, 0, 0)))
    for found, z in zip(together, sets, strict=True):
        assert found == pytest.approx(measured(z), rel=1e-6, abs=1e-9)


def test_epps_pulley_rises_on_collapse() -> None:
    assert measured(torch.zeros(300, 12))["epps_pulley"] == pytest.approx(0.402 * 300, rel=0.01)


def test_the_sides_are_columns_of_the_record() -> None:
    row = sides([{"rankme": 1.0}, {"rankme": 2.0}])
    assert row == {"rankme_context": 1.0, "rankme_target": 2.0}
