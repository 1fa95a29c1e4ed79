"""The record of a run, plain files that figures and diagnosis read: losses.csv has a row for every step, steps.csv one
for every hundredth or less, epochs.csv one for every epoch, run.json the run as a whole.

SCHEMA says what each column is. Shapes: K codes, T steps.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from arcjepa.events import Events
from arcjepa.files import write_atomic
from arcjepa.moments import GEOMETRY
from arcjepa.objectives import Terms
from arcjepa.quantizer import usage_and_perplexity
from arcjepa.vouchers import write_voucher

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]


class Column(NamedTuple):
    """A column of a CSV file, or a key of run.json. A value that a phase does not have is empty."""

    name: str
    unit: str
    """"1" for plain numbers."""
    meaning: str


_TERMS = {
    "prediction": ("nats, or squared units", "InfoNCE, or the squared error of LeJEPA per dimension"),
    "sigreg": ("1", "SIGReg, the mean over frame positions; its normalised form is over N"),
    "invariance": ("squared length", "squared distance of unit-length embeddings of the query and of a view of it"),
    "relational": ("1", "difference between the distances of adjacent objects in context and target"),
    "hard_negatives": ("nats", "to tell the target from its near misses and from the frames of its context"),
    "commitment": ("squared units", "squared distance of objects to their codes, per channel"),
}
TERMS = tuple(_TERMS)


def _losses(split: str) -> tuple[Column, ...]:
    columns = []
    for term, (unit, meaning) in _TERMS.items():
        columns.append(Column(f"{split}_{term}", unit, meaning))
        columns.append(Column(f"{split}_{term}_weighted", "loss", f"{split}_{term} times its weight"))
    return tuple(columns)


def _totals(split: str) -> tuple[Column, ...]:
    error = "squared error of the prediction over the variance of the target; 1 is no better than the mean"
    return (
        Column(f"{split}_total", "loss", "sum of the weighted terms"),
        Column(f"{split}_prediction_error", "ratio", error),
    )


_STEP = Column("step", "steps", "steps taken when the row was written")
_EPOCH = Column("epoch", "epochs", "epoch of the row, counted from 1")
_STATE = (
    Column("lr", "1", "learning rate of the step"),
    Column("temperature", "1", "learned softmax temperature of InfoNCE, after the step"),
    Column("queue_fill", "share", "share of the queue of negatives in use, after the step"),
)
SCHEMA: dict[str, tuple[Column, ...]] = {
    "losses.csv": (
        *(_STEP, _EPOCH, *_STATE),
        Column("grad_norm", "1", "norm of the gradient before clipping"),
        Column("clip_factor", "ratio", "what clipping multiplied the gradient by; 1 is unclipped"),
        *(*_losses("train"), *_totals("train")),
    ),
    "steps.csv": (
        *(_STEP, _EPOCH),
        Column("code_usage", "share", "codes used since the last row, over all codes"),
        Column("active_codes", "codes", "codes used since the last row"),
        Column("perplexity", "codes", "exp(entropy) of the assignments since the last row"),
        Column("refreshed_codes", "codes", "unused codes replaced since the last row"),
        *(
            Column(f"{name}_{side}", unit, f"{meaning}; {whose}")
            for side, whose in (("context", "query frames of the batch"), ("target", "target frames of the batch"))
            for name, (unit, meaning) in GEOMETRY.items()
        ),
    ),
    "epochs.csv": (
        *(_EPOCH, _STEP),
        Column("seconds", "seconds", "wall-clock time of the epoch, validation included"),
        Column("sequences_per_second", "1/second", "training sequences over `seconds`"),
        *_STATE,
        Column("grad_norm_mean", "1", "norm of the gradient before clipping, mean over the epoch's steps"),
        Column("grad_norm_max", "1", "norm of the gradient before clipping, largest of the epoch"),
        Column("clipped_share", "share", "share of the epoch's steps whose gradient was clipped"),
        Column("clip_factor_median", "ratio", "clip_factor, median over the epoch's steps"),
        Column("admitted_share", "share", "share of the training tasks that the curriculum admits"),
        *(*_losses("train"), *_losses("val"), *_totals("train"), *_totals("val")),
        Column("val_prediction_queue", "nats", "InfoNCE with training's queue among the negatives, as in training"),
    ),
    "run.json": (
        Column("seed", "1", "what draws weights, data and views"),
        Column("device", "name", "the GPU, or cpu"),
        Column("torch", "version", "version of PyTorch"),
        Column("ranks", "processes", "how many trained together, each on its share of every batch"),
        Column("seconds", "seconds", "wall-clock time of the training"),
        Column("sequences_per_second", "1/second", "training sequences over `seconds`"),
        Column("steps", "steps", "steps taken"),
        Column("epochs", "epochs", "epochs run; fewer than settings.training.epochs after an early stop"),
        Column("best_epoch", "epochs", "the epoch whose weights were kept"),
        Column("training_tasks", "tasks", "tasks to train on"),
        Column("real_tasks", "tasks", "those of them that are not synthetic"),
        Column("training_frames", "frames", "grids of these tasks"),
        Column("validation_tasks", "tasks", "tasks to validate on"),
        Column("validation_batch", "sequences", "sequences of a batch in validation: fewer where there are fewer"),
        Column("encoder_parameters", "parameters", "learned numbers of the encoder"),
        Column("predictor_parameters", "parameters", "learned numbers of the predictor"),
        Column("hyperparameters", "leaves", "settings of loss, quantizer, optimizer and stopping that are in use"),
        Column("settings", "leaves", "all that the run was trained with; what is switched off is left out"),
        Column("files", "digests", "SHA-256 of the tables beside it and of all else here, so that damage is noticed"),
    ),
}
LOSS_COLUMNS, STEP_COLUMNS, EPOCH_COLUMNS, RUN_KEYS = (tuple(c.name for c in part) for part in SCHEMA.values())


def schema() -> "pd.DataFrame":
    """SCHEMA as a table: file, name, unit, meaning."""
    import pandas as pd  # here, as training needs none of it

    rows = [(file, *column) for file, columns in SCHEMA.items() for column in columns]
    return pd.DataFrame(rows, columns=["file", *Column._fields])


class Averages:
    """Rows of scalars, one a step. Tensors stay on their device: asking for them or their means is one transfer."""

    def __init__(self) -> None:
        self._names: tuple[list[str], list[str]] = [], []
        self._tensors: list[torch.Tensor] = []
        self._numbers: list[list[float]] = []
        self._columns: dict[str, torch.Tensor] | None = None

    @torch.no_grad()
    def add(self, row: Mapping[str, torch.Tensor | float]) -> None:
        """A row; all rows have the same names, and tensors under the same."""
        tensors = {name: value for name, value in row.items() if isinstance(value, torch.Tensor)}
        numbers = {name: value for name, value in row.items() if not isinstance(value, torch.Tensor)}
        names = list(tensors), list(numbers)
        assert not self._tensors or names == self._names, "all rows have the same names"
        self._names, self._columns = names, None
        self._tensors.append(torch.stack([value.float() for value in tensors.values()]))
        self._numbers.append(list(numbers.values()))

    def columns(self) -> dict[str, torch.Tensor]:
        """All values by name, (T,) float32 on the CPU. In place of `x_weight` there is `x_weighted`, x times that."""
        if self._columns is None:
            tables = torch.stack(self._tensors).cpu(), torch.tensor(self._numbers)
            columns = {
                name: column
                for names, table in zip(self._names, tables, strict=True)
                for name, column in zip(names, table.T.contiguous(), strict=True)
            }
            for name in [name for name in columns if name.endswith("_weight")]:
                columns[f"{name}ed"] = columns[name.removesuffix("_weight")] * columns.pop(name)
            self._columns = columns
        return self._columns

    def means(self) -> dict[str, float]:
        """Mean by name."""
        return {name: float(values.mean()) for name, values in self.columns().items()}

    def __len__(self) -> int:
        return len(self._tensors)

    def held(self) -> tuple[tuple[list[str], list[str]], torch.Tensor, torch.Tensor]:
        """Names of tensors and of numbers, and their values exactly, both (T, ...) on the CPU. There must be a row."""
        return self._names, torch.stack(self._tensors).cpu(), torch.tensor(self._numbers, dtype=torch.float64)

    def take(self, names: tuple[list[str], list[str]], tensors: torch.Tensor, numbers: torch.Tensor) -> None:
        """Become what `held` gave, its tensors (T, ...) on the device of the rows to come."""
        self._names, self._tensors, self._numbers, self._columns = names, [*tensors], numbers.tolist(), None


def rows(columns: Mapping[str, torch.Tensor]) -> Iterator[Row]:
    """Columns (T,) as T rows."""
    for values in zip(*(column.tolist() for column in columns.values()), strict=True):
        yield dict(zip(columns, values, strict=True))


def loss_values(split: str, total: torch.Tensor, terms: Terms) -> dict[str, torch.Tensor | float]:
    """The total, and value and weight of every term, for a row of Averages: multiplying them can wait until then."""
    values: dict[str, torch.Tensor | float] = {f"{split}_total": total}
    for name, (raw, weight) in terms.items():
        values |= {f"{split}_{name}": raw, f"{split}_{name}_weight": weight}
    return values


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows of a CSV file."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


class Table:
    """A CSV file with fixed columns that grows row by row; absent values are empty. `events` gets the same rows."""

    def __init__(self, path: Path, columns: tuple[str, ...], events: Events | None = None) -> None:
        self.path, self.columns, self.events = path, columns, events
        self.content = _lines([columns])
        """All that was recorded. The file may hold less: Snakemake removes it where it cancels a job that still saves
        its state, and anyone may delete or empty it meanwhile."""
        path.write_bytes(self.content)

    def append(self, *rows: Row) -> None:
        """Some rows. Errors: KeyError for a column that the schema lacks."""
        for row in rows:
            _check(row, self.columns, self.path)
        lines = _lines([_text(row.get(name)) for name in self.columns] for row in rows)
        self.content += lines
        with self.path.open("ab") as file:
            file.write(lines if file.tell() else self.content)
        if self.events is not None:
            self.events.add(self.path.stem, rows)

    def settle(self) -> None:
        """Have the file hold all that was recorded, whatever was done to it meanwhile."""
        if not self.path.is_file() or self.path.read_bytes() != self.content:
            write_atomic(self.path, self.content)


class Record:
    """The files of one run in `folder`, begun anew; TensorBoard's in `events`, where that is given.

    Of a run that goes on after the step `resumed`, `take` brings back the tables.
    """

    def __init__(self, folder: Path, events: Path | None = None, resumed: int | None = None) -> None:
        self.folder, self.events = folder, None if events is None else Events(events, resumed)
        self.losses = Table(folder / "losses.csv", LOSS_COLUMNS, self.events)
        self.steps = Table(folder / "steps.csv", STEP_COLUMNS, self.events)
        self.epochs = Table(folder / "epochs.csv", EPOCH_COLUMNS, self.events)

    @property
    def tables(self) -> tuple[Table, ...]:
        return self.losses, self.steps, self.epochs

    def held(self) -> dict[str, bytes]:
        """The tables by name, as they were written."""
        return {table.path.name: table.content for table in self.tables}

    def take(self, tables: Mapping[str, bytes]) -> None:
        """Begin with the tables that `held` gave. Errors: KeyError where one is missing."""
        for table in self.tables:
            table.content = tables[table.path.name]
            table.path.write_bytes(table.content)

    def finish(self, summary: Row) -> None:
        """run.json: what the whole run amounts to, and the tables whole. Errors: KeyError for a key that the schema
        lacks."""
        path = self.folder / "run.json"
        _check(summary | {"files": {}}, RUN_KEYS, path)
        for table in self.tables:
            table.settle()
        write_voucher(path, summary, sort_keys=True)

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *_: object) -> None:
        if self.events is not None:
            self.events.close()


def codes(counts: torch.Tensor) -> dict[str, float]:
    """Code usage of assignments (K,) since the last row."""
    usage, perplexity = usage_and_perplexity(counts)
    return {"code_usage": float(usage), "active_codes": int((counts > 0).sum()), "perplexity": float(perplexity)}


def _check(row: Mapping[str, Any], allowed: tuple[str, ...], path: Path) -> None:
    unknown = set(row) - set(allowed)
    if unknown:
        raise KeyError(f"{path.name}: no column {', '.join(sorted(unknown))}")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
