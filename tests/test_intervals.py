import numpy as np
import pytest

from arcjepa.intervals import bootstrap, difference_interval, mean_interval, scalar_interval

RNG = np.random.default_rng(0)


def test_the_interval_of_one_seed_is_that_of_the_mean_over_tasks():
    values = RNG.normal(3, 1, (1, 400))
    value, low, high = mean_interval(values, np.ones((1, 400)), 2000, 0)
    assert value == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.1)


def test_about_95_of_100_intervals_hold_the_truth():
    held = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(0, 1, (1, 60))
        _, low, high = mean_interval(values, np.ones((1, 60)), 400, seed)
        held += low <= 0 <= high
    assert 180 <= held <= 198


def test_tasks_weigh_by_their_weight():
    value, low, high = mean_interval(np.array([[10.0, 1.0]]), np.array([[10.0, 100.0]]), 500, 0)
    assert value == pytest.approx(0.1)
    assert (low, high) == pytest.approx((0.01, 1.0))


def test_seeds_that_disagree_widen_the_interval_and_tasks_do_not_average_out():
    tasks = RNG.normal(0, 1, 100)
    agree, disagree = np.stack([tasks] * 3), tasks + np.array([[-2.0], [0.0], [2.0]])
    weights = np.ones((3, 100))
    single = np.ptp(mean_interval(tasks[None], weights[:1], 1000, 0)[1:])
    assert np.ptp(mean_interval(agree, weights, 1000, 0)[1:]) == pytest.approx(single, rel=0.15)
    assert np.ptp(mean_interval(disagree, weights, 1000, 0)[1:]) > 3 * single


def test_the_bootstrap_is_a_pure_function():
    totals, weights = RNG.random((3, 50)), np.ones((3, 50))
    assert np.array_equal(bootstrap([(totals, weights)], 250, 4), bootstrap([(totals, weights)], 250, 4))


def test_nothing_measured_is_unknown():
    assert np.isnan(mean_interval(np.zeros((1, 0)), np.zeros((1, 0)), 10, 0)).all()


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
    weights = np.ones((1, 200))
    worse, own = (mean_interval(x, weights, 500, 0) for x in (tasks, better))
    assert own[2] > worse[1]
    value, low, high = difference_interval((tasks, weights), (better, weights), 500, 0)
    assert value == pytest.approx(0.3, abs=0.05)
    assert low > 0
    assert high - low < 0.1


def test_a_difference_may_have_several_seeds_on_one_side():
    tasks, weights = RNG.normal(0, 1, 50), np.ones((3, 50))
    seeds = tasks + np.array([[-1.0], [0.0], [1.0]])
    value, low, high = difference_interval((seeds, weights), (tasks[None], weights[:1]), 500, 0)
    assert value == pytest.approx(0, abs=1e-9)
    assert low < -0.4 < 0.4 < high
