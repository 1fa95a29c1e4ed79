from itertools import pairwise

import numpy as np
import pytest
from fake_embedders import make_frames

from arcjepa.candidates import KINDS, draw_candidates, load_candidates, save_candidates
from arcjepa.errors import UserError
from arcjepa.frames import Frames
from arcjepa.tasks import Pair, Task

FRAMES = make_frames(24)
DRAWN = draw_candidates(FRAMES, 400, 7)


def lists(candidates):
    """(query, kind) -> grids."""
    starts = candidates.lists()
    return {
        (int(candidates.query[a]), KINDS[candidates.kind[a]]): [candidates.grids[int(g)] for g in candidates.grid[a:b]]
        for a, b in pairwise(starts)
    }


def same(a, b):
    return a.shape == b.shape and np.array_equal(a, b)


def test_the_true_output_comes_first_and_only_once():
    for (query, _), grids in lists(DRAWN).items():
        truth = FRAMES[2 * int(DRAWN.query_pair[query]) + 1]
        assert same(grids[0], truth)
        assert not any(same(grid, truth) for grid in grids[1:])


def test_every_query_has_the_three_kinds():
    found = lists(DRAWN)
    assert set(found) == {(query, kind) for query in range(24) for kind in KINDS}
    assert {len(grids) for (_, kind), grids in found.items() if kind in "AC"} == {16}
    assert {len(grids) for (_, kind), grids in found.items() if kind == "B"} == {5}


def test_b_holds_the_demonstrations_and_the_query_and_a_neither():
    pair = int(DRAWN.query_pair[0])
    own = [FRAMES[2 * p + 1] for p in range(pair - 3, pair)] + [FRAMES[2 * pair]]
    found = lists(DRAWN)
    assert all(any(same(grid, other) for grid in found[0, "B"]) for other in own)
    assert not any(same(grid, other) for grid in found[0, "A"] for other in own)


def test_only_the_first_tasks_by_id_are_ranked_and_only_test_pairs():
    some = draw_candidates(FRAMES, 5, 7)
    assert FRAMES.pair_task[some.query_pair].tolist() == [0, 1, 2, 3, 4]
    assert FRAMES.pair_is_test[some.query_pair].all()


def test_another_seed_draws_others():
    assert any(
        not all(map(same, a, b))
        for a, b in zip(lists(DRAWN).values(), lists(draw_candidates(FRAMES, 400, 8)).values(), strict=True)
    )


def test_a_lonely_task_has_no_other_outputs_and_one_without_tests_no_query():
    (task, *_) = FRAMES.tasks()
    lonely = draw_candidates(Frames.from_tasks([task]), 400, 7)
    assert {kind for _, kind in lists(lonely)} == {"B", "C"}
    none = draw_candidates(Frames.from_tasks([Task("t", task.train)]), 400, 7)
    assert len(none.query_pair) == 0
    assert none.lists().tolist() == [0]


def test_a_task_that_copies_has_no_copy_of_the_query_among_b():
    grids = [np.full((2, 2), colour, np.uint8) for colour in range(4)]
    task = Task("t", tuple(Pair(g, g) for g in grids[:3]), (Pair(grids[3], grids[3]),))
    assert len(lists(draw_candidates(Frames.from_tasks([task]), 1, 0))[0, "B"]) == 4


def test_files_keep_everything_and_are_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        save_candidates(tmp_path / f"{name}.npz", DRAWN)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = load_candidates(tmp_path / "a.npz")
    assert all(map(same, loaded.grids, DRAWN.grids))
    assert np.array_equal(loaded.grid, DRAWN.grid)
    (tmp_path / "a.npz").write_bytes(b"PK nonsense")
    with pytest.raises(UserError, match=r"a\.npz"):
        load_candidates(tmp_path / "a.npz")
