"""The compiled sums against numpy's of the angles themselves, over one block of rows and over several."""

import numpy as np
import pytest

from arcjepa import sigreg
from arcjepa.sigreg_loops import KNOTS, ROWS, slopes, sums

SLICES = 5


def angles(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u (S, N) of all sizes, and k u (K, S, N) in pairs with cosine and sine: (2, K, S, N)."""
    u = np.random.default_rng(rows).normal(size=(SLICES, rows)) * np.linspace(0.1, 3, SLICES)[:, None]
    multiples = np.arange(1, KNOTS + 1)[:, None, None] * u
    return np.cos(u), np.sin(u), np.stack([np.cos(multiples), np.sin(multiples)])


@pytest.mark.parametrize("rows", [1, 17, ROWS, 2 * ROWS + 3])
@pytest.mark.parametrize(("dtype", "exact"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_sums_are_those_of_every_multiple(rows: int, dtype: type, exact: float) -> None:
    cosine, sine, waves = angles(rows)
    total = np.full((2, SLICES, KNOTS), np.nan, dtype)
    sums(cosine.astype(dtype), sine.astype(dtype), total)
    assert np.allclose(total / rows, waves.mean(-1).transpose(0, 2, 1), rtol=0, atol=exact)


def test_long_sums_lose_no_digits() -> None:
    """As one running sum in float32 does."""
    cosine, sine, waves = angles(1 << 17)
    total = np.empty((2, SLICES, KNOTS), np.float32)
    sums(cosine.astype(np.float32), sine.astype(np.float32), total)
    assert np.allclose(total[0, 0, 0] / (1 << 17), waves[0, 0, 0].mean(), rtol=0, atol=2e-7)


@pytest.mark.parametrize(("dtype", "exact"), [(np.float64, 1e-11), (np.float32, 2e-3)])
def test_slopes_are_those_of_every_multiple(dtype: type, exact: float) -> None:
    cosine, sine, waves = angles(33)
    along = np.random.default_rng(0).normal(size=(2, SLICES, KNOTS))
    total = np.full((SLICES, 33), np.nan, dtype)
    slopes(cosine.astype(dtype), sine.astype(dtype), along.astype(dtype), total)
    assert np.allclose(total, np.einsum("ask,aksn->sn", along, waves), rtol=0, atol=exact)


def test_all_knots_but_the_one_at_zero_are_written_out() -> None:
    assert KNOTS == sigreg.KNOTS - 1
