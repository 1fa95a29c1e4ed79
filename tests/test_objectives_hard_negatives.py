"""Hard negatives: the target is told from its near misses and from its context, whatever the objective beside it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from model_cases import NEAR_MISSES, B, D, F, steps, tiny_corpus, tiny_phase, tiny_trainer
from test_objectives import objective, outputs, run

from arcjepa.objectives import hard_negatives
from arcjepa.record import Averages
from arcjepa.trainer import Trainer

pytestmark = pytest.mark.usefixtures("seeded")
ON: dict[str, Any] = {"loss.hard_negatives.enabled": True}
CHANCE = math.log(1 + F + NEAR_MISSES)


@pytest.mark.parametrize("unit", [False, True])
def test_equal_distances_are_chance_and_a_perfect_prediction_is_near_zero(unit: bool) -> None:
    given = outputs()
    here = given.target.detach()
    apart = torch.randn(F + NEAR_MISSES, B, D)
    far = replace(given, context=apart[:F].transpose(0, 1), near_misses=apart[F:], prediction=here)
    assert hard_negatives(far, 0.02, unit).item() < 1e-6
    # Of no temperature at all every candidate is as likely.
    assert hard_negatives(far, 1e9, unit).item() == pytest.approx(CHANCE, rel=1e-4)


def test_nearer_to_a_near_miss_costs_its_distance_over_the_temperature() -> None:
    given, away = outputs(), 100 * torch.ones(B, F, D)
    target = given.target.detach()
    misses = torch.stack([target + 1.0, target - 100.0])
    wrong = replace(given, context=away, near_misses=misses, prediction=target + 1.0)
    assert hard_negatives(wrong, 0.5, False).item() == pytest.approx(math.log(1 + math.exp(1 / 0.5)), rel=1e-5)


def test_a_context_frame_that_is_the_target_is_no_negative() -> None:
    given = outputs()
    target = given.target.detach()
    far = torch.full((B, F - 1, D), 50.0)
    same = replace(given, context=torch.cat([target[:, None], far], 1), near_misses=target[None] + 50.0)
    same = replace(same, prediction=target)
    assert hard_negatives(same, 0.02, False).item() < 1e-6


def test_with_unit_length_only_directions_count() -> None:
    given = outputs()
    longer = replace(given, prediction=3 * given.prediction, near_misses=5 * given.near_misses)
    assert hard_negatives(longer, 0.5, True).item() == pytest.approx(hard_negatives(given, 0.5, True).item(), rel=1e-5)
    assert hard_negatives(longer, 0.5, False).item() != pytest.approx(hard_negatives(given, 0.5, False).item(), rel=0.1)


@pytest.mark.parametrize("name", ["phase1", "phase2"])
def test_it_is_one_term_with_its_weight_and_absent_when_off(name: str) -> None:
    given = outputs(teacher=name == "phase1")
    _, terms = run(objective(name, {**ON, "loss.hard_negatives.weight": 0.7}), given)
    raw, weight = terms["hard_negatives"]
    assert weight == 0.7
    assert raw.item() == pytest.approx(hard_negatives(given, 0.02, name == "phase1").item())
    assert "hard_negatives" not in run(objective(name), given)[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "phase2", "phase3"])
def test_the_model_is_given_the_near_misses_of_its_own_targets(name: str) -> None:
    """Embedded one by one, they are what the batch held; under a teacher too, whose target comes before them."""
    trainer = Trainer(tiny_phase(name, ON), tiny_corpus(), 0, "cpu")
    trainer.jepa.eval()
    batch = trainer.draw(trainer.count)
    made = trainer.forward(trainer.tokens, batch, trainer.count)[0]
    assert made.near_misses.shape == (NEAR_MISSES, B, D)
    pairs = trainer.pairs[0]
    assert torch.equal(batch.near_misses[1], 2 * pairs + batch.target // 2 * NEAR_MISSES + 1)
    batch.target = batch.near_misses[1].clone()
    batch.near_misses = batch.near_misses[:1]
    other = trainer.forward(trainer.tokens, batch, trainer.count)[0]
    torch.testing.assert_close(other.target, made.near_misses[1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(other.near_misses[0], made.near_misses[0], rtol=1e-3, atol=1e-4)


def test_the_relations_of_a_teachers_target_are_not_those_of_its_near_misses() -> None:
    plain, hard = (Trainer(tiny_phase("baseline", change), tiny_corpus(), 0, "cpu") for change in ({}, ON))
    for trainer in (plain, hard):
        trainer.jepa.eval()
    found = [t.forward(t.tokens, t.draw(t.count), t.count)[0].relations for t in (plain, hard)]
    assert torch.equal(found[0].adjacent, found[1].adjacent)
    torch.testing.assert_close(found[0].objects, found[1].objects, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_what_it_weighs_is_learned_for_validation_too() -> None:
    nats = []
    for weight in (0.0, 3.0):
        changes = {**ON, "loss.hard_negatives.weight": weight, "training.epochs": 15}
        trainer = Trainer(tiny_phase("phase2", changes), tiny_corpus(), 0, "cpu")
        steps(trainer, 60)
        averages = Averages()
        trainer.validate(averages)
        nats.append(averages.means()["val_hard_negatives"])
    assert nats[1] < 0.5 * nats[0]


def test_a_corpus_without_near_misses_serves_the_phases_that_need_none() -> None:
    trainer = tiny_trainer("phase2")
    assert len(trainer.tokens) == len(tiny_corpus().training)
    assert trainer.draw(trainer.count).near_misses is None
