"""The training step of a phase: its state, what happens in a step and in a validation.

Data order is a pure function of (seed, step). On a GPU a step is compiled and recorded once; Python then starts it
as a whole, and waits for nothing in it. Where several ranks train, each has its share of every batch, and all have the
same weights: what a batch decides is exchanged, and what is recorded is of the global batch.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from arcjepa import randomness
from arcjepa.corpus import Corpus
from arcjepa.dataset import Batch, TrainingSet, admitted_share, selection_sequences
from arcjepa.errors import UserError
from arcjepa.inputs import Room, blocks, enough, frames_of, rounded, view_kinds
from arcjepa.jepa import JEPA, Outputs
from arcjepa.moments import Moments, moments
from arcjepa.objectives import Objective, Terms, error_moments, global_terms, prediction_error, relative_error
from arcjepa.quantizer import CodebookQuantizer, GumbelQuantizer
from arcjepa.ranks import MOST, gathered, mean_of_all, placed, rank, summed, wait_for_device, world_size
from arcjepa.record import Averages, Row, codes, loss_values
from arcjepa.replay import Replay
from arcjepa.schedule import learning_rate, make_optimizer
from arcjepa.settings import Phase
from arcjepa.sigreg import directions
from arcjepa.tokens import Tokens
from arcjepa.views import DeviceTokens, count_objects

STREAM_VALIDATION = 25
VALIDATION_SEQUENCES, RECORD_EVERY, RECORD_ROWS = 2048, 100, 40
COMPILER: dict[str, str | int | bool | Callable] = {"deterministic": True}
"""What the compiler is told: to time no variants, as the fastest is not the same in every run."""
warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")  # products in float32 are few, and meant so


@dataclass
class Step:
    """What a training step leaves; on a GPU the next one overwrites it."""

    outputs: Outputs
    total: torch.Tensor
    terms: Terms
    norm: torch.Tensor
    """Of the gradient before clipping."""
    error: torch.Tensor
    """`prediction_error`."""


class NotFinite(UserError):
    """At this step, counted from 0, a loss or gradient was not finite: the step was not taken."""

    def __init__(self, step: int, total: float, norm: float) -> None:
        super().__init__(f"step {step}: loss {total}, gradient norm {norm}: not finite, stopped")
        self.step, self.total, self.norm = step, total, norm


class Trainer:
    """The state of a run, and what happens in a step and in a validation."""

    def __init__(self, phase: Phase, corpus: Corpus, seed: int, device: str) -> None:
        torch.manual_seed(seed)
        self.phase, self.seed, self.device, self.fast = phase, seed, device, device == "cuda"
        self.steps_per_epoch = phase.training.sequences // phase.training.batch_size
        self.jepa = JEPA(phase).to(device)
        self.objective = Objective(phase.loss, phase.model.embedding).to(device)
        self.data = TrainingSet.build(corpus.training, corpus.real, device)
        stores = corpus.stores(phase.loss.hard_negatives.enabled)
        self.tokens, self.validation_tokens = (DeviceTokens.from_numpy(store, device) for store in stores)
        self.pairs = len(corpus.training) // 2, len(corpus.validation) // 2
        self.validation = self._validation_batches(corpus.validation)
        self.indices = torch.arange(len(self.validation), device=device).unbind()
        self._prepare_state()
        if rank():
            torch.manual_seed(seed + (rank() << 32))  # dropout and noise of its own; weights are drawn alike
        self.begin_epoch(1)
        self.room = self._training_room() if self.fast else (None, None)
        self.validation_room = self._validation_room() if self.fast else (None, None)
        # The record's own slices, which no step trains on; one draw for all rows costs less than a draw for each.
        self.slices = directions(phase.model.embedding, seed, self.total_steps, device)
        self._loss = self._training_loss
        self._step, self._validate = Replay(self._update, self.fast), Replay(self._validated, self.fast)

    def _prepare_state(self) -> None:
        """What the device counts by itself, so that no step needs a number from Python."""
        self.step = 0
        # On the device, as a number would be compiled in, and every seed anew.
        self.drawn_by = torch.tensor(self.seed, device=self.device)
        total, peak = self.total_steps, self.phase.optimizer.lr
        rates = [learning_rate(step, total, peak) for step in range(total)]
        self.rates = torch.tensor(rates, dtype=torch.float32, device=self.device)
        self.rate = self.rates[0].clone()
        self.count = torch.zeros((), dtype=torch.int64, device=self.device)
        """Steps taken."""
        self.admitted = torch.ones((), dtype=torch.float64, device=self.device)
        """Share of tasks in play."""
        self.stopped = torch.zeros((), device=self.device)
        """1 once a loss or gradient was not finite: no weight is updated from then on."""
        self.optimizer = make_optimizer([self.jepa, self.objective], self.phase, self.rate)
        # As torch.amp.GradScaler tells a fused optimiser to leave a step out.
        self.optimizer.__dict__["found_inf"] = self.stopped
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.codes_used = torch.zeros(self.jepa.encoder.quantizer.codes + 1, dtype=torch.int64, device=self.device)
        """Assignments of every code since the last row of the record, after those to none."""

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
        most = min(self.phase.training.batch_size, len(fixed.target))
        size = most // MOST * MOST or most // world_size() * world_size()
        if not size:
            raise UserError(f"params.yaml: ranks: is {world_size()}, for {most} sequences to validate with")
        order = randomness.permutations((0, STREAM_VALIDATION, 0), 1, len(fixed.target))[0].numpy()
        context = torch.as_tensor(fixed.context[order], device=self.device).split(size)
        target = torch.as_tensor(fixed.target[order], device=self.device).split(size)
        identity = torch.arange(10, device=self.device).expand(size, 10)
        turn = torch.zeros(size, dtype=torch.int64, device=self.device)
        whole = [Batch(c, t, turn, identity) for c, t in zip(context, target, strict=True) if len(t) == size]
        return [self._with_near_misses(batch, self.validation_tokens, self.pairs[1]).own() for batch in whole]

    def begin_epoch(self, epoch: int) -> float:
        """Let in the tasks that the curriculum admits in an epoch, counted from 1; returns their share."""
        share = admitted_share(self.phase.sequence.curriculum, epoch)
        self.admitted.fill_(share)
        return share

    def draw(self, step: torch.Tensor) -> Batch:
        """The global batch of a step, or those of many, one after the other, at the share of tasks admitted now."""
        training, sequence = self.phase.training, self.phase.sequence
        batch = self.data.draw(sequence, self.drawn_by, step, training.batch_size, self.admitted)
        return self._with_near_misses(batch, self.tokens, self.pairs[0])

    def _with_near_misses(self, batch: Batch, tokens: DeviceTokens, pairs: int) -> Batch:
        """The batch with the near misses of its targets, which follow the frames of so many `pairs` in the store."""
        if self.phase.loss.hard_negatives.enabled:
            count = len(tokens) // pairs - 2
            first = 2 * pairs + batch.target // 2 * count
            batch.near_misses = first + torch.arange(count, device=first.device)[:, None]
        return batch

    def _training_room(self) -> Room:
        """For all batches of the whole run, which are drawn here once to count their objects."""
        counts: dict[float, list[torch.Tensor]] = {}
        for epoch in range(1, self.phase.training.epochs + 1):
            admitted = self.begin_epoch(epoch)
            steps = torch.arange((epoch - 1) * self.steps_per_epoch, epoch * self.steps_per_epoch, device=self.device)
            counts.setdefault(admitted, []).append(self._objects(self.tokens, self.draw(steps).own(), len(steps)))
        self.begin_epoch(1)
        return rounded([enough(torch.cat(alike, 1)) for alike in counts.values()])

    def _validation_room(self) -> Room:
        return rounded([self._objects(self.validation_tokens, batch, 1)[:, 0] for batch in self.validation])

    def _objects(self, tokens: DeviceTokens, batch: Batch, count: int) -> torch.Tensor:
        """(2, count): objects in the frames of each of `count` batches, and in those apart."""
        own, apart = frames_of(self.phase.loss, batch)
        frames = own, batch.target[:0] if apart is None else apart
        # Frames are block by block, each with its batches one after the other.
        objects = [count_objects(tokens, part).view(-1, count, len(batch.target) // count) for part in frames]
        return torch.stack([counts.sum((0, 2)) for counts in objects])

    def forward(
        self, tokens: DeviceTokens, batch: Batch, step: int | torch.Tensor, room: Room = (None, None)
    ) -> tuple[Outputs, torch.Tensor, Terms]:
        """Outputs, total and terms of a batch, or of this rank's part of one."""
        key = self.drawn_by, step
        kinds = view_kinds(batch, key)
        own, apart = blocks(self.phase.loss, tokens, batch, kinds, key, room)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda"):
            near_misses = 0 if batch.near_misses is None else len(batch.near_misses)
            outputs = self.jepa(own, apart, self.phase.loss.invariance.enabled, near_misses)
        slices = directions(self.phase.model.embedding, self.drawn_by, step, self.device)
        shared = self.jepa.encoder.last_weights()
        total, terms = self.objective(outputs, slices, self.phase.quantizer.commitment.weight, kinds, shared)
        return outputs, total, terms

    def _training_loss(self) -> tuple[Outputs, torch.Tensor, Terms]:
        return self.forward(self.tokens, self.draw(self.count).own(), self.count, self.room)

    def _validation_losses(self) -> list[Row]:
        """One row for every batch."""
        rows: list[Row] = []
        for batch, index in zip(self.validation, self.indices, strict=True):
            outputs, own_total, own_terms = self.forward(self.validation_tokens, batch, index, self.validation_room)
            total, terms, _ = global_terms(own_total, own_terms)
            error = prediction_error(outputs, self.phase)
            rows.append({**loss_values("val", total, terms), "val_prediction_error": error})
            if self.objective.contrast is not None:
                queued = self.objective.contrast.loss(outputs.prediction, outputs.target, queued=True)
                rows[-1]["val_prediction_queue"] = mean_of_all([queued])[0]
        return rows

    def _update(self) -> Step:
        """One step, all of it on the device."""
        self.rate.copy_(self.rates.index_select(0, self.count.clamp(max=self.total_steps - 1).view(1))[0])
        quantizer = self.jepa.encoder.quantizer
        if isinstance(quantizer, GumbelQuantizer):
            quantizer.anneal(self.count / max(1, self.total_steps - 1))
        outputs, total, terms = self._loss()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        total, terms, error = self._averaged(outputs, total, terms)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.phase.optimizer.clip)
        # A loss may be infinite where its gradient is not.
        self.stopped.copy_(torch.maximum(self.stopped, (~(norm + total).isfinite()).float()))
        self.optimizer.step()
        if self.jepa.teacher is not None:
            self.jepa.teacher.update(self.jepa.encoder)
        if self.objective.contrast is not None:
            self.objective.contrast.push(outputs.target)
        used = outputs.quantized.codes + 1
        self.codes_used.index_add_(0, used, torch.ones_like(used))
        self.count += 1
        return Step(outputs, total, terms, norm, error)

    def _averaged(self, outputs: Outputs, own: torch.Tensor, terms: Terms) -> tuple[torch.Tensor, Terms, torch.Tensor]:
        """The gradients become those of the global batch, of which it returns total, terms and `prediction_error`.

        In one exchange after the backward pass: 5 M numbers are too few for hiding it behind that pass, as
        DistributedDataParallel does, to be worth hooks in what is compiled and recorded as a whole.
        """
        learned = [p for p in self.parameters if p.grad is not None]
        gradients = [p.grad for p in learned if p.grad is not None]
        moments = placed(error_moments(outputs, self.phase))
        total, terms, (moments, *averages) = global_terms(own, terms, [moments, *gradients])
        for parameter, average in zip(learned, averages, strict=True):
            parameter.grad = average
        return total, terms, relative_error(moments, len(outputs.target) * world_size())

    def train_step(self, averages: Averages) -> Step:
        """One update of the weights; whether the gradient was finite, `check` asks later."""
        if self.fast and self.step > 0 and self._loss == self._training_loss and self.objective.gradnorm is None:
            # Not before: the first step starts the codebook, with shapes that depend on data. A run that goes on from
            # a checkpoint has that behind it.
            self._loss = torch.compile(self._training_loss, dynamic=False, options=COMPILER)
        step = self._step()
        self.jepa.encoder.quantizer.after_step(step.outputs.quantized)
        self._collect(step, averages)
        self.step += 1
        return step

    def check(self, averages: Averages) -> None:
        """Waits for the device. Errors: NotFinite where a gradient was not; no weight was updated since."""
        wait_for_device()
        if self.stopped:
            columns = averages.columns()
            first = int((~(columns["grad_norm"] + columns["train_total"]).isfinite()).nonzero()[0])
            total, norm = (float(columns[name][first]) for name in ("train_total", "grad_norm"))
            step = self.step - len(columns["grad_norm"]) + first
            raise NotFinite(step, total, norm)

    @torch.no_grad()
    def _collect(self, step: Step, averages: Averages) -> None:
        """The step's row of losses.csv: nothing here waits for the device."""
        row: dict[str, torch.Tensor | float] = {"lr": self.rate, "grad_norm": step.norm}
        row |= loss_values("train", step.total, step.terms)
        row["train_prediction_error"] = step.error
        if self.objective.contrast is not None:
            row |= {"temperature": self.objective.contrast.temperature, "queue_fill": self.objective.contrast.fill}
        averages.add(row)

    def _validated(self) -> list[Row]:
        self.jepa.eval(), self.objective.eval()
        rows = self._validation_losses()
        self.jepa.train(), self.objective.train()
        return rows

    @torch.no_grad()
    def validate(self, averages: Averages) -> None:
        """All terms on the fixed validation sequences; changes nothing, the codebook included."""
        for row in self._validate():
            averages.add(row)
        wait_for_device()

    @torch.no_grad()
    def step_row(self, outputs: Outputs, epoch: int) -> tuple[Row, Moments]:
        """A row of steps.csv and what its geometry is to be worked out from; what it says of codes is of the steps
        since the last one."""
        row: Row = {"step": self.step, "epoch": epoch}
        quantizer = self.jepa.encoder.quantizer
        if quantizer.codes:
            row |= codes(summed(self.codes_used)[1:])
        if isinstance(quantizer, CodebookQuantizer) and self.phase.quantizer.refresh.enabled:
            row["refreshed_codes"], quantizer.refreshed = quantizer.refreshed, 0
        self.codes_used.zero_()
        return row, moments(torch.stack([gathered(outputs.context[:, -1]), gathered(outputs.target)]), self.slices)
