"""Small draws: in range, alike in share, and those of numpy's own generator."""

from collections import Counter

import numpy as np
import pytest

from arcjepa.dice import BLOCK, Dice


def dice(seed: int = 0) -> Dice:
    return Dice(np.random.default_rng(seed))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 10])
def test_cells_are_those_of_numpy(count: int) -> None:
    """Between uniforms, and in odd numbers, which leave half a word for the next draw."""
    thrown, rng = dice(), np.random.default_rng(0)
    colours, pool = tuple(range(20, 20 + count)), list[float]()
    for height, width in ((1, 1), (3, 5), (1, 1), (2, 2), (7, 9), (1, 3)):
        pool = pool or rng.random(BLOCK).tolist()
        assert thrown.uniform() == pool.pop()
        wanted = np.array(colours, np.uint8)[rng.integers(0, count, (height, width))]
        assert np.array_equal(thrown.cells(height, width, colours), wanted)


def test_uniforms_go_on_over_blocks() -> None:
    thrown, rng = dice(1), np.random.default_rng(1)
    wanted = np.concatenate([rng.random(BLOCK)[::-1] for _ in range(3)])
    assert [thrown.uniform() for _ in wanted] == wanted.tolist()


def test_draws_stay_in_range_and_reach_all_of_it() -> None:
    thrown = dice(2)
    assert Counter(thrown.between(3, 5) for _ in range(300)).keys() == {3, 4, 5}
    assert Counter(thrown.below(3) for _ in range(300)).keys() == {0, 1, 2}
    assert Counter(thrown.pick("ab") for _ in range(100)).keys() == {"a", "b"}
    assert all(0 <= thrown.point(2.5) < 2.5 for _ in range(300))
    assert 200 < sum(thrown.chance(0.25) for _ in range(1000)) < 300


def test_shuffled_keeps_every_option() -> None:
    thrown = dice(3)
    orders = {tuple(thrown.shuffled((1, 2, 3))) for _ in range(100)}
    assert len(orders) == 6
    assert all(sorted(order) == [1, 2, 3] for order in orders)
