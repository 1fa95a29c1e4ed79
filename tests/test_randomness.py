"""Random numbers are pure functions of their key, independent between keys, and as random as they say."""

import pytest
import torch
from scipy import stats

from arcjepa import randomness

N = 40_000
KEYS = [(0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 3), (1, 0, 2), (2, 1, 0)]


def test_uniform_is_uniform() -> None:
    u = randomness.uniform((3, 1, 4), (N,))
    assert u.dtype == torch.float64
    assert (u >= 0).all()
    assert (u < 1).all()
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-3
    assert abs(stats.pearsonr(u[1:], u[:-1]).statistic) < 0.02  # neighbours


def test_normal_is_normal() -> None:
    x = randomness.normal((3, 1, 4), (N,))
    assert x.dtype == torch.float32
    assert stats.kstest(x.double().numpy(), "norm").pvalue > 1e-3
    moments = [float((x.double() ** k).mean()) for k in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.1)


def test_integers_cover_their_range_evenly() -> None:
    x = randomness.integers((0, 5, 9), 7, (N,))
    assert x.dtype == torch.int64
    counts = torch.bincount(x, minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_permutations_are_permutations_and_all_occur() -> None:
    p = randomness.permutations((0, 5, 9), 3000, 3)
    assert p.sort(dim=1).values.equal(torch.arange(3).expand(3000, 3))
    _, counts = torch.unique(p, dim=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_the_same_key_gives_the_same_numbers() -> None:
    key = (7, 11, 13)
    torch.rand(5)  # no hidden state
    first = randomness.normal(key, (50, 3))
    torch.rand(5)
    assert first.equal(randomness.normal(key, (50, 3)))


@pytest.mark.parametrize("step", [0, 1, 12345])
def test_a_step_may_be_a_tensor(step: int) -> None:
    assert randomness.hashes((1, 2, step), (9,)).equal(randomness.hashes((1, 2, torch.tensor(step)), (9,)))


def test_a_longer_draw_begins_with_the_shorter() -> None:
    assert randomness.uniform((1, 2, 3), (100,))[:10].equal(randomness.uniform((1, 2, 3), (10,)))


def test_every_part_of_a_key_and_its_place_counts() -> None:
    draws = torch.stack([randomness.uniform(key, (5000,)) for key in KEYS])
    correlation = torch.corrcoef(draws) - torch.eye(len(KEYS))
    assert correlation.abs().max() < 0.06


def test_neighbouring_seeds_and_steps_share_no_number() -> None:
    keys = [(seed, stream, step) for seed in range(8) for stream in range(8) for step in range(8)]
    every = torch.cat([randomness.hashes(key, (32,)) for key in keys])
    assert len(every.unique()) == len(every)
