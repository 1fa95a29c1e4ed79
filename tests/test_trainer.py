"""A run is a function of its seed, follows its schedule, learns, and validates without a trace."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from model_cases import budget, run_in, steps, tiny_corpus, tiny_phase, tiny_trainer, trace, trained, weights

from arcjepa.dataset import admitted_share
from arcjepa.errors import UserError
from arcjepa.inputs import ROOM_MARGIN, ROOM_STEP, blocks, view_kinds
from arcjepa.record import Averages
from arcjepa.runs import train
from arcjepa.schedule import learning_rate
from arcjepa.shares import selects
from arcjepa.trainer import Trainer

TIMES = ["seconds", "sequences_per_second"]


def state(trainer: Trainer) -> tuple[torch.Tensor, ...]:
    """All that a step could change."""
    moments = [v.double().flatten() for slot in trainer.optimizer.state.values() for v in slot.values()]
    return (
        weights(trainer.jepa),
        weights(trainer.objective) if trainer.objective.state_dict() else torch.zeros(0),
        torch.cat(moments) if moments else torch.zeros(0),
        trainer.codes_used,
        torch.get_rng_state(),
    )


def same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(a.equal(b) for a, b in zip(one, other, strict=True))


# --- reproducible


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "phase3"])
def test_the_same_seed_gives_the_same_run_and_another_another(name: str, tmp_path: Path) -> None:
    phase = budget(tiny_phase(name), epochs=2, sequences=64)
    (epochs, rows, _), (epochs_2, rows_2, _) = trained(phase, tmp_path / "a"), trained(phase, tmp_path / "b")
    pd.testing.assert_frame_equal(epochs.drop(columns=TIMES), epochs_2.drop(columns=TIMES), check_exact=True)
    pd.testing.assert_frame_equal(rows, rows_2, check_exact=True)
    written = [(tmp_path / folder / "encoder.safetensors").read_bytes() for folder in "ab"]
    assert written[0] == written[1]
    other, _, _ = trained(phase, tmp_path / "c", seed=1)
    assert (other["train_total"] != epochs["train_total"]).all()


def test_the_seed_draws_the_weights_as_well_as_the_data() -> None:
    made = [Trainer(tiny_phase("phase2"), tiny_corpus(), seed, "cpu").jepa for seed in (0, 0, 1)]
    assert weights(made[0]).equal(weights(made[1]))
    assert not weights(made[0]).equal(weights(made[2]))


def test_every_phase_starts_from_the_same_encoder() -> None:
    """So that phases differ by what they do, not by the draw."""
    made = [tiny_trainer(name).jepa.encoder.tokens for name in ("baseline", "phase1", "phase2")]
    assert weights(made[0]).equal(weights(made[1]))
    assert weights(made[0]).equal(weights(made[2]))


# --- schedule and optimiser


def test_steps_follow_the_schedule() -> None:
    trainer = tiny_trainer("phase2")
    for step in range(4):
        steps(trainer, 1)
        rates = [float(group["lr"]) for group in trainer.optimizer.param_groups]
        assert rates == pytest.approx(2 * [learning_rate(step, trainer.total_steps, 2e-3)])


def test_the_gradient_is_clipped_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, seen = tiny_trainer("phase2", {"optimizer.clip": 0.01}), []
    step = trainer.optimizer.step
    monkeypatch.setattr(
        trainer.optimizer,
        "step",
        lambda: (seen.append(torch.cat([p.grad.flatten() for p in trainer.parameters]).norm().item()), step()),
    )
    averages = Averages()
    trainer.train_step(averages)
    assert seen == pytest.approx([0.01], rel=1e-3)
    assert averages.columns()["grad_norm"].item() > 0.02  # the record holds the norm before


@pytest.mark.parametrize("name", ["phase3"])
def test_gumbel_s_temperature_is_annealed_to_a_tenth_over_the_run(name: str) -> None:
    trainer = Trainer(budget(tiny_phase(name), epochs=1, sequences=128), tiny_corpus(), 0, "cpu")
    seen = []
    for _ in range(trainer.total_steps):
        steps(trainer, 1)
        seen.append(float(trainer.jepa.encoder.quantizer.temperature))
    assert seen == sorted(seen, reverse=True)
    assert (seen[0], seen[-1]) == pytest.approx((1.0, 0.1))


# --- device and numbers that are not finite


def test_a_gpu_that_is_demanded_and_missing_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"device: is cuda.*allowed are auto, cpu"):
        train(tiny_phase("phase2"), tiny_corpus(), run_in(tmp_path, device="cuda"), print)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["baseline", "phase2"])
def test_a_loss_that_is_not_finite_stops_before_the_optimiser_steps(name: str) -> None:
    trainer = tiny_trainer(name)
    steps(trainer, 1)
    with torch.no_grad():
        next(iter(trainer.jepa.predictor.parameters()))[0, 0] = float("nan")
    before = [p.detach().clone() for p in trainer.parameters]
    with pytest.raises(UserError, match=r"step 1: loss nan.*not finite"):
        steps(trainer, 3)
    assert all(
        torch.equal(p.nan_to_num(7.0), b.nan_to_num(7.0)) for p, b in zip(trainer.parameters, before, strict=True)
    )


# --- validation


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "phase2", "phase3"])
def test_validation_changes_nothing(name: str) -> None:
    trainer = tiny_trainer(name, {"model.dropout": 0.3})
    steps(trainer, 2)
    before = state(trainer)
    first, second = Averages(), Averages()
    trainer.validate(first)
    assert same(before, state(trainer))
    trainer.validate(second)
    assert first.means() == second.means()
    assert trainer.jepa.training
    assert trainer.objective.training
    steps(trainer, 1)
    assert not same(before, state(trainer))


def test_validation_covers_whole_batches_of_tasks_that_are_never_reported_on() -> None:
    trainer, tokens = tiny_trainer("phase2"), tiny_corpus().validation
    chosen = [selects(task, "validation") for task in tokens.task_ids]
    assert 0 < sum(chosen) < len(chosen)
    pairs = int(np.array(chosen)[tokens.pair_task].sum())
    size = min(32, pairs)
    assert len(trainer.validation) == pairs // size
    assert all(len(batch.target) == size and not batch.d8.any() for batch in trainer.validation)
    targets = torch.cat([batch.target for batch in trainer.validation])
    assert len(targets.unique()) == len(targets)
    assert all(chosen[task] for task in tokens.pair_task[targets // 2])


def test_negatives_in_validation_are_of_the_batch_alone() -> None:
    trainer = tiny_trainer("phase1")
    averages, after = Averages(), Averages()
    trainer.validate(averages)
    trainer.objective.contrast.push(torch.randn(64, 16))
    trainer.validate(after)
    assert averages.means()["val_prediction"] == after.means()["val_prediction"]


# --- it learns


@pytest.mark.slow
@pytest.mark.parametrize("name", ["phase2", "phase3"])
def test_a_tiny_model_learns_to_predict(name: str, tmp_path: Path) -> None:
    epochs, rows, _ = trained(budget(tiny_phase(name), epochs=8, sequences=256), tmp_path)
    error = epochs["val_prediction_error"]
    assert error.iloc[-1] < 0.65
    assert error.iloc[-1] < 0.95 * error.iloc[0]
    assert rows["effective_rank_target"].iloc[-1] > 3  # and has not collapsed
    assert rows["variance_target"].iloc[-1] > rows["variance_target"].iloc[0]


@pytest.mark.slow
def test_a_tiny_model_learns_to_contrast(tmp_path: Path) -> None:
    epochs, _, _ = trained(budget(tiny_phase("phase1"), epochs=5, sequences=128), tmp_path)
    assert epochs["val_prediction"].iloc[-1] < np.log(32) - 0.8


@pytest.mark.slow
def test_without_sigreg_the_embeddings_collapse() -> None:
    """What the regulariser is there for: variance with and without it."""
    spreads = {}
    for strength in (0.0, 1.0):
        phase = tiny_phase("phase2", {"training.epochs": 20})
        loss = phase.loss.model_copy(update={"lambda_sigreg": strength})
        trainer = Trainer(phase.model_copy(update={"loss": loss}), tiny_corpus(), 0, "cpu")
        for _ in range(80):
            outputs = trainer.train_step(Averages()).outputs
        spreads[strength] = float(outputs.target.detach().var(0).mean())
    assert spreads[1.0] > 5 * spreads[0.0]


@pytest.mark.slow
def test_traces_of_the_tests_are_reproducible() -> None:
    one, other = trace(tiny_phase("baseline")), trace(tiny_phase("baseline"))
    assert one[0] == other[0]
    assert one[1].equal(other[1])


def test_an_infinite_loss_stops_the_run_though_its_gradient_is_finite() -> None:
    trainer, averages = tiny_trainer("phase2"), Averages()
    steps(trainer, 1)
    plain, before = trainer._loss, weights(trainer.jepa.predictor)
    trainer._loss = lambda: (lambda outputs, total, terms: (outputs, total + torch.inf, terms))(*plain())
    trainer.train_step(averages)
    with pytest.raises(UserError, match=r"step 1: loss inf, gradient norm \d.*not finite"):
        trainer.check(averages)
    assert weights(trainer.jepa.predictor).equal(before)


# --- a GPU's fixed shapes, and its queue in validation


@pytest.mark.parametrize("name", ["baseline", "phase2", "phase3"])
def test_the_room_holds_the_fullest_batch_of_the_run_and_little_more(name: str) -> None:
    trainer = tiny_trainer(name)
    room, most, all_of = trainer._training_room(), [0, 0], []
    for step in range(trainer.total_steps):
        epoch = 1 + step // trainer.steps_per_epoch
        admitted = admitted_share(trainer.phase.sequence.curriculum, epoch)
        batch = trainer.data.draw(trainer.phase.sequence, 0, step, 32, admitted)
        own, apart = blocks(trainer.phase.loss, trainer.tokens, batch, view_kinds(batch, (0, step)), (0, step))
        all_of.append([len(own.slots), 0 if apart is None else len(apart.slots)])
        most = [max(pair) for pair in zip(most, all_of[-1], strict=True)]
    spread = ROOM_MARGIN * np.std(all_of, axis=0)
    assert all(0 <= held - needed < ROOM_STEP + s for held, needed, s in zip(room, most, spread, strict=True))
    assert (most[1] > 0) == (name == "baseline")


def test_most_seeds_have_the_same_room_so_that_one_is_compiled_for_all() -> None:
    rooms = [Trainer(tiny_phase("phase2"), tiny_corpus(), seed, "cpu")._training_room() for seed in range(8)]
    assert Counter(rooms).most_common(1)[0][1] > 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "phase2"])
def test_training_with_room_is_training_without(name: str) -> None:
    losses = []
    for roomy in (False, True):
        trainer = tiny_trainer(name)
        if roomy:
            trainer.room = trainer._training_room()
        losses.append(steps(trainer, 2))  # later ones differ where rounding decides which of two objects is the largest
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
def test_validation_measures_infonce_with_the_queue_too() -> None:
    trainer, values = tiny_trainer("baseline"), []
    for taken in (0, 6):
        if taken:
            steps(trainer, taken)
        averages = Averages()
        trainer.validate(averages)
        values.append(averages.means())
    assert values[0]["val_prediction_queue"] == pytest.approx(values[0]["val_prediction"], rel=1e-5)  # an empty queue
    assert values[1]["val_prediction_queue"] > values[1]["val_prediction"] + 0.1  # 64 negatives more
    averages = Averages()
    tiny_trainer("phase2").validate(averages)
    assert "val_prediction_queue" not in averages.means()
