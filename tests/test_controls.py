import numpy as np
import pytest
import torch
from fake_embedders import SETTINGS, make_frames, make_tokens

from arcjepa.controls import TokenFeatures, grid_symmetry, token_features
from arcjepa.data_settings import TokenSettings
from arcjepa.frames import Grids
from arcjepa.tokens import tokenise
from arcjepa.views import View

RNG = np.random.default_rng(0)


def grids(count=60):
    return [RNG.integers(0, 3, RNG.integers(1, 8, 2)).astype(np.uint8) for _ in range(count)]


def turned(grid, d8):
    grid = grid.T if d8 & 4 else grid
    grid = grid[::-1] if d8 & 2 else grid
    return grid[:, ::-1] if d8 & 1 else grid


@pytest.mark.slow
@pytest.mark.parametrize("d8", range(8))
def test_features_under_a_view_are_those_of_the_viewed_grid(d8):
    made, colours = grids(), RNG.permutation(10)
    tokens = tokenise(Grids.from_list(made), SETTINGS)
    viewed = [np.ascontiguousarray(colours[turned(grid, d8)]).astype(np.uint8) for grid in made]
    many = len(made)
    view = View(torch.full((many,), d8), torch.as_tensor(colours).expand(many, 10), torch.zeros(many, 2).long())
    expected = token_features(tokenise(Grids.from_list(viewed), SETTINGS), np.arange(many))
    assert token_features(tokens, np.arange(many), view) == pytest.approx(expected, abs=1e-5)


def test_features_change_with_colours_sizes_and_places():
    base = np.zeros((6, 6), np.uint8)
    base[1:3, 1:3] = 4
    moved, larger = np.roll(base, 1, axis=1), np.pad(base, (0, 1))
    tokens = tokenise(Grids.from_list([base, moved, larger, np.where(base, 5, 0).astype(np.uint8)]), SETTINGS)
    features = token_features(tokens, np.arange(4))
    assert np.isfinite(features).all()
    assert len(np.unique(features, axis=0)) == 4


def test_objects_that_did_not_fit_are_seen_in_the_residual():
    small = TokenSettings(connectivity=8, background="zero", max_objects=1)
    a, b = (np.zeros((5, 5), np.uint8) for _ in range(2))
    a[0, :3] = b[0, :3] = 1
    a[4, 4], b[4, 4] = 2, 3
    features = token_features(tokenise(Grids.from_list([a, b]), small), np.arange(2))
    assert not np.array_equal(features[0, -116:-106], features[1, -116:-106])


def test_symmetry_agrees_with_the_grids():
    half = RNG.integers(0, 3, (4, 4)).astype(np.uint8)
    mirrored = np.concatenate([half, half[:, ::-1]], 1)
    made = [*grids(), mirrored, mirrored.T.copy(), half + half.T, np.concatenate([mirrored, mirrored[::-1]])]
    tokens = tokenise(Grids.from_list(made), SETTINGS)
    expected = [
        [np.array_equal(g, h) for h in (g[:, ::-1], g[::-1], g.T, g[::-1, ::-1].T, g[::-1, ::-1])] for g in made
    ]
    assert grid_symmetry(tokens, np.arange(len(made))).tolist() == expected


def test_embeddings_are_standardised_on_training_and_clipped():
    training = make_tokens(40)
    made = TokenFeatures(training).embed(training).frame
    within = np.abs(made).max(0) < 6
    assert made[:, within].mean(0) == pytest.approx(0, abs=1e-4)
    assert made[:, within & (made.std(0) > 0)].std(0) == pytest.approx(1, abs=1e-3)
    assert within.mean() > 0.7
    large = tokenise(Grids.from_list([np.arange(900).reshape(30, 30).astype(np.uint8) % 10]), SETTINGS)
    assert np.abs(TokenFeatures(training).embed(large).frame).max() == 6


def test_the_analogy_adds_what_changes_and_the_copy_does_not():
    training = make_tokens(20)
    context = RNG.normal(size=(7, 5, 30)).astype(np.float32)
    change = (context[:, 1] - context[:, 0] + context[:, 3] - context[:, 2]) / 2
    assert TokenFeatures(training).predict(context) == pytest.approx(context[:, 4] + change, abs=1e-5)
    assert np.array_equal(TokenFeatures(training, rule="copy").predict(context), context[:, 4])
    assert np.array_equal(TokenFeatures(training).predict(context[:, :1]), context[:, 0])


def test_frames_are_embedded_as_asked():
    tokens, embedder = make_tokens(20), TokenFeatures(make_tokens(20, seed=9))
    assert len(make_frames(20)) == len(tokens)
    everything = embedder.embed(tokens).projected
    assert embedder.embed(tokens, np.array([7, 3])).projected == pytest.approx(everything[[7, 3]], abs=1e-6)
    assert embedder.code_counts(tokens, np.array([7])) is None
