import numpy as np
import pytest
from fake_embedders import DIMENSIONS, Guessing, make_tokens

from arcjepa.controls import TokenFeatures
from arcjepa.embeddings import Embedding
from arcjepa.retrieval import retrieve, retrieve_augmented, retrieve_rearc

RNG = np.random.default_rng(0)
TASKS = np.repeat(np.arange(30), 4)
ALL = np.arange(120)
TOKENS = make_tokens(30, seed=3)


def test_tasks_that_lie_together_are_found():
    centres = RNG.normal(size=(30, 8))
    found = retrieve(centres[TASKS] + 1e-3 * RNG.normal(size=(120, 8)), TASKS, ALL)
    assert found.hit.min() == found.precision.min() == 1
    assert found.chance == pytest.approx(3 / 119)


def test_unrelated_and_collapsed_embeddings_are_at_chance():
    hits = [retrieve(RNG.normal(size=(120, 8)), TASKS, ALL).hit.mean() for _ in range(20)]
    assert np.mean(hits) == pytest.approx(3 / 119, abs=0.01)
    assert retrieve(np.ones((120, 8)), TASKS, ALL).hit == pytest.approx(3 / 119)


def test_average_precision_is_right_on_a_known_order():
    angles = np.array([0.0, 0.1, 0.2, 0.3])  # of the first: the other of its task comes second
    x = np.stack([np.cos(angles), np.sin(angles)], 1)
    found = retrieve(x, np.array([0, 1, 0, 1]), np.array([0]))
    assert (found.hit[0], found.precision[0]) == (0, 0.5)


def test_queries_are_ranked_against_the_whole_gallery_and_lonely_ones_left_out():
    tasks = np.append(TASKS, 99)
    found = retrieve(RNG.normal(size=(121, 8)), tasks, np.array([0, 1, 120]))
    assert found.task.tolist() == [0, 0]
    assert found.chance == pytest.approx(3 / 120)


def test_the_tasks_asked_for_are_queried_and_all_are_in_the_gallery():
    asked = {"one": set(TOKENS.task_ids[::2]), "other": set(TOKENS.task_ids[1:4:2])}
    pairs = RNG.normal(size=(5, 2, DIMENSIONS))
    found = retrieve_rearc(Guessing(), TOKENS, pairs, asked)
    for name, tasks in asked.items():
        assert {TOKENS.task_ids[t] for t in found[name].task} == tasks
        assert found[name].chance == pytest.approx(3 / 119)


def test_each_pair_is_seen_under_a_view_of_its_own():
    views = []

    class Watched(Guessing):
        def embed(self, tokens, frames=None, view=None):
            views.append(view)
            return super().embed(tokens, frames)

    retrieve_augmented(Watched(), TOKENS, np.arange(90), RNG.normal(size=(9, 2, DIMENSIONS)), 7)
    d8, colours = views[0].d8.numpy(), views[0].colours.numpy()
    assert (d8[::2] == d8[1::2]).all()
    assert (colours[::2] == colours[1::2]).all()
    assert set(d8) == set(range(8))
    assert (np.sort(colours, 1) == np.arange(10)).all()


def test_an_invariant_embedding_finds_pairs_that_views_hide_from_others():
    counts = make_tokens(40, seed=5)

    class Sizes(TokenFeatures):
        """Task numbers, whatever the view."""

        def embed(self, tokens, frames=None, view=None):
            task = tokens.pair_task[frames // 2][:, None]
            made = np.concatenate([np.cos(task * k) + (frames % 2)[:, None] * np.sin(task) for k in (1, 2, 3)], 1)
            return Embedding(made.astype(np.float32), made.astype(np.float32))

    pairs = np.flatnonzero(~counts.pair_is_test)
    invariant = retrieve_augmented(Sizes(counts), counts, pairs, RNG.normal(size=(50, 2, 3)), 7)
    assert invariant.hit.mean() == 1
