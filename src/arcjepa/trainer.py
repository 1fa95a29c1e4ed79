"""Training of one phase with one seed: `train` goes from tokens to a run folder.

Data order is a pure function of (seed, step). Shapes: B sequences, F context frames, D dimensions.
"""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from arcjepa import randomness
from arcjepa.config import hyperparameters
from arcjepa.data_settings import TokenSettings
from arcjepa.dataset import Batch, TrainingSet, admitted_share, fixed_sequences
from arcjepa.embeddings import save_encoder
from arcjepa.errors import UserError
from arcjepa.jepa import JEPA, Outputs
from arcjepa.objectives import Objective, Terms
from arcjepa.quantizer import CodebookQuantizer, GumbelQuantizer
from arcjepa.record import EPOCH_COLUMNS, STEP_COLUMNS, Averages, Table, codes, geometry, write_summary
from arcjepa.schedule import learning_rate, make_optimizer
from arcjepa.settings import Phase
from arcjepa.sigreg import directions
from arcjepa.tokens import Tokens
from arcjepa.views import DeviceTokens, TokenBatch, View, gather

STREAM_KIND, STREAM_TURN, STREAM_PERMUTATION, STREAM_SHIFT, STREAM_VALIDATION = 21, 22, 23, 24, 25
COLOUR, TRANSLATION, SYMMETRY = 0, 1, 2
MAX_SHIFT, VALIDATION_SEQUENCES, RECORD_EVERY, RECORD_ROWS = 3, 2048, 100, 40


