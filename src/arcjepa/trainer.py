"""Training of one phase with one seed: `train` goes from tokens to a run folder.

Data order is a pure function of (seed, step).
"""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from arcjepa import randomness
from arcjepa.config import hyperparameters, resolved
from arcjepa.data_settings import TokenSettings
from arcjepa.dataset import Batch, TrainingSet, admitted_share, selection_sequences
from arcjepa.embeddings import save_encoder
from arcjepa.errors import UserError
from arcjepa.inputs import blocks, view_kinds
from arcjepa.jepa import JEPA, Outputs
from arcjepa.objectives import Objective, Terms
from arcjepa.quantizer import CodebookQuantizer, GumbelQuantizer
from arcjepa.record import Averages, Record, Row, codes, geometry, loss_values, rows
from arcjepa.schedule import learning_rate, make_optimizer
from arcjepa.settings import Phase
from arcjepa.sigreg import directions
from arcjepa.tokens import Tokens
from arcjepa.views import DeviceTokens

STREAM_VALIDATION = 25
VALIDATION_SEQUENCES, RECORD_EVERY, RECORD_ROWS = 2048, 100, 40


@dataclass(frozen=True, eq=False)
class Corpus:
    """What a run learns from: training tokens whose first `real` tasks are real, validation tokens, and how both
    were made."""

    training: Tokens
    real: int
    validation: Tokens
    tokens: TokenSettings


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


def resolve_device(device: str) -> str:
    """cpu or cuda. Errors: UserError where a GPU is demanded and there is none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("params.yaml: device: is cuda, and torch finds no GPU here; allowed are auto, cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


class Trainer:
    """The state of a run, and what happens in a step, a validation and an epoch."""

    def __init__(self, phase: Phase, corpus: Corpus, seed: int, device: str) -> None:
        torch.manual_seed(seed)
        self.phase, self.seed, self.device = phase, seed, device
        self.jepa = JEPA(phase).to(device)
        self.objective = Objective(phase.loss, phase.model.embedding).to(device)
        self.optimizer = make_optimizer([self.jepa, self.objective], phase)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.data = TrainingSet.build(corpus.training, corpus.real, device)
        self.tokens = DeviceTokens.from_numpy(corpus.training, device)
        self.validation_tokens = DeviceTokens.from_numpy(corpus.validation, device)
        self.validation = self._validation_batches(corpus.validation)
        self.steps_per_epoch = phase.training.sequences // phase.training.batch_size
        self.step = 0
        # The record's own slices, which no step trains on; one draw for all rows costs less than a draw for each.
        self.slices = directions(phase.model.embedding, seed, self.total_steps, device)
        self.codes: list[torch.Tensor] = []

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.phase.training.epochs

    @property
    def row_interval(self) -> int:
        """Steps between two rows of steps.csv."""
        return max(1, min(RECORD_EVERY, self.total_steps // RECORD_ROWS))

    def _validation_batches(self, tokens: Tokens) -> list[Batch]:
        """Whole batches, as the statistics of SIGReg depend on the batch's size, of tasks in a fixed random order."""
        fixed = selection_sequences(tokens, self.phase.sequence, VALIDATION_SEQUENCES)
        size = min(self.phase.training.batch_size, len(fixed.target))
        order = randomness.permutations((0, STREAM_VALIDATION, 0), 1, len(fixed.target))[0].numpy()
        context = torch.as_tensor(fixed.context[order], device=self.device).split(size)
        target = torch.as_tensor(fixed.target[order], device=self.device).split(size)
        identity = torch.arange(10, device=self.device).expand(size, 10)
        turn = torch.zeros(size, dtype=torch.int64, device=self.device)
        return [Batch(c, t, turn, identity) for c, t in zip(context, target, strict=True) if len(t) == size]

    def forward(self, tokens: DeviceTokens, batch: Batch, step: int) -> tuple[Outputs, torch.Tensor, Terms]:
        """Outputs, total and terms of a batch."""
        key = self.seed, step
        kinds = view_kinds(batch, key)
        own, apart = blocks(self.phase.loss, tokens, batch, kinds, key)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda"):
            outputs = self.jepa(own, apart, self.phase.loss.invariance.enabled)
        slices = directions(self.phase.model.embedding, self.seed, step, self.device)
        shared = self.jepa.encoder.projector.leave.weight
        weight = self.phase.quantizer.commitment.weight
        total, terms = self.objective(outputs, slices, weight, kinds, shared)
        return outputs, total, terms

    def train_step(self, admitted: float, averages: Averages) -> Outputs:
        """One update. Errors: UserError where the gradient is not finite; no weight is updated then."""
        rate = learning_rate(self.step, self.total_steps, self.phase.optimizer.lr)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        quantizer = self.jepa.encoder.quantizer
        if isinstance(quantizer, GumbelQuantizer):
            quantizer.anneal(self.step / max(1, self.total_steps - 1))
        batch = self.data.draw(self.phase.sequence, self.seed, self.step, self.phase.training.batch_size, admitted)
        outputs, total, terms = self.forward(self.tokens, batch, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.phase.optimizer.clip)
        if not torch.isfinite(norm):
            raise UserError(f"step {self.step}: loss {total.item()}, gradient norm {norm.item()}: not finite, stopped")
        self.optimizer.step()
        if self.jepa.teacher is not None:
            self.jepa.teacher.update(self.jepa.encoder)
        if self.objective.contrast is not None:
            self.objective.contrast.push(outputs.target)
        self._collect(outputs, total, terms, norm, averages)
        self.step += 1
        return outputs

    @torch.no_grad()
    def _collect(
        self, outputs: Outputs, total: torch.Tensor, terms: Terms, norm: torch.Tensor, averages: Averages
    ) -> None:
        """The step's row of losses.csv, and its codes: nothing here waits for the device."""
        row: dict[str, torch.Tensor | float] = {"lr": self.optimizer.param_groups[0]["lr"], "grad_norm": norm}
        row |= loss_values("train", total, terms)
        row["train_prediction_error"] = prediction_error(outputs, self.phase)
        if self.objective.contrast is not None:
            row |= {"temperature": self.objective.contrast.temperature, "queue_fill": self.objective.contrast.fill}
        averages.add(row)
        self.codes.append(outputs.quantized.codes)

    @torch.no_grad()
    def validate(self, averages: Averages) -> None:
        """All terms on the fixed validation sequences; changes nothing, the codebook included."""
        self.jepa.eval(), self.objective.eval()
        for index, batch in enumerate(self.validation):
            outputs, total, terms = self.forward(self.validation_tokens, batch, index)
            error = prediction_error(outputs, self.phase)
            averages.add({**loss_values("val", total, terms), "val_prediction_error": error})
        self.jepa.train(), self.objective.train()

    @torch.no_grad()
    def step_row(self, outputs: Outputs, epoch: int) -> Row:
        """A row of steps.csv; what it says of codes is of the steps since the last one."""
        row: Row = {"step": self.step, "epoch": epoch}
        sides = torch.stack([outputs.context[:, -1], outputs.target])
        for side, measured in zip(("context", "target"), geometry(sides, self.slices), strict=True):
            row |= {f"{name}_{side}": value for name, value in measured.items()}
        quantizer = self.jepa.encoder.quantizer
        if quantizer.codes:
            row |= codes(torch.bincount(torch.cat(self.codes) + 1, minlength=quantizer.codes + 1)[1:])
        if isinstance(quantizer, CodebookQuantizer) and self.phase.quantizer.refresh.enabled:
            row["refreshed_codes"], quantizer.refreshed = quantizer.refreshed, 0
        self.codes.clear()
        return row


