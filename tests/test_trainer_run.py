"""A run stops when it should, and its record holds what the schema promises."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from model_cases import (
    Transfers,
    budget,
    run_in,
    steps,
    tiny_corpus,
    tiny_phase,
    tiny_trainer,
    trained,
)

from arcjepa.config import hyperparameters, resolved
from arcjepa.encoder_files import load_encoder
from arcjepa.quantizer import usage_and_perplexity
from arcjepa.record import EPOCH_COLUMNS, LOSS_COLUMNS, RUN_KEYS, SCHEMA, STEP_COLUMNS, TERMS, Averages
from arcjepa.runs import train
from arcjepa.schedule import learning_rate
from arcjepa.trainer import Trainer

OWN_TERMS = {
    "baseline": set(TERMS) - {"hard_negatives"},
    "phase1": {"prediction", "sigreg", "invariance", "commitment"},
    "phase2": {"prediction", "sigreg"},
    "phase3": {"prediction", "sigreg"},
}


# --- stopping


def parameters(module: torch.nn.Module) -> torch.Tensor:
    """All that is trained, as one vector."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.slow
def test_an_early_stop_keeps_the_best_weights(tmp_path: Path) -> None:
    """Nothing counts as an improvement after epoch 1: its weights are kept."""
    phase = budget(tiny_phase("phase1", {"stopping.patience": 2, "stopping.min_delta": 100.0}), epochs=6, sequences=64)
    epochs, _, summary = trained(phase, tmp_path)
    assert len(epochs) == summary["epochs"] == 3
    assert summary["best_epoch"] == 1
    kept = load_encoder(tmp_path / "encoder.safetensors")
    trainer = Trainer(phase, tiny_corpus(), 0, "cpu")
    steps(trainer, 2)
    # But for the rounding of the file.
    torch.testing.assert_close(parameters(kept.jepa.encoder), parameters(trainer.jepa.encoder), rtol=1e-3, atol=1e-6)
    steps(trainer, 1)
    moved = parameters(kept.jepa.encoder) - parameters(trainer.jepa.encoder)
    assert moved.abs().max() > 1e-3


@pytest.mark.slow
def test_a_run_that_improves_is_not_stopped(tmp_path: Path) -> None:
    phase = budget(
        tiny_phase("phase1", {"stopping.patience": 1, "stopping.min_delta": 0.0, "optimizer.lr": 8e-3}),
        epochs=3,
        sequences=128,
    )
    epochs, _, summary = trained(phase, tmp_path)
    assert epochs["val_prediction"].is_monotonic_decreasing
    assert summary["epochs"] == summary["best_epoch"] == 3


# --- the record of a run


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_TERMS)
def test_the_files_of_a_run_match_their_schema(name: str, tmp_path: Path) -> None:
    phase = tiny_phase(name)
    epochs, rows, summary = trained(phase, tmp_path)
    assert tuple(epochs.columns) == EPOCH_COLUMNS
    assert tuple(rows.columns) == STEP_COLUMNS
    assert set(summary) == set(RUN_KEYS)
    assert {path.name for path in tmp_path.iterdir()} == {"encoder.safetensors", *SCHEMA}
    for term in TERMS:
        for column in (f"{split}_{term}{form}" for split in ("train", "val") for form in ("", "_weighted")):
            assert np.isfinite(epochs[column]).all() == (term in OWN_TERMS[name]), column
            assert epochs[column].isna().all() == (term not in OWN_TERMS[name]), column
    contrastive = name in ("baseline", "phase1")
    optional = {"temperature", "queue_fill", "val_prediction_queue"} | {
        c for c in EPOCH_COLUMNS if any(term in c for term in TERMS[1:])
    }
    assert np.isfinite(epochs[[c for c in EPOCH_COLUMNS if c not in optional]]).all(axis=None)
    assert epochs[["temperature", "queue_fill"]].notna().all(axis=None) == contrastive
    assert np.isfinite(rows.drop(columns="refreshed_codes")).all(axis=None)
    assert epochs["epoch"].tolist() == [1, 2, 3]
    assert epochs["step"].tolist() == [4, 8, 12]
    assert summary["hyperparameters"] == hyperparameters(phase)
    assert summary["steps"] == 12
    assert summary["best_epoch"] in (1, 2, 3)
    assert summary["settings"] == resolved(phase)
    assert (summary["training_tasks"], summary["real_tasks"], summary["validation_tasks"]) == (40, 20, 20)
    assert summary["training_frames"] == 40 * 4 * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_TERMS)
def test_every_step_has_its_losses_and_an_epoch_their_means(name: str, tmp_path: Path) -> None:
    phase = tiny_phase(name)
    epochs, _, _ = trained(phase, tmp_path)
    losses = pd.read_csv(tmp_path / "losses.csv")
    assert tuple(losses.columns) == LOSS_COLUMNS
    assert losses["step"].tolist() == list(range(1, 13))
    assert losses["epoch"].tolist() == [1] * 4 + [2] * 4 + [3] * 4
    known = [c for c in LOSS_COLUMNS if c.startswith("train_")]
    means = losses.groupby("epoch")[known].mean()
    assert np.allclose(means, epochs[known], rtol=1e-5, equal_nan=True)
    for term in TERMS:
        assert losses[f"train_{term}_weighted"].notna().all() == (term in OWN_TERMS[name])
    assert np.allclose(losses[[f"train_{term}_weighted" for term in TERMS]].sum(axis=1), losses["train_total"], 1e-4)
    assert np.allclose(losses["clip_factor"], (phase.optimizer.clip / losses["grad_norm"]).clip(upper=1), rtol=1e-4)
    last = losses.groupby("epoch")[["lr", "temperature", "queue_fill"]].last().reset_index(drop=True)
    assert np.allclose(last, epochs[last.columns], rtol=1e-5, equal_nan=True)
    assert losses["lr"].tolist() == pytest.approx([learning_rate(step, 12, 2e-3) for step in range(12)], rel=1e-5)


