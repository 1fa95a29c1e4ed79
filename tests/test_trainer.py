"""A run is a function of its seed, learns, stops when it should, and writes what the record promises."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from model_cases import steps, tiny_corpus, tiny_phase, trace, weights

from arcjepa.config import hyperparameters
from arcjepa.embeddings import load_encoder
from arcjepa.errors import UserError
from arcjepa.record import EPOCH_COLUMNS, STEP_COLUMNS, TERMS, Averages
from arcjepa.schedule import learning_rate
from arcjepa.settings import Phase
from arcjepa.trainer import (
    COLOUR,
    MAX_SHIFT,
    SYMMETRY,
    TRANSLATION,
    Trainer,
    resolve_device,
    train,
)

TIMES = ["seconds", "sequences_per_second"]
OWN_TERMS = {
    "baseline": set(TERMS),
    "phase1": {"prediction", "sigreg", "invariance", "commitment"},
    "phase2": {"prediction", "sigreg", "commitment"},
    "phase3": {"prediction", "sigreg"},
}


def budget(phase: Phase, **changes: int) -> Phase:
    return phase.model_copy(update={"training": phase.training.model_copy(update=changes)})


def run(phase: Phase, folder: Path, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """epochs.csv, steps.csv and run.json of a run."""
    folder.mkdir(exist_ok=True)
    train(phase, tiny_corpus(), seed, "cpu", folder, lambda line: None)
    tables = [pd.read_csv(folder / name) for name in ("epochs.csv", "steps.csv")]
    return tables[0], tables[1], json.loads((folder / "run.json").read_text())


def trainer_of(name: str, changes: dict[str, Any] | None = None) -> Trainer:
    return Trainer(tiny_phase(name, changes), tiny_corpus(), 0, "cpu")


def state(trainer: Trainer) -> tuple[torch.Tensor, ...]:
    """All that a step could change."""
    moments = [v.double().flatten() for slot in trainer.optimizer.state.values() for v in slot.values()]
    return (
        weights(trainer.jepa),
        weights(trainer.objective) if trainer.objective.state_dict() else torch.zeros(0),
        torch.cat(moments) if moments else torch.zeros(0),
        trainer.counts.clone(),
        torch.get_rng_state(),
    )


def same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(a.equal(b) for a, b in zip(one, other, strict=True))


# --- reproducible


@pytest.mark.parametrize("name", ["baseline", "phase3"])
def test_the_same_seed_gives_the_same_run_and_another_another(name: str, tmp_path: Path) -> None:
    phase = budget(tiny_phase(name), epochs=2, sequences=64)
    (epochs, rows, _), (epochs_2, rows_2, _) = run(phase, tmp_path / "a"), run(phase, tmp_path / "b")
    pd.testing.assert_frame_equal(epochs.drop(columns=TIMES), epochs_2.drop(columns=TIMES), check_exact=True)
    pd.testing.assert_frame_equal(rows, rows_2, check_exact=True)
    written = [(tmp_path / folder / "encoder.safetensors").read_bytes() for folder in "ab"]
    assert written[0] == written[1]
    other, _, _ = run(phase, tmp_path / "c", seed=1)
    assert (other["train_total"] != epochs["train_total"]).all()


def test_the_seed_draws_the_weights_as_well_as_the_data() -> None:
    made = [Trainer(tiny_phase("phase2"), tiny_corpus(), seed, "cpu").jepa for seed in (0, 0, 1)]
    assert weights(made[0]).equal(weights(made[1]))
    assert not weights(made[0]).equal(weights(made[2]))


def test_every_phase_starts_from_the_same_encoder() -> None:
    """So that phases differ by what they do, not by the draw."""
    made = [trainer_of(name).jepa.encoder.tokens for name in ("baseline", "phase1", "phase2")]
    assert weights(made[0]).equal(weights(made[1]))
    assert weights(made[0]).equal(weights(made[2]))


# --- schedule and optimiser


def test_steps_follow_the_schedule() -> None:
    trainer = trainer_of("phase2")
    for step in range(4):
        steps(trainer, 1)
        rates = {group["lr"] for group in trainer.optimizer.param_groups}
        assert rates == {learning_rate(step, trainer.total_steps, 2e-3)}


def test_the_gradient_is_clipped_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, seen = trainer_of("phase2", {"optimizer.clip": 0.01}), []
    step = trainer.optimizer.step
    monkeypatch.setattr(
        trainer.optimizer,
        "step",
        lambda: (seen.append(torch.cat([p.grad.flatten() for p in trainer.parameters]).norm().item()), step()),
    )
    averages = Averages()
    trainer.train_step(1.0, averages)
    assert seen == pytest.approx([0.01], rel=1e-3)
    assert averages.values("grad_norm").item() > 0.02  # the record holds the norm before


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
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(UserError, match=r"device: is cuda.*allowed are auto, cpu"):
        train(tiny_phase("phase2"), tiny_corpus(), 0, "cuda", tmp_path, lambda line: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["baseline", "phase2"])
def test_a_loss_that_is_not_finite_stops_before_the_optimiser_steps(name: str) -> None:
    trainer = trainer_of(name)
    steps(trainer, 1)
    with torch.no_grad():
        next(iter(trainer.jepa.predictor.parameters()))[0, 0] = float("nan")
    before = [p.detach().clone() for p in trainer.parameters]
    with pytest.raises(UserError, match=r"step 1: loss nan.*not finite"):
        trainer.train_step(1.0, Averages())
    assert all(
        torch.equal(p.nan_to_num(7.0), b.nan_to_num(7.0)) for p, b in zip(trainer.parameters, before, strict=True)
    )
    assert trainer.step == 1


# --- validation


@pytest.mark.parametrize("name", ["baseline", "phase2", "phase3"])
def test_validation_changes_nothing(name: str) -> None:
    trainer = trainer_of(name, {"model.dropout": 0.3})
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


def test_validation_covers_whole_batches_of_held_out_tasks() -> None:
    trainer = trainer_of("phase2")
    assert len(trainer.validation) == 2  # 20 tasks of 4 pairs, in batches of 32
    assert all(len(batch.target) == 32 and not batch.d8.any() for batch in trainer.validation)
    targets = torch.cat([batch.target for batch in trainer.validation])
    assert len(targets.unique()) == 64
    assert int(targets.max()) < len(trainer.validation_tokens)


def test_negatives_in_validation_are_of_the_batch_alone() -> None:
    trainer = trainer_of("phase1")
    averages, after = Averages(), Averages()
    trainer.validate(averages)
    trainer.objective.contrast.push(torch.randn(64, 16))
    trainer.validate(after)
    assert averages.means()["val_prediction"] == after.means()["val_prediction"]


# --- views


def test_the_view_of_the_query_differs_in_one_respect() -> None:
    trainer = trainer_of("baseline")
    batch = trainer.data.draw(trainer.phase.sequence, 0, 0, 300)
    kinds = torch.arange(300) % 3
    other = trainer._other_view(batch, kinds, 5)
    assert other.shift is not None
    turned, recoloured = other.d8 != batch.d8, (other.colours != batch.colours).any(1)
    moved = other.shift.any(1)
    for changed, kind in ((recoloured, COLOUR), (moved, TRANSLATION), (turned, SYMMETRY)):
        assert not changed[kinds != kind].any()
        assert changed[kinds == kind].float().mean() > 0.7
    assert other.shift.abs().max() == MAX_SHIFT


@pytest.mark.parametrize("name", ["baseline", "phase2"])
def test_context_target_and_view_are_seen_as_drawn(name: str) -> None:
    """All frames of a sequence under its one view; the last block is the query again, under another."""
    trainer = trainer_of(name)
    batch = trainer.data.draw(trainer.phase.sequence, 0, 3, 8)
    own, apart = trainer._inputs(trainer.tokens, batch, torch.arange(8) % 3, 3)
    shown = tiny_corpus().training
    frames = batch.frames()
    backgrounds = torch.as_tensor(shown.background.astype(np.int64))[frames]
    seen = torch.where(backgrounds == 10, 10, batch.colours.gather(1, backgrounds.T.clamp(max=9)).T)
    assert own.background[:24].equal(seen[:3].flatten())
    target = apart.background if apart is not None else own.background[24:32]
    assert target.equal(seen[3])
    assert (apart is not None) == (name == "baseline")
    if name == "baseline":
        still = torch.arange(8) % 3 != COLOUR
        assert own.background[24:32][still].equal(seen[2][still])
        assert own.n_components[24:32].equal(own.n_components[16:24])


# --- stopping


def test_an_early_stop_keeps_the_best_weights(tmp_path: Path) -> None:
    """Nothing counts as an improvement after epoch 1: its weights are kept."""
    phase = budget(tiny_phase("phase1", {"stopping.patience": 2, "stopping.min_delta": 100.0}), epochs=6, sequences=64)
    epochs, _, summary = run(phase, tmp_path)
    assert len(epochs) == summary["epochs"] == 3
    assert summary["best_epoch"] == 1
    kept = load_encoder(tmp_path / "encoder.safetensors")
    trainer = Trainer(phase, tiny_corpus(), 0, "cpu")
    steps(trainer, 2)
    assert weights(kept.jepa.encoder).equal(weights(trainer.jepa.encoder))
    steps(trainer, 1)
    assert not weights(kept.jepa.encoder).equal(weights(trainer.jepa.encoder))


def test_a_run_that_improves_is_not_stopped(tmp_path: Path) -> None:
    phase = budget(tiny_phase("phase1", {"stopping.patience": 1, "stopping.min_delta": 0.0}), epochs=3, sequences=128)
    epochs, _, summary = run(phase, tmp_path)
    assert epochs["val_prediction"].is_monotonic_decreasing
    assert summary["epochs"] == summary["best_epoch"] == 3


# --- the record of a run


@pytest.mark.parametrize("name", OWN_TERMS)
def test_the_files_of_a_run_match_their_schema(name: str, tmp_path: Path) -> None:
    phase = tiny_phase(name)
    epochs, rows, summary = run(phase, tmp_path)
    assert tuple(epochs.columns) == EPOCH_COLUMNS
    assert tuple(rows.columns) == STEP_COLUMNS
    assert {path.name for path in tmp_path.iterdir()} == {"encoder.safetensors", "epochs.csv", "steps.csv", "run.json"}
    for term in TERMS:
        for column in (f"{split}_{term}{form}" for split in ("train", "val") for form in ("", "_weighted")):
            assert np.isfinite(epochs[column]).all() == (term in OWN_TERMS[name]), column
            assert epochs[column].isna().all() == (term not in OWN_TERMS[name]), column
    contrastive = name in ("baseline", "phase1")
    optional = {"temperature", "queue_fill"} | {c for c in EPOCH_COLUMNS if any(term in c for term in TERMS[1:])}
    assert np.isfinite(epochs[[c for c in EPOCH_COLUMNS if c not in optional]]).all(axis=None)
    assert epochs[["temperature", "queue_fill"]].notna().all(axis=None) == contrastive
    assert np.isfinite(rows.drop(columns="refreshed_codes")).all(axis=None)
    assert epochs["epoch"].tolist() == [1, 2, 3]
    assert epochs["step"].tolist() == [4, 8, 12]
    assert summary["hyperparameters"] == hyperparameters(phase)
    assert summary["steps"] == 12
    assert summary["best_epoch"] in (1, 2, 3)
    assert {"seconds", "sequences_per_second", "device", "seed", "encoder_parameters", "torch"} <= set(summary)


def test_the_totals_of_the_record_are_the_sums_of_its_weighted_terms(tmp_path: Path) -> None:
    epochs, _, _ = run(budget(tiny_phase("baseline"), epochs=2, sequences=64), tmp_path)
    for split in ("train", "val"):
        total = epochs[[f"{split}_{term}_weighted" for term in TERMS]].sum(axis=1)
        assert np.allclose(total, epochs[f"{split}_total"], rtol=1e-4)
    assert (epochs["clipped_share"] == 1).all()
    assert (epochs["grad_norm_max"] >= epochs["grad_norm_mean"]).all()
    assert epochs["queue_fill"].tolist() == [1, 1]


def test_the_record_shows_a_refresh_where_it_happened(tmp_path: Path) -> None:
    phase = tiny_phase("baseline", {"quantizer.refresh.threshold": 0.5})
    _, rows, _ = run(phase, tmp_path)
    replaced = rows.set_index("step")["refreshed_codes"]
    assert (replaced[replaced > 0].index % 4 == 0).all()  # its interval
    assert replaced[4] > 0
    _, without, _ = run(tiny_phase("phase1"), tmp_path)
    assert without["refreshed_codes"].isna().all()


def test_the_record_counts_the_codes_that_were_used(tmp_path: Path) -> None:
    _, rows, _ = run(budget(tiny_phase("phase2"), epochs=1, sequences=64), tmp_path)
    assert rows["code_usage"].between(1 / 32, 1).all()
    assert (rows["active_codes"] == (32 * rows["code_usage"]).round()).all()
    assert (rows["perplexity"] <= rows["active_codes"] + 1e-3).all()
    _, none, _ = run(budget(tiny_phase("phase2", {"quantizer.kind": "none"}), epochs=1, sequences=64), tmp_path)
    assert none[["code_usage", "active_codes", "perplexity"]].isna().all(axis=None)


def test_the_curriculum_is_in_the_record(tmp_path: Path) -> None:
    epochs, _, _ = run(tiny_phase("phase3", {"sequence.curriculum.epochs": [2, 3]}), tmp_path)
    assert epochs["admitted_share"].tolist() == pytest.approx([1 / 3, 2 / 3, 1], abs=1e-4)


def test_progress_is_one_line_an_epoch(tmp_path: Path) -> None:
    lines: list[str] = []
    phase = budget(tiny_phase("phase2"), epochs=2, sequences=32)
    train(phase, tiny_corpus(), 0, "cpu", tmp_path, lines.append)
    assert len(lines) == 2
    assert "epoch 2/2" in lines[1]
    assert "\n" not in "".join(lines)


# --- it learns


@pytest.mark.parametrize("name", ["phase2", "phase3"])
def test_a_tiny_model_learns_to_predict(name: str, tmp_path: Path) -> None:
    epochs, rows, _ = run(budget(tiny_phase(name), epochs=5, sequences=256), tmp_path)
    error = epochs["val_prediction_error"]
    assert error.iloc[-1] < 0.65
    assert error.iloc[-1] < error.iloc[0]
    assert rows["effective_rank_target"].iloc[-1] > 4  # and has not collapsed
    assert rows["variance_target"].iloc[-1] > rows["variance_target"].iloc[0]


def test_a_tiny_model_learns_to_contrast(tmp_path: Path) -> None:
    epochs, _, _ = run(budget(tiny_phase("phase1"), epochs=5, sequences=128), tmp_path)
    assert epochs["val_prediction"].iloc[-1] < np.log(32) - 0.8


def test_without_sigreg_the_embeddings_collapse() -> None:
    """What the regulariser is there for: variance with and without it."""
    spreads = {}
    for strength in (0.0, 1.0):
        phase = tiny_phase("phase2")
        loss = phase.loss.model_copy(update={"lambda_sigreg": strength})
        trainer = Trainer(phase.model_copy(update={"loss": loss}), tiny_corpus(), 0, "cpu")
        for _ in range(40):
            outputs = trainer.train_step(1.0, Averages())
        spreads[strength] = float(outputs.target.detach().var(0).mean())
    assert spreads[1.0] > 5 * spreads[0.0]


def test_traces_of_the_tests_are_reproducible() -> None:
    one, other = trace(tiny_phase("baseline")), trace(tiny_phase("baseline"))
    assert one[0] == other[0]
    assert one[1].equal(other[1])
