import numpy as np
import pytest
from fake_embedders import DIMENSIONS, SETTINGS, Guessing, make_frames

from arcjepa.candidates import draw_candidates
from arcjepa.errors import UserError
from arcjepa.examples import MAX_EXAMPLES, Examples, choose_examples, load_examples, save_examples
from arcjepa.metrics import Scorer
from arcjepa.ranking import TestSet, rank_candidates
from arcjepa.tokens import tokenise

FRAMES = make_frames(30)
CANDIDATES = draw_candidates(FRAMES, 400, 7)
TEST = TestSet(FRAMES, tokenise(FRAMES, SETTINGS), CANDIDATES, tokenise(CANDIDATES.grids, SETTINGS))
RANKING = rank_candidates(Guessing(), Scorer("cosine", 1.0, np.zeros(DIMENSIONS), 0.0), TEST)


def test_the_order_is_that_of_the_scores_and_the_choice_is_spread():
    chosen = choose_examples(TEST, RANKING)
    assert len(chosen) == 2 * MAX_EXAMPLES
    assert len({example.label for example in chosen}) == len(chosen)
    starts = CANDIDATES.lists()
    place = int(np.flatnonzero((RANKING.query == 0) & (RANKING.kind == 1))[0])
    scores = RANKING.scores[starts[place] : starts[place + 1]]
    assert (np.diff(scores[chosen[0].order]) <= 0).all()
    assert FRAMES.task_ids[-1] in chosen[-1].label


def test_the_choice_is_the_same_for_every_encoder():
    other = rank_candidates(Guessing(), Scorer("squared_distance", 1.0, np.zeros(DIMENSIONS), 0.0), TEST)
    assert [e.label for e in choose_examples(TEST, other)] == [e.label for e in choose_examples(TEST, RANKING)]


def test_files_keep_everything(tmp_path):
    before = Examples(choose_examples(TEST, RANKING), np.ones((3, 4), np.float32), ("a", "b", "ç"))
    save_examples(tmp_path / "examples.npz", before)
    after = load_examples(tmp_path / "examples.npz")
    assert after.labels == before.labels
    for a, b in zip(after.queries, before.queries, strict=True):
        assert (a.label, a.order.tolist()) == (b.label, b.order.tolist())
        assert np.array_equal(a.query, b.query)
        assert all(map(np.array_equal, a.candidates, b.candidates))
        assert all(np.array_equal(x, y) for p, q in zip(a.demonstrations, b.demonstrations, strict=True)
                   for x, y in zip(p, q, strict=True))  # fmt: skip


def test_nothing_to_show_can_be_saved_and_damage_is_named(tmp_path):
    path = tmp_path / "examples.npz"
    save_examples(path, Examples([], np.zeros((0, 4)), ()))
    assert load_examples(path).queries == []
    path.write_bytes(b"PK")
    with pytest.raises(UserError, match=r"examples\.npz"):
        load_examples(path)