@pytest.mark.slow
def test_the_epoch_sums_up_the_gradients_of_its_steps(tmp_path: Path) -> None:
    epochs, _, _ = trained(budget(tiny_phase("phase2", {"optimizer.clip": 1.5}), epochs=2, sequences=288), tmp_path)
    steps_of = pd.read_csv(tmp_path / "losses.csv").groupby("epoch")
    assert np.allclose(steps_of["grad_norm"].mean(), epochs["grad_norm_mean"], rtol=1e-5)
    assert np.allclose(steps_of["grad_norm"].max(), epochs["grad_norm_max"], rtol=1e-5)
    assert np.allclose(steps_of["clip_factor"].agg(lambda f: (f < 1).mean()), epochs["clipped_share"])
    assert np.allclose(steps_of["clip_factor"].median(), epochs["clip_factor_median"], rtol=1e-5)
    assert 0 < epochs["clipped_share"].mean() < 1  # both kinds were there


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_TERMS)
def test_nothing_of_a_step_s_record_waits_for_the_device(name: str) -> None:
    trainer, averages = tiny_trainer(name), Averages()
    trainer.room = (32 * 4 * 17, 32 * 17)
    trainer.train_step(averages)
    with Transfers() as transfers:
        trainer.train_step(averages)
    assert transfers.count == 0
    assert len(averages.columns()["train_total"]) == 2


@pytest.mark.slow
def test_the_totals_of_the_record_are_the_sums_of_its_weighted_terms(tmp_path: Path) -> None:
    epochs, _, _ = trained(budget(tiny_phase("baseline"), epochs=2, sequences=64), tmp_path)
    for split in ("train", "val"):
        total = epochs[[f"{split}_{term}_weighted" for term in TERMS]].sum(axis=1)
        assert np.allclose(total, epochs[f"{split}_total"], rtol=1e-4)
    assert (epochs["clipped_share"] == 1).all()
    assert (epochs["grad_norm_max"] >= epochs["grad_norm_mean"]).all()
    assert epochs["queue_fill"].tolist() == [1, 1]


@pytest.mark.slow
def test_the_record_shows_a_refresh_where_it_happened(tmp_path: Path) -> None:
    phase = tiny_phase("baseline", {"quantizer.refresh.threshold": 0.5})
    _, rows, _ = trained(phase, tmp_path)
    replaced = rows.set_index("step")["refreshed_codes"]
    assert (replaced[replaced > 0].index % 4 == 0).all()  # its interval
    assert replaced[4] > 0
    _, without, _ = trained(tiny_phase("phase1"), tmp_path)
    assert without["refreshed_codes"].isna().all()


@pytest.mark.slow
def test_the_record_shows_the_jump_that_a_refresh_makes(tmp_path: Path) -> None:
    """Row by row as without it up to the refresh, and more codes in use from the next row on."""
    on = {"model.dropout": 0.0, "quantizer.refresh.threshold": 0.5, "quantizer.refresh.interval": 6}
    _, rows, _ = trained(tiny_phase("baseline", on), tmp_path)
    _, without, _ = trained(tiny_phase("baseline", on | {"quantizer.refresh.enabled": False}), tmp_path)
    jump = rows.set_index("step")["perplexity"] / without.set_index("step")["perplexity"] - 1
    assert jump[:6].abs().max() == 0
    assert rows.set_index("step")["refreshed_codes"][6] > 0
    assert jump[7] > 0.05


def test_the_record_counts_the_codes_that_were_used(tmp_path: Path) -> None:
    _, rows, _ = trained(budget(tiny_phase("phase2"), epochs=1, sequences=64), tmp_path)
    assert rows["code_usage"].between(1 / 32, 1).all()
    assert (rows["active_codes"] == (32 * rows["code_usage"]).round()).all()
    assert (rows["perplexity"] <= rows["active_codes"] + 1e-3).all()
    _, none, _ = trained(budget(tiny_phase("phase2", {"quantizer.kind": "none"}), epochs=1, sequences=64), tmp_path)
    assert none[["code_usage", "active_codes", "perplexity"]].isna().all(axis=None)


def test_a_row_counts_the_codes_of_the_steps_since_the_last_one() -> None:
    trainer, used = tiny_trainer("phase2"), []
    for steps_taken in (3, 1):
        for _ in range(steps_taken):
            outputs = trainer.train_step(Averages()).outputs
            used.append(outputs.quantized.codes)
        row, _ = trainer.step_row(outputs, 1)
        counts = torch.bincount(torch.cat(used)[torch.cat(used) >= 0], minlength=32)
        assert row["active_codes"] == int((counts > 0).sum())
        assert row["perplexity"] == pytest.approx(float(usage_and_perplexity(counts)[1]))
        used.clear()


@pytest.mark.slow
def test_the_curriculum_is_in_the_record(tmp_path: Path) -> None:
    epochs, _, _ = trained(tiny_phase("phase3", {"sequence.curriculum.epochs": [2, 3]}), tmp_path)
    assert epochs["admitted_share"].tolist() == pytest.approx([1 / 3, 2 / 3, 1], abs=1e-4)


def test_progress_is_one_line_an_epoch(tmp_path: Path) -> None:
    lines: list[str] = []
    phase = budget(tiny_phase("phase2"), epochs=2, sequences=32)
    train(phase, tiny_corpus(), run_in(tmp_path), lines.append)
    assert len(lines) == 2
    assert "epoch 2/2" in lines[1]
    assert "\n" not in "".join(lines)
