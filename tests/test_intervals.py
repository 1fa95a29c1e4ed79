import numpy as np
import pytest

from arcjepa.intervals import Sums, bootstrap, difference_interval, mean_interval, over_seeds, scalar_interval

RNG = np.random.default_rng(0)


def sums(totals, weights=None, seeds=None):
    totals = np.atleast_2d(totals)
    names = tuple(f"seed{i}" for i in range(len(totals))) if seeds is None else seeds
    return Sums(totals, np.ones_like(totals) if weights is None else np.atleast_2d(weights), names)


def test_the_interval_of_one_seed_is_that_of_the_mean_over_tasks():
    values = RNG.normal(3, 1, (1, 400))
    value, low, high = mean_interval(sums(values), 2000, 0)
    assert value == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.1)


def test_about_95_of_100_intervals_hold_the_truth():
    held = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(0, 1, (1, 60))
        _, low, high = mean_interval(sums(values), 400, seed)
        held += low <= 0 <= high
    assert 180 <= held <= 198


def test_tasks_weigh_by_their_weight():
    value, low, high = mean_interval(sums([10.0, 1.0], [10.0, 100.0]), 500, 0)
    assert value == pytest.approx(0.1)
    assert (low, high) == pytest.approx((0.01, 1.0))


def test_seeds_that_disagree_widen_the_interval_and_tasks_do_not_average_out():
    tasks = RNG.normal(0, 1, 100)
    agree, disagree = np.stack([tasks] * 3), tasks + np.array([[-2.0], [0.0], [2.0]])
    single = np.ptp(mean_interval(sums(tasks), 1000, 0)[1:])
    assert np.ptp(mean_interval(sums(agree), 1000, 0)[1:]) == pytest.approx(single, rel=0.15)
    assert np.ptp(mean_interval(sums(disagree), 1000, 0)[1:]) > 3 * single


def test_the_bootstrap_is_a_pure_function():
    sample = sums(RNG.random((3, 50)))
    assert np.array_equal(bootstrap([sample], 250, 4), bootstrap([sample], 250, 4))


def test_nothing_measured_is_unknown():
    assert np.isnan(mean_interval(sums(np.zeros((1, 0))), 10, 0)).all()


def test_errors_over_shared_tasks_do_not_shrink_with_seeds():
    one = scalar_interval(np.array([5.0]), np.array([0.1]))
    three = scalar_interval(np.array([5.0, 5.0, 5.0]), np.full(3, 0.1))
    apart = scalar_interval(np.array([4.0, 5.0, 6.0]), np.full(3, 0.1))
    assert one == pytest.approx(three)
    assert one == pytest.approx((5, 5 - 0.196, 5 + 0.196), abs=1e-3)
    assert apart[2] - apart[1] > 5 * (three[2] - three[1])


def test_a_difference_is_paired_by_task():
    """Tasks differ far more than encoders do: marginal intervals overlap, that of the difference leaves zero out."""
    tasks = RNG.normal(3, 2, (1, 200))
    better = tasks - 0.3 + RNG.normal(0, 0.2, (1, 200))
    worse, own = (mean_interval(sums(x), 500, 0) for x in (tasks, better))
    assert own[2] > worse[1]
    value, low, high = difference_interval(sums(tasks), sums(better), 500, 0)
    assert value == pytest.approx(0.3, abs=0.05)
    assert low > 0
    assert high - low < 0.1


def test_a_difference_is_paired_by_seed():
    """Seeds lie a nat apart, and on each the other encoder is better by 0.1 in every task: there is no doubt of it."""
    tasks = RNG.normal(3, 2, (1, 200)) + np.array([[-1.0], [0.0], [1.0]])
    assert difference_interval(sums(tasks - 0.1), sums(tasks), 500, 0) == pytest.approx((-0.1, -0.1, -0.1))


def test_seeds_of_other_names_are_drawn_apart():
    tasks = RNG.normal(3, 2, (1, 200)) + np.array([[-1.0], [0.0], [1.0]])
    others = sums(tasks, seeds=("seed0", "seed1", "seed7"))
    _, low, high = difference_interval(sums(tasks - 0.1), others, 500, 0)
    assert low < -1 < 1 < high


def test_seeds_out_of_order_are_refused():
    with pytest.raises(AssertionError, match="in order"):
        bootstrap([sums(np.zeros((2, 3)), seeds=("seed1", "seed0"))], 10, 0)


def test_a_difference_may_have_several_seeds_on_one_side():
    tasks = RNG.normal(0, 1, 50)
    seeds = tasks + np.array([[-1.0], [0.0], [1.0]])
    value, low, high = difference_interval(sums(seeds), sums(tasks), 500, 0)
    assert value == pytest.approx(0, abs=1e-9)
    assert low < -0.4 < 0.4 < high


def test_a_single_seed_has_no_interval():
    value, low, high = over_seeds([1.0, 2.0, 3.0])
    assert value == 2
    assert low < 1 < 3 < high
    assert over_seeds([1.0])[0] == 1
    assert np.isnan(over_seeds([1.0])[1:]).all()
    assert np.isnan(over_seeds([])).all()
