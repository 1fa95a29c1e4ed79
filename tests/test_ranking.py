import numpy as np
import pytest
from fake_embedders import DIMENSIONS, SETTINGS, Collapsed, Guessing, Oracle, make_frames

from arcjepa.candidates import Candidates, draw_candidates
from arcjepa.frames import Grids
from arcjepa.metrics import Scorer
from arcjepa.ranking import TestSet, contexts, predict_queries, rank_candidates, rank_scores
from arcjepa.settings import Sequence as SequenceSettings
from arcjepa.tokens import tokenise

FRAMES = make_frames(40)
CANDIDATES = draw_candidates(FRAMES, 400, 7)
TEST = TestSet(FRAMES, tokenise(FRAMES, SETTINGS), CANDIDATES, tokenise(CANDIDATES.grids, SETTINGS))
SCORER = Scorer("squared_distance", 1.0, np.zeros(DIMENSIONS, np.float32), 0.0)


def settings(window=3, framing="demonstrations"):
    return SequenceSettings(
        framing=framing, window=window, synthetic_share=0.0, curriculum={"enabled": False, "epochs": [1]}
    )


def with_sequence(embedder, **choices):
    embedder.sequence = settings(**choices)
    return embedder


def one_list(scores):
    n = len(scores)
    zero = np.zeros(n, np.int64)
    candidates = Candidates(Grids.from_list([]), np.array([0]), zero, zero, np.arange(n))
    return rank_scores(candidates, np.array(scores, dtype=float))


def test_an_oracle_ranks_the_true_output_first():
    ranking = rank_candidates(Oracle(TEST.tokens), SCORER, TEST)
    assert ranking.top1.min() == ranking.reciprocal.min() == 1


def test_guessing_and_collapse_are_at_chance():
    collapsed = rank_candidates(Collapsed(), SCORER, TEST)
    assert collapsed.top1 == pytest.approx(1 / collapsed.size)
    guessed = rank_candidates(Guessing(), SCORER, TEST)
    assert guessed.top1.mean() == pytest.approx((1 / guessed.size).mean(), abs=0.08)
    assert guessed.reciprocal.mean() == pytest.approx(collapsed.reciprocal.mean(), abs=0.08)


def test_ranks_and_ties():
    assert (one_list([3, 1, 2]).top1[0], one_list([3, 1, 2]).reciprocal[0]) == (1, 1)
    assert (one_list([2, 1, 3]).top1[0], one_list([2, 1, 3]).reciprocal[0]) == (0, 0.5)
    assert (one_list([3, 3, 1]).top1[0], one_list([3, 3, 1]).reciprocal[0]) == (0.5, 0.75)
    assert one_list([1, 2, 1]).reciprocal[0] == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_ranks_only_depend_on_the_order_of_scores():
    scores = np.random.default_rng(0).normal(size=16)
    assert one_list(scores).reciprocal == one_list(1e-6 * scores + 1e-6).reciprocal


def test_contexts_show_the_demonstrations_in_turn_then_the_query():
    frames, query = contexts(with_sequence(Guessing(), window=3), TEST.tokens, np.array([3, 7]))
    assert frames.tolist() == [[0, 1, 6], [2, 3, 6], [4, 5, 6], [8, 9, 14], [10, 11, 14], [12, 13, 14]]
    assert query.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_window_that_shows_all_demonstrations_gives_one_context_and_repeats_them():
    frames, _ = contexts(with_sequence(Guessing(), window=7), TEST.tokens, np.array([3]))
    assert frames.tolist() == [[0, 1, 2, 3, 4, 5, 6]]
    few = tokenise(make_frames(3, pairs=2), SETTINGS)
    frames, _ = contexts(with_sequence(Guessing(), window=5), few, np.array([1]))
    assert frames.tolist() == [[0, 1, 0, 1, 2]]


@pytest.mark.parametrize(("framing", "expected"), [("query", [[6]]), ("repeat", [[6, 6, 6]])])
def test_other_framings_show_no_demonstration(framing, expected):
    assert contexts(with_sequence(Guessing(), framing=framing), TEST.tokens, np.array([3]))[0].tolist() == expected


def test_at_most_eight_contexts_and_their_mean_predicts():
    many = tokenise(make_frames(2, pairs=13), SETTINGS)

    class Demonstrated(Guessing):
        def predict(self, projected):
            return projected[:, 1]

    frames, _ = contexts(Demonstrated(), many, np.array([12]))
    assert len(frames) == 8
    shown = Guessing().embed(many, np.arange(1, 17, 2)).projected
    predicted = predict_queries(Demonstrated(), many, np.array([12]))[0]
    assert predicted == pytest.approx(shown.mean(0), abs=1e-5)
