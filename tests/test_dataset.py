"""Which frames a sequence shows: context and target by framing, tasks by source and difficulty, all by (seed, step)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_cases import tiny_corpus, tiny_phase

from arcjepa.dataset import TrainingSet, admitted_share, arrange, context_frames, fixed_sequences
from arcjepa.frames import Frames
from arcjepa.settings import Curriculum, Sequence
from arcjepa.tasks import Pair, Task
from arcjepa.tokens import Tokens, tokenise


def settings(window: int = 3, framing: str = "demonstrations", share: float = 0.5) -> Sequence:
    changes = {"sequence.window": window, "sequence.framing": framing, "sequence.synthetic_share": share}
    return tiny_phase("phase2", changes).sequence


def uneven_tokens() -> Tokens:
    """Tasks of 1, 2, 3 and 5 pairs, in turn, with 1, 2, ... objects a frame."""
    rng = np.random.default_rng(0)
    tasks = [
        Task(f"t{i}", tuple(Pair(_dots(i + 1, rng), _dots(i + 1, rng)) for _ in range([1, 2, 3, 5][i % 4])))
        for i in range(20)
    ]
    return tokenise(Frames.from_tasks(tasks), tiny_settings())


def tiny_settings() -> object:
    from model_cases import tiny_params

    return tiny_params().tokens


def _dots(count: int, rng: np.random.Generator) -> np.ndarray:
    grid = np.zeros((20, 20), np.uint8)
    places = rng.choice(100, count, replace=False)
    grid[2 * (places // 10), 2 * (places % 10)] = 3
    return grid


orders = st.integers(2, 8).flatmap(
    lambda n: st.tuples(st.permutations(list(range(n))), st.integers(0, 3), st.sampled_from([3, 5, 7]))
)


@pytest.mark.slow
@given(orders)
def test_demonstrations_come_first_then_the_query_and_its_output_is_the_target(
    case: tuple[list[int], int, int],
) -> None:
    order, padding, window = case
    rows = torch.tensor([order + [0] * padding])
    context, target = arrange(rows, torch.tensor([len(order)]), settings(window))
    shown, query = context[0, :-1].tolist(), order[0]
    assert context.shape == (1, window)
    assert context[0, -1] == 2 * query
    assert target.tolist() == [2 * query + 1]
    assert shown[1::2] == [frame + 1 for frame in shown[::2]]  # each input is followed by its own output
    assert 2 * query not in shown
    assert 2 * query + 1 not in shown
    demonstrations = [frame // 2 for frame in shown[::2]]
    others = order[1:]
    assert demonstrations == [others[i % len(others)] for i in range((window - 1) // 2)]  # cyclic if too few


@pytest.mark.parametrize("window", [3, 5, 7])
def test_the_other_framings_show_no_demonstration(window: int) -> None:
    order, counts = torch.tensor([[2, 0, 1], [1, 0, 9]]), torch.tensor([3, 2])
    context, target = arrange(order, counts, settings(window, "query"))
    assert context.tolist() == [[4], [2]]
    repeated, same = arrange(order, counts, settings(window, "repeat"))
    assert repeated.tolist() == [[4] * window, [2] * window]
    assert target.tolist() == same.tolist() == [5, 3]


@pytest.mark.parametrize(("framing", "frames"), [("demonstrations", 5), ("query", 1), ("repeat", 5)])
def test_the_predictor_reads_as_many_frames_as_are_arranged(framing: str, frames: int) -> None:
    chosen = settings(5, framing)
    context, _ = arrange(torch.tensor([[0, 1, 2]]), torch.tensor([3]), chosen)
    assert context_frames(chosen) == context.shape[1] == frames


@pytest.mark.parametrize("framing", ["demonstrations", "query", "repeat"])
@pytest.mark.parametrize("window", [3, 5, 7])
def test_a_draw_stays_within_its_task_and_never_shows_the_target(window: int, framing: str) -> None:
    tokens = uneven_tokens()
    batch = TrainingSet.build(tokens, 10, "cpu").draw(settings(window, framing), 0, 5, 500)
    task = tokens.pair_task[batch.frames().T.numpy() // 2]
    assert (task == task[:, :1]).all()
    assert np.bincount(tokens.pair_task)[task[:, 0]].min() >= 2
    assert not (batch.context == batch.target[:, None]).any()
    assert (batch.target % 2 == 1).all()
    assert batch.context[:, -1].equal(batch.target - 1)
    assert batch.frames().shape == (batch.context.shape[1] + 1, 500)


def test_demonstrations_differ_where_the_task_has_enough() -> None:
    data = TrainingSet.build(tiny_corpus().training, 20, "cpu")
    batch = data.draw(settings(7), 0, 0, 300)
    assert int(data.pairs.min()) >= 4
    assert all(len(set(row.tolist())) == 7 for row in batch.context)


def test_pairs_of_a_task_are_all_drawn_as_query_and_in_every_order() -> None:
    tokens = uneven_tokens()
    batch = TrainingSet.build(tokens, 10, "cpu").draw(settings(), 0, 0, 3000)
    drawn = set(map(tuple, batch.frames().T.tolist()))
    three = np.flatnonzero(np.bincount(tokens.pair_task) == 3)[0]
    first = 2 * np.flatnonzero(tokens.pair_task == three)[0]
    wanted = {
        (first + 2 * a, first + 2 * a + 1, first + 2 * b, first + 2 * b + 1)
        for a in range(3)
        for b in range(3)
        if a != b
    }
    assert wanted <= drawn


def test_one_view_is_shared_by_all_frames_of_a_sequence() -> None:
    batch = TrainingSet.build(tiny_corpus().training, 20, "cpu").draw(settings(5), 0, 3, 64)
    view = batch.view()
    d8, colours = view.d8.unflatten(0, (6, 64)), view.colours.unflatten(0, (6, 64))
    assert (d8 == batch.d8).all()
    assert (colours == batch.colours).all()
    assert view.shift is not None
    assert not view.shift.any()
    assert len(batch.d8.unique()) == 8  # and differs between sequences
    assert len(batch.colours.unique(dim=0)) > 60


def test_a_draw_is_a_function_of_seed_and_step() -> None:
    data = TrainingSet.build(tiny_corpus().training, 20, "cpu")
    draws = {key: data.draw(settings(), *key, 64) for key in [(0, 0), (0, 1), (1, 0)]}
    again = data.draw(settings(), 0, 0, 64)
    for name in ("context", "target", "d8", "colours"):
        assert getattr(again, name).equal(getattr(draws[0, 0], name))
        for key in [(0, 1), (1, 0)]:
            assert not getattr(again, name).equal(getattr(draws[key], name))
    for key in [(0, 1), (1, 0)]:  # task and pair each: all tasks have four pairs
        assert not (again.target // 8).equal(draws[key].target // 8)
        assert not (again.target // 2 % 4).equal(draws[key].target // 2 % 4)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_synthetic_tasks_is_as_asked(share: float) -> None:
    tokens = tiny_corpus().training
    batch = TrainingSet.build(tokens, 10, "cpu").draw(settings(share=share), 0, 0, 4000)
    synthetic = tokens.pair_task[batch.target.numpy() // 2] >= 10
    assert synthetic.mean() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("real", [0, 40])
def test_a_source_that_is_empty_is_not_asked(real: int) -> None:
    tokens = tiny_corpus().training
    batch = TrainingSet.build(tokens, real, "cpu").draw(settings(share=0.5), 0, 0, 2000)
    assert len(np.unique(tokens.pair_task[batch.target.numpy() // 2])) == 40


def test_tasks_of_a_source_are_drawn_evenly() -> None:
    tokens = tiny_corpus().training
    batch = TrainingSet.build(tokens, 20, "cpu").draw(settings(share=0.5), 0, 0, 8000)
    counts = np.bincount(tokens.pair_task[batch.target.numpy() // 2], minlength=40)
    assert counts.min() > 140
    assert counts.max() < 260


def difficulty(tokens: Tokens) -> np.ndarray:
    """Mean components per frame of every task, the plain way."""
    frames = [np.flatnonzero(np.repeat(tokens.pair_task, 2) == task) for task in range(len(tokens.task_ids))]
    return np.array([tokens.n_components[rows].mean() for rows in frames])


@pytest.mark.parametrize("admitted", [1 / 3, 2 / 3, 1.0])
def test_the_curriculum_admits_the_easiest_of_each_source(admitted: float) -> None:
    tokens = tiny_corpus().training
    batch = TrainingSet.build(tokens, 15, "cpu").draw(settings(share=0.5), 0, 0, 4000, admitted)
    drawn = np.unique(tokens.pair_task[batch.target.numpy() // 2])
    hard = difficulty(tokens)
    for source in (np.arange(15), np.arange(15, 40)):
        count = round(admitted * len(source))
        inside = np.intersect1d(drawn, source)
        assert len(inside) == count
        left_out = np.setdiff1d(source, inside)
        assert hard[inside].max() <= hard[left_out].min(initial=np.inf)


def test_the_curriculum_opens_at_its_epochs() -> None:
    curriculum = Curriculum(enabled=True, epochs=[20, 50])
    shares = [admitted_share(curriculum, epoch) for epoch in (1, 19, 20, 49, 50, 80)]
    assert shares == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3, 1, 1])
    assert admitted_share(Curriculum(enabled=False, epochs=[20, 50]), 1) == 1


def test_tasks_of_one_pair_are_left_out() -> None:
    tokens = uneven_tokens()
    data = TrainingSet.build(tokens, 10, "cpu")
    assert len(data.pairs) == 15
    assert data.real == 7
    assert data.pairs.min() == 2


# --- fixed sequences


def test_every_pair_of_a_task_with_two_is_a_target_once() -> None:
    tokens = uneven_tokens()
    fixed = fixed_sequences(tokens, settings(5))
    several = np.flatnonzero(np.bincount(tokens.pair_task)[tokens.pair_task] >= 2)
    assert fixed.target.tolist() == (2 * several + 1).tolist()
    assert fixed.task.tolist() == tokens.pair_task[several].tolist()
    assert (tokens.pair_task[fixed.context // 2] == fixed.task[:, None]).all()
    assert (fixed.context[:, -1] == fixed.target - 1).all()
    assert not (fixed.context == fixed.target[:, None]).any()
    assert not (fixed.context[:, :-1] == fixed.target[:, None] - 1).any()


def test_fixed_sequences_are_a_function_of_their_arguments() -> None:
    tokens = tiny_corpus().training
    one, same, other = (fixed_sequences(tokens, settings(), None, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.context, same.context)
    assert not np.array_equal(one.context, other.context)
    assert np.array_equal(one.target, other.target)


def test_a_subset_is_of_the_size_asked_and_differs_by_seed() -> None:
    tokens = tiny_corpus().training
    every = set(fixed_sequences(tokens, settings()).target.tolist())
    parts = [fixed_sequences(tokens, settings(), 30, seed).target for seed in (0, 1)]
    assert all(len(set(part.tolist())) == 30 and set(part.tolist()) <= every for part in parts)
    assert not np.array_equal(*parts)
    assert len(fixed_sequences(tokens, settings(), 10**6).target) == len(every)


def test_no_task_with_two_pairs_gives_no_sequence() -> None:
    lonely = replace(uneven_tokens(), task_ids=(), rules=(), pair_task=np.zeros(0, np.int32))
    assert fixed_sequences(lonely, settings()).target.shape == (0,)
