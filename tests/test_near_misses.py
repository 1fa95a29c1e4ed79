import numpy as np
import pytest

from arcjepa.frames import Frames
from arcjepa.near_misses import (
    CHANGES,
    change_cells,
    crop,
    misses_of_outputs,
    near_misses,
    recolour_object,
    swap_colours,
)
from arcjepa.tasks import Pair, Task

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


def tasks(count: int) -> list[Task]:
    grids = RNG.integers(0, 4, (count, 3, 2, 5, 6)).astype(np.uint8)
    return [Task(str(i), [Pair(*pair) for pair in pairs[:2]], [Pair(*pairs[2])]) for i, pairs in enumerate(grids)]


def test_every_output_has_its_near_misses_pair_by_pair():
    frames = Frames.from_tasks(tasks(4))
    found = misses_of_outputs(frames, 3)
    assert len(found) == 3 * frames.n_pairs
    for pair in range(frames.n_pairs):
        mine = [found[3 * pair + i] for i in range(3)]
        assert len({grid.tobytes() for grid in [frames[2 * pair + 1], *mine]}) == 4
        assert all(abs(grid.size - 30) <= 6 for grid in mine)


def test_they_do_not_depend_on_the_file_that_a_task_is_in():
    made = tasks(4)
    whole, part = misses_of_outputs(Frames.from_tasks(made), 2), misses_of_outputs(Frames.from_tasks(made[2:]), 2)
    assert all(np.array_equal(whole[12 + i], part[i]) for i in range(len(part)))


def test_where_a_grid_has_few_they_come_again():
    cell = np.zeros((1, 1), np.uint8)
    frames = Frames.from_tasks([Task("t", [Pair(cell, cell)], [])])
    found = misses_of_outputs(frames, 12)
    assert [int(found[i][0, 0]) for i in range(9, 12)] == [int(found[i][0, 0]) for i in range(3)]
