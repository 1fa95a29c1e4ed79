import numpy as np
import pytest

from arcjepa import geometry as g

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(4000, 24))
TASKS = np.arange(4000) // 4


def covariance(x):
    return np.cov(x.T, bias=True)


def test_ranks_count_the_dimensions_in_use():
    flat = NORMAL * (np.arange(24) < 5)
    assert g.effective_rank(covariance(flat)) == pytest.approx(5, abs=0.05)
    assert g.rankme(flat.T @ flat) == pytest.approx(5, abs=0.05)
    assert g.effective_rank(np.zeros((4, 4))) == 0


def test_the_two_ranks_are_different_definitions():
    x = NORMAL * np.linspace(0.05, 1, 24)
    values = np.linalg.svd(x, compute_uv=False)
    shares = values / values.sum()
    assert g.rankme(x.T @ x) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert g.effective_rank(covariance(x)) < g.rankme(x.T @ x) - 1


def test_ranks_and_isotropy_ignore_rotation_and_scale():
    rotation = np.linalg.qr(RNG.normal(size=(24, 24)))[0]
    x = NORMAL * np.linspace(0.1, 1, 24)
    for statistic in (g.effective_rank, g.isotropy):
        assert statistic(covariance(3 * x @ rotation)) == pytest.approx(statistic(covariance(x)))
    assert g.isotropy(covariance(x)) == pytest.approx(0.01, rel=0.2)
    assert g.variance(covariance(2 * NORMAL)) == pytest.approx(4, rel=0.05)


@pytest.mark.slow
def test_epps_pulley_has_the_published_values():
    healthy = [g.epps_pulley(x) for x in RNG.normal(size=(30, 256, 24))]
    assert np.mean(healthy) == pytest.approx(1.05, abs=0.06)
    assert g.epps_pulley(np.zeros((2048, 24))) == pytest.approx(0.402 * 2048, rel=0.002)
    assert g.epps_pulley(NORMAL[:2048] + 0.5) > 10
    assert g.epps_pulley(NORMAL[:2048][::-1]) == pytest.approx(g.epps_pulley(NORMAL[:2048]))


def test_epps_pulley_at_fixed_size_does_not_grow_with_the_sample():
    for count in (400, 4000):
        value, error = g.epps_pulley_at_fixed_size(np.zeros((count, 8)))
        assert value == pytest.approx(0.402 * g.EPPS_PULLEY_SAMPLES, rel=0.002)
        assert error == pytest.approx(0, abs=1e-9)
    assert np.isnan(g.epps_pulley_at_fixed_size(NORMAL[:100])).all()


def test_lidar_sees_the_directions_that_tell_tasks_apart():
    centres = np.zeros((1000, 24))
    centres[:, :3] = 5 * RNG.normal(size=(1000, 3))
    assert g.lidar(centres[TASKS] + 0.1 * NORMAL, TASKS) == pytest.approx(3, abs=0.2)
    assert g.lidar(100 * (centres[TASKS] + 0.1 * NORMAL), TASKS) == pytest.approx(3, abs=0.2)
    assert g.lidar(NORMAL, np.arange(4000)) == 0


def test_codebook_use():
    assert g.code_usage(np.array([5, 0, 1, 0])) == 0.5
    assert g.code_perplexity(np.array([7, 7, 7, 0])) == pytest.approx(3)
    assert g.code_perplexity(np.zeros(4)) == 0


def test_the_jackknife_gives_the_error_of_a_mean():
    values = RNG.normal(size=20)
    without = (values.sum() - values) / 19
    assert g.jackknife_error(without) == pytest.approx(values.std(ddof=1) / np.sqrt(20))


def test_describe_agrees_with_the_plain_statistics_and_has_errors():
    x = NORMAL * np.linspace(0.1, 1, 24) + 2
    found = g.describe(x, TASKS)
    assert found["effective_rank"][0] == pytest.approx(g.effective_rank(covariance(x)))
    assert found["rankme"][0] == pytest.approx(g.rankme(x.T @ x))
    assert found["lidar"][0] == pytest.approx(g.lidar(x, TASKS))
    assert all(0 < error < value for value, error in found.values())
    wider = g.describe(x[:400], TASKS[:400])
    assert wider["variance"][1] > 2 * found["variance"][1]