def prediction_error(outputs: Outputs, phase: Phase) -> torch.Tensor:
    """Squared error of the prediction over the variance of the target: 1 where it is no better than the mean.

    On unit-length embeddings under InfoNCE, which sees directions only.
    """
    prediction, target = outputs.prediction.detach().float(), outputs.target.detach().float()
    if phase.loss.prediction == "infonce":
        prediction, target = nn.functional.normalize(prediction, dim=-1), nn.functional.normalize(target, dim=-1)
    return (prediction - target).square().mean() / target.var(0).mean().clamp(min=1e-12)


def train(phase: Phase, corpus: Corpus, run: Run, progress: Callable) -> None:
    """Train, and write encoder.safetensors and the record into the run's folder.

    `progress(line)` is called once an epoch. Errors: UserError for a missing GPU, a missing tensorboard, or a loss
    that is not finite.
    """
    device = resolve_device(run.device)
    with Record(run.folder, run.events if phase.training.tensorboard else None) as record:
        trainer = Trainer(phase, corpus, run.seed, device)
        started, best, best_epoch, best_weights = time.perf_counter(), math.inf, 0, None
        # The squared error of LeJEPA grows with the embeddings' variance, which SIGReg brings to 1 first.
        watched = "val_prediction" if phase.loss.prediction == "infonce" else "val_prediction_error"
        for epoch in range(1, phase.training.epochs + 1):
            row = _epoch(trainer, epoch, record)
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


def _epoch(trainer: Trainer, epoch: int, record: Record) -> Row:
    """Train for an epoch, validate, and write the rows of both; returns that of epochs.csv."""
    trained, validated, started = Averages(), Averages(), time.perf_counter()
    admitted = admitted_share(trainer.phase.sequence.curriculum, epoch)
    for _ in range(trainer.steps_per_epoch):
        outputs = trainer.train_step(admitted, trained)
        if trainer.step % trainer.row_interval == 0:
            record.steps.append(trainer.step_row(outputs, epoch))
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
    return row


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
