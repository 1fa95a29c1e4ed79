from types import SimpleNamespace

import numpy as np
import pytest
from fake_embedders import Collapsed, Guessing, Oracle, make_tokens, with_kin

from arcjepa.embeddings import Embedding
from arcjepa.pool import draw_pool
from arcjepa.yardstick import HeldOut, readout_pairs, training_samples

HELD = {"validation": make_tokens(40, seed=1, prefix="v"), "heldout": with_kin(make_tokens(90, seed=2, prefix="h"))}
TRAINING = [make_tokens(20, seed=3), make_tokens(60, seed=4)]
POOL = draw_pool(HELD, SimpleNamespace(pool=256, seed=7))
ZERO = np.zeros(24, np.float32)


class Shared(Guessing):
    """The first half of a frame's vector is its task's, the second its own: demonstrations tell something."""

    def embed(self, tokens, frames=None, view=None):
        frames = np.arange(len(tokens)) if frames is None else frames
        made = super().embed(tokens, frames).projected.copy()
        task = tokens.pair_task[frames // 2]
        made[:, :12] = np.random.default_rng(len(tokens)).normal(size=(len(tokens.task_ids), 12))[task]
        made[frames % 2 == 0] *= np.where(np.arange(24) < 12, 0, 1)  # inputs do not show the task
        return Embedding(made, made)


def held(embedder):
    return HeldOut(embedder, HELD, POOL, 7)


def test_an_oracle_costs_nothing_and_a_guess_the_logarithm_of_the_pool():
    assert held(Oracle(*HELD.values())).own_prediction(ZERO).nats.max() < 0.01
    assert held(Guessing()).own_prediction(ZERO).nats.mean() == pytest.approx(np.log(256), abs=0.15)
    assert held(Collapsed()).own_prediction(ZERO).nats == pytest.approx(np.log(256))


def test_settings_are_chosen_among_the_calibration_targets_alone():
    """No score of a reported query is in it: targets of other tasks, among themselves."""
    count = sum(map(len, POOL.calibration.values()))
    assert held(Oracle(*HELD.values())).own_prediction(ZERO).selection.max() < 0.01
    assert held(Collapsed()).own_prediction(ZERO).selection == pytest.approx(np.full(count, np.log(count)))


def test_the_readout_uses_the_demonstrations_and_the_query_alone_cannot():
    view = held(Shared())
    training = training_samples(Shared(), TRAINING, 300, 7)
    shown, alone = (view.readout(training, frames).nats.mean() for frames in (slice(None), slice(-1, None)))
    assert shown < np.log(256) - 2
    assert alone == pytest.approx(np.log(256), abs=0.2)


def test_a_readout_of_noise_is_chance_whatever_the_scale():
    class Scaled(Guessing):
        def __init__(self, scale):
            self.scale = scale

        def embed(self, tokens, frames=None, view=None):
            made = self.scale * super().embed(tokens, frames).projected
            return Embedding(made, made)

    for scale in (1, 1e-4):
        training = training_samples(Scaled(scale), TRAINING, 300, 7)
        found = held(Scaled(scale)).readout(training, slice(None)).nats.mean()
        assert found == pytest.approx(np.log(256), abs=0.15)


def test_every_pool_target_is_asked_for_once_by_its_own_task():
    view = held(Guessing())
    for sample, name in zip(view.samples("pool"), view.sets, strict=True):
        assert np.array_equal(sample.sequences.target, POOL.targets[name])
        tasks = HELD[name].pair_task[sample.sequences.context // 2]
        assert (tasks == sample.sequences.task[:, None]).all()
        assert not (sample.sequences.context == sample.sequences.target[:, None]).any()


def test_scorers_do_not_see_the_queries_of_the_pool():
    view = held(Guessing())
    before = view.own_prediction(ZERO).scorer
    queries = view.samples("pool")[0].sequences.context
    queries[:] = queries[::-1].copy()
    after = view.own_prediction(ZERO).scorer
    assert (before.kind, before.temperature) == (after.kind, after.temperature)


def test_training_sequences_are_half_real_as_far_as_there_are():
    sizes = [len(s.sequences.target) for s in training_samples(Guessing(), TRAINING, 100, 7)]
    assert sizes == [50, 50]
    sizes = [len(s.sequences.target) for s in training_samples(Guessing(), TRAINING, 220, 7)]
    assert sizes == [80, 140]


def test_controls_are_standardised_on_the_pairs_of_the_readout():
    tokens, frames = readout_pairs(TRAINING, 100, 7)
    assert len(tokens) == sum(map(len, TRAINING))
    real = frames < len(TRAINING[0])
    assert (real.sum(), (~real).sum()) == (100, 100)
    assert len(set(frames)) == 200
    assert 20 < real[:100].sum() < 80, "in random order"
    asked = [2 * (s.sequences.target // 2) + first for s, first in
             zip(training_samples(Guessing(), TRAINING, 100, 7), (0, len(TRAINING[0])), strict=True)]  # fmt: skip
    assert set(np.concatenate(asked)) == {frame for frame in frames if frame % 2 == 0}
