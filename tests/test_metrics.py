import numpy as np
import pytest

from arcjepa.metrics import KINDS, Scorer, Standardiser, fit_readout, fit_scorer, pool_nce

RNG = np.random.default_rng(0)
POOL = RNG.normal(size=(600, 16)).astype(np.float32)
OWN = RNG.normal(size=(100, 16)).astype(np.float32)
ZERO = np.zeros(16, np.float32)


def noisy(x, noise, seed=1):
    return x + noise * np.random.default_rng(seed).normal(size=x.shape).astype(np.float32)


def test_a_perfect_prediction_costs_nothing():
    scorer = fit_scorer(OWN, OWN, POOL, ZERO)
    assert pool_nce(scorer, POOL, POOL).max() < 0.01


def test_a_guess_costs_the_logarithm_of_the_pool():
    guess = RNG.normal(size=OWN.shape).astype(np.float32)
    scorer = fit_scorer(guess, OWN, POOL, ZERO)
    value = pool_nce(scorer, RNG.normal(size=POOL.shape).astype(np.float32), POOL).mean()
    assert value == pytest.approx(np.log(600), abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_pool_nce_is_the_softmax_written_out(kind):
    scorer, predictions = Scorer(kind, 0.7, POOL.mean(0), 0.0), noisy(POOL, 0.5)
    p, t = (x.astype(np.float64) for x in (predictions, POOL))
    if kind == "centred_cosine":
        p, t = p - scorer.mean, t - scorer.mean
    if kind == "squared_distance":
        logits = -((p[:, None] - t[None]) ** 2).sum(-1) / 0.7
    else:
        logits = (p / np.linalg.norm(p, axis=1)[:, None]) @ (t / np.linalg.norm(t, axis=1)[:, None]).T / 0.7
    expected = np.log(np.exp(logits).sum(1)) - np.diag(logits)
    assert pool_nce(scorer, predictions, POOL) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_paired_scores_are_the_diagonal(kind):
    scorer = Scorer(kind, 1.0, POOL.mean(0), 0.0)
    assert scorer.paired(POOL[:9], POOL[5:14]) == pytest.approx(np.diag(scorer.scores(POOL[:9], POOL[5:14])), abs=1e-5)


def test_cosine_ignores_scale_and_distance_ignores_a_shift():
    predictions = noisy(POOL, 0.5)
    cosine, distance = (Scorer(kind, 0.1, ZERO, 0.0) for kind in ("cosine", "squared_distance"))
    assert pool_nce(cosine, 7 * predictions, POOL) == pytest.approx(pool_nce(cosine, predictions, POOL), abs=1e-4)
    shifted = pool_nce(distance, predictions + 1, POOL + 1)
    assert shifted == pytest.approx(pool_nce(distance, predictions, POOL), abs=1e-3)


def test_the_kind_that_fits_is_chosen():
    # A common offset hides the direction from the cosine; lengths that carry no meaning hide it from the distance.
    # Targets of equal length make both the same, so the lengths differ.
    mean = np.full(16, 50, np.float32)
    lengths = RNG.uniform(0.05, 20, (100, 1)).astype(np.float32)
    assert fit_scorer(mean + lengths * OWN, mean + OWN, mean + POOL, mean).kind == "centred_cosine"
    line = np.linspace(1, 9, 100, dtype=np.float32)[:, None] * np.ones((1, 16), np.float32)
    pool = np.linspace(1, 9, 577, dtype=np.float32)[:, None] * np.ones((1, 16), np.float32)
    assert fit_scorer(line, line, pool, ZERO).kind == "squared_distance"


def test_the_temperature_is_the_best_one():
    predictions = noisy(OWN, 1.0)
    scorer = fit_scorer(predictions, OWN, POOL, ZERO)

    def nats(temperature):
        logits = np.concatenate([scorer.paired(predictions, OWN)[:, None], scorer.scores(predictions, POOL)], 1)
        logits = logits.astype(np.float64) / temperature
        return (np.log(np.exp(logits - logits.max(1)[:, None]).sum(1)) + logits.max(1) - logits[:, 0]).mean()

    assert nats(scorer.temperature) == pytest.approx(scorer.calibration_nce, abs=1e-3)
    assert all(nats(scorer.temperature * factor) > scorer.calibration_nce for factor in (0.8, 1.25))


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_scale_of_embeddings_does_not_matter(scale):
    predictions = noisy(OWN, 1.0)
    plain = fit_scorer(predictions, OWN, POOL, ZERO)
    scaled = fit_scorer(scale * predictions, scale * OWN, scale * POOL, ZERO)
    assert scaled.calibration_nce == pytest.approx(plain.calibration_nce, abs=1e-3)


def test_collapse_is_chance():
    one = np.ones((100, 16), np.float32)
    pool = np.ones((600, 16), np.float32)
    assert pool_nce(fit_scorer(one, one, pool, ZERO), pool, pool) == pytest.approx(np.log(600))


def test_the_readout_recovers_a_linear_map_whatever_the_scale():
    mixing = RNG.normal(size=(12, 5)) * 10.0 ** np.arange(5)
    x = RNG.normal(size=(400, 12)) * 10.0 ** np.linspace(-3, 3, 12) + 4
    y = ((x - 4) / 10.0 ** np.linspace(-3, 3, 12)) @ mixing
    readout = fit_readout(x[:300], y[:300], (x[300:], y[300:]))
    assert readout.predict(x[300:]) == pytest.approx(readout.target(y[300:]), abs=0.01)


def test_the_penalty_grows_with_noise():
    x = RNG.normal(size=(60, 40))
    y = x[:, :3]
    noise = 5 * RNG.normal(size=y.shape)
    half = slice(0, 40), slice(40, 60)
    clean, dirty = (fit_readout(x[half[0]], t[half[0]], (x[half[1]], t[half[1]])).alpha for t in (y, y + noise))
    assert clean < dirty


def test_standardising_drops_what_does_not_vary():
    x = np.stack([np.arange(10.0), np.full(10, 3.0)], 1)
    z = Standardiser.fit(x)(x + np.array([0, 1]))
    assert z[:, 0].std() == pytest.approx(1)
    assert not z[:, 1].any()
    assert Standardiser.fit(x)(100 * x, clip=6.0).max() == 6
