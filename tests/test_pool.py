from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from fake_embedders import SETTINGS, Guessing, make_frames, make_tokens, with_kin

from arcjepa.errors import UserError
from arcjepa.frames import Frames
from arcjepa.pool import FEWEST, Embedded, draw_pool, grid_key
from arcjepa.programs import independent
from arcjepa.shares import selects
from arcjepa.tasks import Task
from arcjepa.tokens import tokenise

REAL = make_tokens(60, seed=1, prefix="v")
STORES = {
    "validation": replace(REAL, rules=("",) * len(REAL.task_ids)),
    "heldout": with_kin(make_tokens(80, seed=2, prefix="h")),
}


def evaluation(pool=128, seed=7):
    return SimpleNamespace(pool=pool, seed=seed)


def tasks_of(frames_by_set):
    return {(name, int(STORES[name].pair_task[f // 2])) for name, frames in frames_by_set.items() for f in frames}


def test_calibration_never_sees_a_kin_of_the_pool():
    """Two tasks of a kin are as good as one: a scorer fitted on one is fitted on the other."""
    pool = draw_pool(STORES, evaluation())
    sides = [
        {independent(STORES[part].task_ids[task], STORES[part].rules[task]) for part, task in tasks_of(frames)}
        for frames in (pool.targets, pool.calibration)
    ]
    assert min(map(len, sides)) > 5
    assert not sides[0] & sides[1]


def test_calibration_has_the_mixture_of_the_pool():
    stores = STORES | {"heldout": with_kin(make_tokens(200, seed=2, prefix="h"))}
    for size, share in ((128, FEWEST / 128), (600, 1 / 8)):
        pool = draw_pool(stores, evaluation(pool=size))
        assert len(set(map(len, pool.targets.values()))) == 1 + (size == 600)
        for name, frames in pool.targets.items():
            assert len(pool.calibration[name]) == round(share * len(frames))


def test_calibration_never_sees_a_task_of_the_pool():
    pool = draw_pool(STORES, evaluation())
    assert len(pool) == 128
    assert tasks_of(pool.calibration)
    assert not tasks_of(pool.calibration) & tasks_of(pool.targets)


def test_tasks_that_select_are_never_queried():
    pool = draw_pool(STORES, evaluation())
    for name, frames in pool.targets.items():
        tokens, tasks = STORES[name], STORES[name].pair_task[frames // 2]
        assert not any(selects(independent(tokens.task_ids[task], tokens.rules[task]), name) for task in tasks)


def test_targets_are_outputs_and_at_most_half_are_real():
    pool = draw_pool(STORES, evaluation())
    assert all((frames % 2 == 1).all() and (np.diff(frames) > 0).all() for frames in pool.targets.values())
    assert len(pool.targets["validation"]) == 64


def test_the_same_grid_comes_once():
    frames = make_frames(60, seed=2, prefix="h")
    twins = Frames.from_tasks([*frames.tasks(), *(Task("twin" + t.id, t.train, t.test) for t in frames.tasks())])
    stores = STORES | {"heldout": with_kin(tokenise(twins, SETTINGS))}
    pool = draw_pool(stores, evaluation())
    keys = [grid_key(stores[name], f) for name, frames in pool.targets.items() for f in frames]
    others = [grid_key(stores[name], f) for name, frames in pool.calibration.items() for f in frames]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(others)


def test_the_draw_depends_on_the_seed_alone():
    first, again, other = (draw_pool(STORES, evaluation(seed=seed)) for seed in (7, 7, 8))
    assert np.array_equal(first.targets["heldout"], again.targets["heldout"])
    assert not np.array_equal(first.targets["heldout"], other.targets["heldout"])


def test_a_pool_that_cannot_be_filled_names_the_key_and_the_number():
    with pytest.raises(UserError, match=r"evaluation\.pool: 5000 .* there are \d+ distinct"):
        draw_pool(STORES, evaluation(pool=5000))


def test_keys_tell_grids_apart():
    tokens = STORES["heldout"]
    assert len({grid_key(tokens, i) for i in range(len(tokens))}) == len(tokens)


def test_embedded_frames_are_found_by_index_and_others_are_refused():
    tokens, fake = STORES["heldout"], Guessing()
    store = Embedded(fake, tokens, np.array([[9, 4], [4, 30]]))
    assert np.array_equal(store.projected(np.array([30, 4])), fake.embed(tokens, np.array([30, 4])).projected)
    with pytest.raises(AssertionError, match="not embedded"):
        store.frame(np.array([5]))


def test_embeddings_that_are_not_finite_stop_the_evaluation():
    class Diverged(Guessing):
        def embed(self, tokens, frames=None, view=None):
            made = super().embed(tokens, frames)
            made.projected[0, 0] = np.nan
            return made

    with pytest.raises(UserError, match="not finite"):
        Embedded(Diverged(), STORES["heldout"])
