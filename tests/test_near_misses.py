import numpy as np
import pytest

from arcjepa.near_misses import CHANGES, change_cells, crop, near_misses, recolour_object, swap_colours

RNG = np.random.default_rng(0)
GRID = RNG.integers(0, 4, (12, 9)).astype(np.uint8)


def test_they_differ_from_the_grid_and_from_each_other():
    found = near_misses(GRID, 15, np.random.default_rng(1))
    assert len({(g.shape, g.tobytes()) for g in [GRID, *found]}) == 16


def test_a_single_cell_has_few():
    found = near_misses(np.zeros((1, 1), np.uint8), 15, np.random.default_rng(1))
    assert len(found) == 9
    assert all(g.shape == (1, 1) for g in found)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_gives_a_grid_and_leaves_the_original(change):
    before = GRID.copy()
    results = [change(GRID, np.random.default_rng(seed)) for seed in range(20)]
    assert all(g.max() <= 9 and g.dtype == np.uint8 and abs(g.size - GRID.size) <= 12 for g in results)
    assert any(not np.array_equal(g, GRID) for g in results)
    assert np.array_equal(GRID, before)


def test_one_to_eight_cells_change():
    large = RNG.integers(0, 4, (30, 30)).astype(np.uint8)
    counts = {int((change_cells(large, np.random.default_rng(seed)) != large).sum()) for seed in range(200)}
    assert counts == set(range(1, 9))


def test_one_whole_object_is_recoloured():
    grid = np.zeros((6, 6), np.uint8)
    grid[1:3, 1:3], grid[4, 4] = 3, 3
    sizes = {int((recolour_object(grid, np.random.default_rng(seed)) != grid).sum()) for seed in range(30)}
    assert sizes == {4, 1}


def test_swapping_keeps_the_shape_of_every_colour():
    swapped = swap_colours(GRID, np.random.default_rng(0))
    pairs = set(zip(GRID.ravel().tolist(), swapped.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(GRID))
    assert sum(a != b for a, b in pairs) == 2


def test_cropping_takes_one_line_and_never_the_last():
    assert {crop(GRID, np.random.default_rng(seed)).shape for seed in range(20)} == {(11, 9), (12, 8)}
    assert {crop(GRID[:1, :1], np.random.default_rng(seed)).shape for seed in range(20)} == {(1, 1)}