@dataclass(frozen=True, eq=False)
class Corpus:
    """What a run learns from: training tokens whose first `real` tasks are real, validation tokens, and how both
    were made."""

    training: Tokens
    real: int
    validation: Tokens
    tokens: TokenSettings


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
        self.counts = torch.zeros(max(1, self.jepa.encoder.quantizer.codes), device=device)

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.phase.training.epochs

    def _validation_batches(self, tokens: Tokens) -> list[Batch]:
        """Whole batches, as the statistics of SIGReg depend on the batch's size, of tasks in a fixed random order."""
        fixed = fixed_sequences(tokens, self.phase.sequence, VALIDATION_SEQUENCES)
        size = min(self.phase.training.batch_size, len(fixed.target))
        order = randomness.permutations((0, STREAM_VALIDATION, 0), 1, len(fixed.target))[0].numpy()
        context = torch.as_tensor(fixed.context[order], device=self.device).split(size)
        target = torch.as_tensor(fixed.target[order], device=self.device).split(size)
        identity = torch.arange(10, device=self.device).expand(size, 10)
        turn = torch.zeros(size, dtype=torch.int64, device=self.device)
        return [Batch(c, t, turn, identity) for c, t in zip(context, target, strict=True) if len(t) == size]

    def forward(self, tokens: DeviceTokens, batch: Batch, step: int) -> tuple[Outputs, torch.Tensor, Terms]:
        """Outputs, total and terms of a batch."""
        kinds = randomness.integers((self.seed, STREAM_KIND, step), 3, batch.target.shape, self.device)
        own, apart = self._inputs(tokens, batch, kinds, step)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda"):
            outputs = self.jepa(own, apart, self.phase.loss.invariance.enabled)
        slices = directions(self.phase.model.embedding, self.seed, step, self.device)
        shared = self.jepa.encoder.projector.leave.weight
        weight = self.phase.quantizer.commitment
        total, terms = self.objective(outputs, slices, weight, kinds, shared)
        return outputs, total, terms

    def _inputs(
        self, tokens: DeviceTokens, batch: Batch, kinds: torch.Tensor, step: int
    ) -> tuple[TokenBatch, TokenBatch | None]:
        """The blocks that JEPA.forward takes: context frames, target (apart for a teacher), a view of the query."""
        blocks, view = batch.frames(), batch.view()
        size, apart = len(batch.target), None
        if self.jepa.teacher is not None:
            apart = gather(tokens, batch.target, _rows(view, slice(-size, None)))
            blocks, view = blocks[:-1], _rows(view, slice(None, -size))
        if self.phase.loss.invariance.enabled:
            other = self._other_view(batch, kinds, step)
            blocks = torch.cat([blocks, batch.context[None, :, -1]])
            view = View(*(torch.cat(pair) for pair in zip(_parts(view), _parts(other), strict=True)))
        return gather(tokens, blocks.flatten(), view), apart

    def _other_view(self, batch: Batch, kinds: torch.Tensor, step: int) -> View:
        """A view of each query that differs from the batch's in colours, in place or in symmetry."""
        size = (len(batch.target),)
        turn = randomness.integers((self.seed, STREAM_TURN, step), 8, size, self.device)
        colours = randomness.permutations((self.seed, STREAM_PERMUTATION, step), size[0], 10, self.device)
        span = 2 * MAX_SHIFT + 1
        shift = randomness.integers((self.seed, STREAM_SHIFT, step), span, (size[0], 2), self.device) - MAX_SHIFT
        return View(
            torch.where(kinds == SYMMETRY, turn, batch.d8),
            torch.where(kinds[:, None] == COLOUR, colours, batch.colours),
            torch.where(kinds[:, None] == TRANSLATION, shift, torch.zeros_like(shift)),
        )

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

    def _collect(
        self, outputs: Outputs, total: torch.Tensor, terms: Terms, norm: torch.Tensor, averages: Averages
    ) -> None:
        averages.add_terms("train", total, terms)
        averages.add("train_prediction_error", prediction_error(outputs, self.phase))
        averages.add("grad_norm", norm)
        used = outputs.quantized.codes
        self.counts.index_add_(0, used.clamp(min=0), (used >= 0).to(self.counts.dtype))

    @torch.no_grad()
    def validate(self, averages: Averages) -> None:
        """All terms on the fixed validation sequences; changes nothing, the codebook included."""
        self.jepa.eval(), self.objective.eval()
        for index, batch in enumerate(self.validation):
            outputs, total, terms = self.forward(self.validation_tokens, batch, index)
            averages.add_terms("val", total, terms)
            averages.add("val_prediction_error", prediction_error(outputs, self.phase))
        self.jepa.train(), self.objective.train()

    def step_row(self, outputs: Outputs, epoch: int) -> dict[str, Any]:
        """A row of steps.csv; starts the count of codes anew."""
        slices = directions(self.phase.model.embedding, self.seed, self.step, self.device)
        row: dict[str, Any] = {"step": self.step, "epoch": epoch}
        sides = {"context": outputs.context[:, -1], "target": outputs.target}
        for side, z in sides.items():
            row |= {f"{name}_{side}": value for name, value in geometry(z, slices).items()}
        quantizer = self.jepa.encoder.quantizer
        if quantizer.codes:
            row |= codes(self.counts)
        if isinstance(quantizer, CodebookQuantizer) and self.phase.quantizer.refresh.enabled:
            row["refreshed_codes"], quantizer.refreshed = quantizer.refreshed, 0
        self.counts.zero_()
        return row


def prediction_error(outputs: Outputs, phase: Phase) -> torch.Tensor:
    """Squared error of the prediction over the variance of the target: 1 where it is no better than the mean.

    On unit-length embeddings under InfoNCE, which sees directions only.
    """
    prediction, target = outputs.prediction.detach().float(), outputs.target.detach().float()
    if phase.loss.prediction == "infonce":
        prediction, target = nn.functional.normalize(prediction, dim=-1), nn.functional.normalize(target, dim=-1)
    return (prediction - target).square().mean() / target.var(0).mean().clamp(min=1e-12)


