"""A run: one phase with one seed, from tokens to a folder with the encoder and its record."""

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch

from arcjepa.config import checked_start, hyperparameters, resolved
from arcjepa.corpus import Corpus
from arcjepa.encoder_files import save_encoder
from arcjepa.moments import Moments, geometry, sides
from arcjepa.record import Averages, Record, Row, rows
from arcjepa.settings import Phase
from arcjepa.trainer import Trainer, resolve_device


@dataclass(frozen=True)
class Run:
    """One run: what it draws with, where it trains, and where it leaves what it made."""

    seed: int
    device: str
    """auto, cpu or cuda."""
    folder: Path
    """For the encoder and the record."""
    events: Path
    """For TensorBoard's files, where training.tensorboard asks for them."""


def train(phase: Phase, corpus: Corpus, run: Run, progress: Callable) -> None:
    """Train, and write encoder.safetensors and the record into the run's folder.

    `progress(line)` is called once an epoch. Errors: UserError for settings that params.yaml could not have, a missing
    GPU, a missing tensorboard, or a loss that is not finite.
    """
    phase = checked_start(phase, run.seed, run.device)
    device = resolve_device(run.device)
    events = run.events if phase.training.tensorboard else None
    # Eigenvalues for steps.csv are worked out beside the training.
    with Record(run.folder, events) as record, ThreadPoolExecutor(max_workers=1) as beside:
        trainer = Trainer(phase, corpus, run.seed, device)
        started, best, best_epoch, best_weights = time.perf_counter(), math.inf, 0, None
        # The squared error of LeJEPA grows with the embeddings' variance, which SIGReg brings to 1 first.
        watched = "val_prediction" if phase.loss.prediction == "infonce" else "val_prediction_error"
        for epoch in range(1, phase.training.epochs + 1):
            row = _epoch(trainer, epoch, record, beside)
            progress(_line(row, phase, time.perf_counter() - started))
            if phase.stopping.enabled and row[watched] < best - phase.stopping.min_delta:
                best, best_epoch, best_weights = row[watched], epoch, deepcopy(trainer.jepa.state_dict())
            if phase.stopping.enabled and epoch - best_epoch >= phase.stopping.patience:
                break
        if best_weights is not None:
            trainer.jepa.load_state_dict(best_weights)
        save_encoder(run.folder / "encoder.safetensors", trainer.jepa, phase, corpus.tokens)
        lasted = {"epochs": epoch, "best_epoch": best_epoch or epoch}
        record.finish(_summary(trainer, corpus, time.perf_counter() - started) | lasted)


def _epoch(trainer: Trainer, epoch: int, record: Record, beside: ThreadPoolExecutor) -> Row:
    """Train for an epoch, validate, and write the rows of both; returns that of epochs.csv."""
    trained, validated, started = Averages(), Averages(), time.perf_counter()
    admitted = trainer.begin_epoch(epoch)
    written: list[Future] = []
    for _ in range(trainer.steps_per_epoch):
        step = trainer.train_step(trained)
        if trainer.step % trainer.row_interval == 0:
            trainer.check(trained)
            written.append(beside.submit(_write_row, record, *trainer.step_row(step.outputs, epoch)))
    trainer.check(trained)
    trainer.validate(validated)
    columns, means = trained.columns(), trained.means() | validated.means()
    seconds = time.perf_counter() - started
    columns["clip_factor"] = (trainer.phase.optimizer.clip / columns["grad_norm"].clamp(min=1e-12)).clamp(max=1)
    first = trainer.step - trainer.steps_per_epoch + 1
    record.losses.append(*({"step": step, "epoch": epoch} | row for step, row in enumerate(rows(columns), first)))
    row: Row = {name: mean for name, mean in means.items() if name.startswith(("train_", "val_"))}
    row |= {
        "epoch": epoch,
        "step": trainer.step,
        "seconds": seconds,
        "sequences_per_second": trainer.steps_per_epoch * trainer.phase.training.batch_size / seconds,
        "admitted_share": admitted,
    }
    row |= _state(columns, trainer.phase.optimizer.clip)
    record.epochs.append(row)
    for future in written:
        future.result()
    return row


def _write_row(record: Record, row: Row, moments: Moments) -> None:
    record.steps.append(row | sides(geometry(moments)))


def _state(columns: dict[str, torch.Tensor], clip: float) -> Row:
    """What epochs.csv says of the optimiser, from columns of losses.csv: its state at the end, its gradients."""
    norms = columns["grad_norm"]
    return {name: float(columns[name][-1]) for name in ("lr", "temperature", "queue_fill") if name in columns} | {
        "grad_norm_mean": float(norms.mean()),
        "grad_norm_max": float(norms.max()),
        "clipped_share": float((norms > clip).float().mean()),
        "clip_factor_median": float(columns["clip_factor"].median()),
    }


def _summary(trainer: Trainer, corpus: Corpus, seconds: float) -> Row:
    """What run.json says of a run beside the epochs."""
    return {
        "seed": trainer.seed,
        "device": torch.cuda.get_device_name() if trainer.device == "cuda" else "cpu",
        "torch": torch.__version__,
        "seconds": round(seconds, 3),
        "sequences_per_second": round(trainer.step * trainer.phase.training.batch_size / seconds, 1),
        "steps": trainer.step,
        "training_tasks": len(corpus.training.task_ids),
        "real_tasks": corpus.real,
        "training_frames": len(corpus.training),
        "validation_tasks": len(corpus.validation.task_ids),
        "validation_batch": len(trainer.validation[0].target),
        "encoder_parameters": sum(p.numel() for p in trainer.jepa.encoder.parameters()),
        "predictor_parameters": sum(p.numel() for p in trainer.jepa.predictor.parameters()),
        "hyperparameters": hyperparameters(trainer.phase),
        "settings": resolved(trainer.phase),
    }


def _line(row: Row, phase: Phase, elapsed: float) -> str:
    left = elapsed / row["epoch"] * (phase.training.epochs - row["epoch"])
    return (
        f"epoch {row['epoch']}/{phase.training.epochs}  prediction {row['train_prediction']:.3f} "
        f"(validation {row['val_prediction']:.3f})  total {row['train_total']:.3f}  "
        f"{row['sequences_per_second']:.0f} sequences/s  {left:.0f} s left"
    )
