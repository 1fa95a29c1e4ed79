"""Random scenes: legal, of the colours asked for, various, and a function of the generator's state."""

import numpy as np
import pytest

from arcjepa.dice import Dice
from arcjepa.grids import BACKED, STYLES, random_grid
from arcjepa.regions import background_of, join_rows, label, outside

PALETTE = (4, 7, 0, 2)
ALL = (*STYLES, "noise")


def draw(style: str, seed: int, count: int = 40, palette: tuple[int, ...] = PALETTE) -> list[np.ndarray]:
    dice = Dice(np.random.default_rng(seed))
    return [random_grid(dice, style, 3 + i % 12, 3 + (i * 5) % 14, palette) for i in range(count)]


@pytest.mark.parametrize("style", ALL)
@pytest.mark.parametrize("palette", [PALETTE, (0, 3)])
def test_size_type_and_colours(style: str, palette: tuple[int, ...]) -> None:
    for i, grid in enumerate(draw(style, 0, palette=palette)):
        assert grid.shape == (3 + i % 12, 3 + (i * 5) % 14)
        assert grid.dtype == np.uint8
        assert grid.flags.c_contiguous
        assert set(np.unique(grid)) <= set(palette)


@pytest.mark.parametrize("style", ALL)
def test_same_seed_same_grids_and_other_seed_others(style: str) -> None:
    first, again, other = draw(style, 1), draw(style, 1), draw(style, 2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert sum(np.array_equal(a, b) for a, b in zip(first, other, strict=True)) < len(first) / 4


@pytest.mark.parametrize("style", ALL)
def test_various_and_not_empty(style: str) -> None:
    dice = Dice(np.random.default_rng(3))
    grids = [random_grid(dice, style, 12, 12, PALETTE) for _ in range(40)]
    assert len({grid.tobytes() for grid in grids}) > 30
    assert np.mean([len(np.unique(grid)) > 1 for grid in grids]) > 0.9


def test_every_style_draws_something_else() -> None:
    assert len({tuple(grid.tobytes() for grid in draw(style, 5, 12)) for style in ALL}) == len(ALL)


@pytest.mark.parametrize("style", BACKED)
def test_figures_stand_on_the_background(style: str) -> None:
    grids = [grid for grid in draw(style, 4) if min(grid.shape) >= 6]
    assert np.mean([background_of(grid) == PALETTE[0] for grid in grids]) > 0.6


def test_structured_grids_have_fewer_objects_than_noise() -> None:
    def mean_objects(style: str) -> float:
        dice = Dice(np.random.default_rng(6))
        grids = [random_grid(dice, style, 12, 12, PALETTE) for _ in range(60)]
        return float(np.mean([len(label(grid, background_of(grid))[1]) for grid in grids]))

    assert all(
        mean_objects(style) < mean_objects("noise") for style in ("objects", "boxes", "lines", "nested", "walks")
    )


def test_scattered_objects_do_not_touch() -> None:
    """Each region that is labelled has the background all around it."""
    dice = Dice(np.random.default_rng(8))
    for _ in range(30):
        grid = random_grid(dice, "objects", 12, 12, (0, 1, 2, 3))
        for _, _, top, left, bottom, right in label(grid, 0)[1].tolist():
            ring = grid[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1].copy()
            ring[top - max(top - 1, 0) :, left - max(left - 1, 0) :][: bottom - top, : right - left] = 0
            inside = grid[top:bottom, left:right]
            assert len(set(np.unique(inside)) - {0}) == 1 or not ring.any()


def test_dice_ranges() -> None:
    dice = Dice(np.random.default_rng(0))
    assert {dice.below(3) for _ in range(200)} == {0, 1, 2}
    assert {dice.between(2, 4) for _ in range(200)} == {2, 3, 4}
    assert sorted(dice.shuffled(range(9))) == list(range(9))
    assert 0.2 < np.mean([dice.chance(0.3) for _ in range(2000)]) < 0.4


def test_label_counts_regions_by_eight_neighbours() -> None:
    grid = np.array([[1, 0, 2], [0, 1, 2], [0, 0, 0], [1, 0, 1]], np.uint8)
    labels, table = label(grid, 0)
    assert labels.tolist() == [[1, 0, 2], [0, 1, 2], [0, 0, 0], [3, 0, 4]]
    assert table.tolist() == [[1, 2, 0, 0, 2, 2], [2, 2, 0, 2, 2, 3], [1, 1, 3, 0, 4, 1], [1, 1, 3, 2, 4, 3]]


def test_outside_goes_by_sides_only() -> None:
    grid = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0]], np.uint8)
    assert (outside(grid, 0) | (grid == 1)).tolist() == [[True] * 4, [True, False, True, True], [True] * 4]


def test_join_rows_stops_at_other_colours() -> None:
    assert join_rows(np.array([[1, 0, 1, 0, 2, 0, 1]], np.uint8), 0).tolist() == [[1, 1, 1, 0, 2, 0, 1]]
