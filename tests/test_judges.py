"""Which validation losses are compared with those of the analysed run, and which have another chance."""

import math

import pytest
from evidence_cases import context, printed, trained

from arcjepa.evidence import Trained
from arcjepa.judges import Verdict, validation_loss
from arcjepa.targets import goals

GOAL = next(goal for goal in goals(printed()) if (goal.phase, goal.name) == ("phase1", "Best Val Loss"))
FILLING = {"val_total": 4.2, "val_prediction": 4.0, "queue_fill": [0.1, 0.5, 1.0]}
"""In-batch negatives give 4 nats; the queue is full from epoch 3 on."""


def judged(run: Trained) -> Verdict:
    return validation_loss(run, GOAL, context(run))


def test_a_loss_among_a_batch_has_another_chance() -> None:
    found = judged(trained("phase1", **FILLING))
    assert found.verdict == "not comparable"
    assert f"chance is {math.log(512):.2f} nats here, among 512 targets" in found.why


@pytest.mark.parametrize(("level", "verdict"), [(7.06, "met"), (7.08, "missed")])
def test_a_loss_against_a_full_queue_is_compared(level: float, verdict: str) -> None:
    """The limit is 8.1 less the relational part of the analysed run, 7.269; 0.2 are the other terms."""
    found = judged(trained("phase1", **FILLING, val_prediction_queue=[3.0, 3.0, level, 7.5]))
    assert (found.verdict, found.reached) == (verdict, f"{level + 0.2:.3f}")


def test_a_loss_against_a_queue_that_never_filled_is_not_compared() -> None:
    found = judged(trained("phase1", length=2, **FILLING, val_prediction_queue=3.0))
    assert found.verdict == "not comparable"
    assert f"chance is {math.log(512 + 4096):.2f} nats here, among 4608 targets" in found.why
    one_of_two = judged(trained("phase1", length=[80, 2], **FILLING, val_prediction_queue=3.0))
    assert one_of_two.verdict == "not comparable"


def test_a_smaller_queue_has_another_chance() -> None:
    run = trained("phase1", {"loss.infonce.queue": 1024}, **FILLING, val_prediction_queue=3.0)
    assert judged(run).verdict == "not comparable"
