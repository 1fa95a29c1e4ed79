"""The learning rate over the steps, and what decays."""

import numpy as np
import pytest
from model_cases import tiny_corpus, tiny_phase

from arcjepa.schedule import learning_rate, make_optimizer
from arcjepa.trainer import Trainer


def test_the_learning_rate_warms_up_then_falls_to_a_thousandth() -> None:
    total, peak = 1000, 2e-3
    rates = np.array([learning_rate(step, total, peak) for step in range(total + 1)])
    assert rates.max() == pytest.approx(peak)
    assert rates.argmax() in (49, 50)  # 5 % of the steps
    assert (np.diff(rates[:50]) > 0).all()
    assert (np.diff(rates[50:]) < 0).all()
    assert rates[0] == pytest.approx(peak / 50)
    assert np.allclose(np.diff(rates[:50]), peak / 50)
    assert rates[525] == pytest.approx(peak * (1e-3 + 0.999 / 2), rel=1e-6)  # half way down the cosine
    assert rates[-1] == pytest.approx(peak / 1000)


@pytest.mark.parametrize("total", [1, 2, 7])
def test_the_learning_rate_of_a_short_run_is_positive(total: int) -> None:
    rates = [learning_rate(step, total, 1.0) for step in range(total)]
    assert rates[0] == 1.0
    assert all(0 < rate <= 1 for rate in rates)


def test_matrices_decay_and_vectors_do_not() -> None:
    trainer = Trainer(tiny_phase("phase1", {"optimizer.weight_decay": 0.3}), tiny_corpus(), 0, "cpu")
    decayed, kept = make_optimizer([trainer.jepa, trainer.objective], trainer.phase, trainer.rate).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert any(p is trainer.jepa.encoder.tokens.bias.weight for p in kept["params"])
    assert all(p.ndim < 2 for p in kept["params"] if p is not trainer.jepa.encoder.tokens.bias.weight)
    learned = [p for m in (trainer.jepa, trainer.objective) for p in m.parameters() if p.requires_grad]
    assert len(decayed["params"]) + len(kept["params"]) == len(learned)
    assert any(p is trainer.objective.contrast.log_temperature for p in kept["params"])