def train(phase: Phase, corpus: Corpus, seed: int, device: str, folder: Path, progress: Callable) -> None:
    """Train, and write encoder.safetensors, epochs.csv, steps.csv and run.json into `folder`.

    `progress(line)` is called once an epoch. Errors: UserError for a missing GPU or a loss that is not finite.
    """
    device = resolve_device(device)
    trainer = Trainer(phase, corpus, seed, device)
    tables = Table(folder / "epochs.csv", EPOCH_COLUMNS), Table(folder / "steps.csv", STEP_COLUMNS)
    started, best, best_epoch, best_weights = time.perf_counter(), math.inf, 0, None
    # The squared error of LeJEPA grows with the embeddings' variance, which SIGReg brings to 1 first.
    watched = "val_prediction" if phase.loss.prediction == "infonce" else "val_prediction_error"
    for epoch in range(1, phase.training.epochs + 1):
        row = _epoch(trainer, epoch, tables[1])
        tables[0].append(row)
        progress(_line(row, phase, time.perf_counter() - started))
        if phase.stopping.enabled and row[watched] < best - phase.stopping.min_delta:
            best, best_epoch, best_weights = row[watched], epoch, deepcopy(trainer.jepa.state_dict())
        if phase.stopping.enabled and epoch - best_epoch >= phase.stopping.patience:
            break
    if best_weights is not None:
        trainer.jepa.load_state_dict(best_weights)
    save_encoder(folder / "encoder.safetensors", trainer.jepa, phase, corpus.tokens)
    seconds = time.perf_counter() - started
    summary = {
        "seed": seed,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "seconds": round(seconds, 3),
        "sequences_per_second": round(trainer.step * phase.training.batch_size / seconds, 1),
        "steps": trainer.step,
        "epochs": epoch,
        "best_epoch": best_epoch or epoch,
        "encoder_parameters": sum(p.numel() for p in trainer.jepa.encoder.parameters()),
        "predictor_parameters": sum(p.numel() for p in trainer.jepa.predictor.parameters()),
        "hyperparameters": hyperparameters(phase),
    }
    write_summary(folder / "run.json", summary)


def _epoch(trainer: Trainer, epoch: int, steps: Table) -> dict[str, Any]:
    averages, started = Averages(), time.perf_counter()
    admitted = admitted_share(trainer.phase.sequence.curriculum, epoch)
    interval = max(1, min(RECORD_EVERY, trainer.total_steps // RECORD_ROWS))
    for _ in range(trainer.steps_per_epoch):
        outputs = trainer.train_step(admitted, averages)
        if trainer.step % interval == 0:
            steps.append(trainer.step_row(outputs, epoch))
    trainer.validate(averages)
    seconds = time.perf_counter() - started
    row = averages.means()
    norms, clip = averages.values("grad_norm"), trainer.phase.optimizer.clip
    del row["grad_norm"]
    contrast = trainer.objective.contrast
    return row | {
        "epoch": epoch,
        "step": trainer.step,
        "seconds": seconds,
        "sequences_per_second": trainer.steps_per_epoch * trainer.phase.training.batch_size / seconds,
        "lr": trainer.optimizer.param_groups[0]["lr"],
        "temperature": contrast.temperature.item() if contrast else None,
        "queue_fill": contrast.fill.item() if contrast else None,
        "grad_norm_mean": float(norms.mean()),
        "grad_norm_max": float(norms.max()),
        "clipped_share": float((norms > clip).float().mean()),
        "clip_factor_median": float((clip / norms.clamp(min=1e-12)).clamp(max=1).median()),
        "admitted_share": admitted,
    }


def _line(row: dict[str, Any], phase: Phase, elapsed: float) -> str:
    left = elapsed / row["epoch"] * (phase.training.epochs - row["epoch"])
    return (
        f"epoch {row['epoch']}/{phase.training.epochs}  prediction {row['train_prediction']:.3f} "
        f"(validation {row['val_prediction']:.3f})  total {row['train_total']:.3f}  "
        f"{row['sequences_per_second']:.0f} sequences/s  {left:.0f} s left"
    )


def _parts(view: View) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    assert view.shift is not None, "every view of training says how far it moves"
    return view.d8, view.colours, view.shift


def _rows(view: View, rows: slice) -> View:
    return View(*(part[rows] for part in _parts(view)))
