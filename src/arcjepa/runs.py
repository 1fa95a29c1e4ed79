"""A run: one phase with one seed, from tokens to a folder with the encoder and its record."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from arcjepa.checkpoint import Checkpoints, State
from arcjepa.config import checked_start, hyperparameters, resolved
from arcjepa.corpus import Corpus
from arcjepa.device import resolve_device
from arcjepa.encoder_files import save_encoder
from arcjepa.errors import UserError
from arcjepa.files import write_json
from arcjepa.moments import Moments, geometry, sides
from arcjepa.ranks import from_first, rank, world_size
from arcjepa.record import Averages, Record, Row, rows
from arcjepa.resumption import Position, Session, restore, saving
from arcjepa.settings import Phase
from arcjepa.trainer import NotFinite, Trainer

NOT_FINITE = "not_finite.json"


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
    checkpoints: Path | None = None
    """For checkpoints, which are gone once the run is over; without it there are none."""
    code: str = ""
    """Digest of the code: a run goes on from checkpoints of the same alone."""
    change_ranks: bool = False
    """Whether it may go on with another number of ranks than it began with, which changes what is rounded."""


def train(phase: Phase, corpus: Corpus, run: Run, progress: Callable[[str], None]) -> None:
    """Train, and write encoder.safetensors and the record into the run's folder.

    Where a run like this one was interrupted, it goes on after its last checkpoint, and ends as if it never had been.
    Every rank of a process group has to call it with the same arguments; the first one writes and reports.
    `progress(line)` is called once an epoch. Errors: UserError for settings that params.yaml could not have, a missing
    GPU, a missing tensorboard, a loss that is not finite, checkpoints that cannot be read or written or are of another
    number of ranks, and a run that is being trained already; SystemExit after a signal of `signals.ENDING`.
    """
    phase = checked_start(phase, run.seed, run.device)
    device = resolve_device(run.device)
    checkpoints = checkpoints_of(phase, corpus, run, device, progress)
    first = checkpoints is not None and rank() == 0
    with _for_rank(run) as run, checkpoints.owned() if checkpoints and first else nullcontext():
        _train(phase, corpus, run, device, checkpoints, progress if rank() == 0 else _silent)
        if checkpoints and first:
            checkpoints.clear()


def _silent(line: str) -> None:
    """What ranks other than the first say."""


@contextmanager
def _for_rank(run: Run) -> Iterator[Run]:
    """The run as this rank has it: others than the first keep no record."""
    if rank() == 0:
        yield run
        return
    with TemporaryDirectory() as folder:
        yield replace(run, folder=Path(folder), events=Path(folder))


def _train(
    phase: Phase,
    corpus: Corpus,
    run: Run,
    device: str,
    checkpoints: Checkpoints | None,
    progress: Callable[[str], None],
) -> None:
    saved = None if checkpoints is None else _last(checkpoints, run.change_ranks)
    (run.folder / NOT_FINITE).unlink(missing_ok=True)
    events = run.events if phase.training.tensorboard else None
    resumed = None if saved is None else saved.numbers["step"]
    # Eigenvalues for steps.csv are worked out beside the training.
    with Record(run.folder, events, resumed) as record, ThreadPoolExecutor(max_workers=1) as beside:
        session = Session(Trainer(phase, corpus, run.seed, device), record, beside, Position())
        if saved is not None:
            restore(saved, session)
        try:
            with saving(checkpoints, phase.training.checkpoint_seconds) as after_step:
                _epochs(session, after_step, progress)
        except NotFinite as error:
            raise UserError(f"{error}; {_keep_batch(session.trainer, corpus, run.folder, error)}") from None
        trainer, position = session.trainer, session.position
        if position.best_weights is not None:
            trainer.jepa.load_state_dict(position.best_weights)
        save_encoder(run.folder / "encoder.safetensors", trainer.jepa, phase, corpus.tokens)
        lasted = {"epochs": position.epoch, "best_epoch": position.best_epoch or position.epoch}
        record.finish(_summary(trainer, corpus, time.perf_counter() - position.started) | lasted)


def _last(checkpoints: Checkpoints, change_ranks: bool) -> State | None:
    """The checkpoint to go on from, the same on all ranks. Errors: UserError where so many ranks may not."""
    state = checkpoints.newest() if rank() == 0 else None
    step = int(from_first(torch.tensor([-1 if state is None else state.numbers["step"]])))
    if step < 0:
        return None
    state = state or checkpoints.at(step)
    ranks = state.numbers.get("ranks", world_size())  # what lacks it is told by `restore`
    if ranks != world_size() and not change_ranks:
        raise UserError(
            f"params.yaml: ranks: is {world_size()}, and the checkpoint in {checkpoints.own} is of {ranks}: set it "
            f"back, or go on with other roundings by change_ranks: true, or train from the start after "
            f"rm -r {checkpoints.own}"
        )
    return state


def checkpoints_of(
    phase: Phase, corpus: Corpus, run: Run, device: str, progress: Callable[[str], None]
) -> Checkpoints | None:
    """Those of exactly this run: what its numbers depend on is their identity."""
    if run.checkpoints is None:
        return None
    identity = {
        "settings": resolved(phase),
        "tokens": corpus.digest(),
        "seed": run.seed,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "code": run.code,
    }
    return Checkpoints(run.checkpoints, identity, progress)


def _epochs(session: Session, after_step: Callable[[Session], None], progress: Callable[[str], None]) -> None:
    """From where the session stands to its last epoch."""
    trainer, position = session.trainer, session.position
    phase = trainer.phase
    # The squared error of LeJEPA grows with the embeddings' variance, which SIGReg brings to 1 first.
    watched = "val_prediction" if phase.loss.prediction == "infonce" else "val_prediction_error"
    while True:
        row = _epoch(session, after_step)
        progress(_line(row, phase, time.perf_counter() - position.started))
        if phase.stopping.enabled and row[watched] < position.best - phase.stopping.min_delta:
            weights = deepcopy(trainer.jepa.state_dict())
            position.best, position.best_epoch, position.best_weights = row[watched], position.epoch, weights
        stalled = phase.stopping.enabled and position.epoch - position.best_epoch >= phase.stopping.patience
        if stalled or position.epoch == phase.training.epochs:
            return
        position.begin_epoch(position.epoch + 1)


def _epoch(session: Session, after_step: Callable[[Session], None]) -> Row:
    """Train for what is left of an epoch, validate, and write the rows of both; returns that of epochs.csv."""
    trainer, record, position = session.trainer, session.record, session.position
    epoch, trained, validated = position.epoch, position.trained, Averages()
    admitted = trainer.begin_epoch(epoch)
    while len(trained) < trainer.steps_per_epoch:
        step = trainer.train_step(trained)
        if trainer.step % trainer.row_interval == 0:
            trainer.check(trained)
            written = session.beside.submit(_write_row, record, *trainer.step_row(step.outputs, epoch))
            session.written.append(written)
        after_step(session)
    trainer.check(trained)
    trainer.validate(validated)
    columns, means = trained.columns(), trained.means() | validated.means()
    seconds = time.perf_counter() - position.epoch_started
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
    session.settle()
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


def _keep_batch(trainer: Trainer, corpus: Corpus, folder: Path, error: NotFinite) -> str:
    """What the step that was not taken was to learn from, in a file beside the record; returns where that is."""
    batch = trainer.draw(torch.tensor(error.step, device=trainer.device))  # that of all ranks
    tasks = corpus.training.pair_task[batch.target.cpu().numpy() // 2]
    path = folder / NOT_FINITE
    held = {"step": error.step, "seed": trainer.seed, "loss": str(error.total), "gradient_norm": str(error.norm)}
    held |= {"context": batch.context.tolist(), "target": batch.target.tolist(), "d8": batch.d8.tolist()}
    held |= {"colours": batch.colours.tolist(), "tasks": [corpus.training.task_ids[task] for task in tasks]}
    write_json(path, held)
    return f"its batch is in {path}"


def _summary(trainer: Trainer, corpus: Corpus, seconds: float) -> Row:
    """What run.json says of a run beside the epochs."""
    return {
        "seed": trainer.seed,
        "device": torch.cuda.get_device_name() if trainer.device == "cuda" else "cpu",
        "torch": torch.__version__,
        "ranks": world_size(),
        "seconds": round(seconds, 3),
        "sequences_per_second": round(trainer.step * trainer.phase.training.batch_size / seconds, 1),
        "steps": trainer.step,
        "training_tasks": len(corpus.training.task_ids),
        "real_tasks": corpus.real,
        "training_frames": len(corpus.training),
        "validation_tasks": len(corpus.validation.task_ids),
        "validation_batch": len(trainer.validation[0].target) * world_size(),
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
