"""What is missing from a record that should be there, and what is in it that is no number."""

import itertools
from collections import Counter

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.files import counted
from arcjepa.findings.finding import Finding, Rule
from arcjepa.findings.records import Axis, Broken, Record

SHOWN, SOME = 10, 3
"""Names, and sentences, that a message lists at most."""
LOSSES = ("train_", "val_", "grad_norm_")
ESSENTIAL = ("train_total", "train_prediction", "val_total", "grad_norm_mean", "grad_norm_max")
"""What every run has: without any finite value it diverged."""
SPARSE = 0.2
"""Share of the rows, up to its last value, that a column lacks which was not recorded in every row."""
EPOCH_FILES = ("epochs.csv", "losses.csv")
EVEN = 0.75
"""Share of the rows at one distance from the last that makes the others gaps, not a sparse record."""
DENSE, FEWEST = 0.8, 3
"""Share of its values that a column has in neighbouring rows, and how many these are at least, to be without holes."""


def non_finite(record: Record, limits: Thresholds) -> Finding | None:
    """A cell holds nan or an infinity. An empty cell is no fault, nor is a nan that stands for one."""
    cells = [cell for cell in record.broken if cell.column and not _unrecorded(record, cell)]
    if len(cells) <= limits.gaps:
        return None
    first = min(cells, key=lambda cell: (cell.file != "epochs.csv", cell.row))
    rows = [cell.row for cell in cells if cell.file == first.file]
    columns = list(dict.fromkeys(cell.column for cell in cells))
    axis: Axis = "epoch" if first.file == "epochs.csv" else "step"
    return Finding(
        "values that are not finite",
        "critical",
        f"{counted(len(cells), 'cell')} {'holds' if len(cells) == 1 else 'hold'} nan or inf, first {first.column} in "
        f"{first.file}, {axis} {first.row}.",
        {"cells": len(cells), "columns": ", ".join(columns[:SHOWN]), "first_value": first.text},
        "gaps",
        limits.gaps,
        "The loss overflowed, or was computed from nothing; all later weights are suspect.",
        "Halve the learning rate, and clip lower.",
        axis,
        min(rows),
        max(rows),
        record.tries(
            {"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)},
            {"optimizer.clip": record.scaled("optimizer.clip", 0.5, 1.0)},
        ),
    )


def _unrecorded(record: Record, cell: Broken) -> bool:
    """Whether a nan says that nothing was recorded: of a mechanism that the run has not, or in a sparse column.

    Weights that are nan stay so and make every loss nan: a column that others outlive, or that comes back, is sparse.
    """
    table = record.epochs if cell.file in EPOCH_FILES else record.steps
    if cell.column not in table or not cell.text.lower().endswith("nan"):
        return False
    known = table[cell.column].notna()
    if not known.any():
        return cell.column not in ESSENTIAL
    last = int(known.index[known][-1])
    gaps = float((~known.loc[:last]).mean())
    return gaps >= SPARSE and (cell.row < last or bool(table.loc[cell.row].notna().any()))


def incomplete(record: Record, limits: Thresholds) -> Finding | None:
    """A file, a row or a cell could not be read, or is not what run.json recorded."""
    places = len(record.damaged)
    if places <= limits.gaps:
        return None
    return Finding(
        "incomplete record",
        "warning",
        f"{counted(places, 'place')} could not be read: {'; '.join(record.damaged[:SOME])}"
        + (f"; and {places - SOME} more." if places > SOME else "."),
        {"places": places},
        "gaps",
        limits.gaps,
        "A job that was killed while it wrote leaves half a row; else the file was edited or damaged.",
        "Train it again, or mend the file; other findings hold for what could be read.",
        *record.span,
    )


def missing_epochs(record: Record, limits: Thresholds) -> Finding | None:
    """Epochs are missing from a record that holds most of them, lack a loss that the others have, or come twice."""
    if not len(record.epochs):
        return None
    last = int(record.epochs.index[-1])
    missing = [*absent(record.epochs.index.tolist()), *_cut_off(record, last)]
    losses = [name for name in map(str, record.epochs) if name.startswith(LOSSES)]
    empty = sorted({epoch for name in losses for epoch in holes(record, name)})
    twice = sorted({cell.row for cell in record.broken if not cell.column and cell.file == "epochs.csv"})
    kinds = {"missing": missing, "without a value that others have": empty, "twice": twice}
    rows = [*missing, *empty, *twice]
    if len(rows) <= limits.gaps:
        return None
    return Finding(
        "missing epochs",
        "warning",
        "The record is not whole: epochs " + "; ".join(f"{k}: {_listed(v)}" for k, v in kinds.items() if v) + ".",
        {"missing": len(missing), "empty": len(empty), "twice": len(twice), "recorded": len(record.epochs)},
        "gaps",
        limits.gaps,
        "The run was interrupted, started again in the same folder, or its table was edited.",
        "Train it again; other findings on this record hold for the epochs that are there.",
        "epoch",
        min(rows),
        max(rows),
    )


def absent(epochs: list[int]) -> list[int]:
    """Rows that break the even distance of the others; none in a sparse record, where only some were printed."""
    gap = _even(epochs)
    if not gap:
        return []
    # Every tenth epoch is often printed beside the first: where most rows lie counts, not where they begin.
    (rest, _), *_ = Counter(epoch % gap for epoch in epochs).most_common(1)
    return sorted(set(range(rest or gap, epochs[-1], gap)) - set(epochs))


def _even(epochs: list[int]) -> int:
    """The distance that most rows keep; 0 where there is none."""
    gaps = [b - a for a, b in itertools.pairwise(epochs)]
    (gap, count), *_ = Counter(gaps).most_common(1) or [(0, 0)]
    return gap if count >= EVEN * len(gaps) else 0


def _cut_off(record: Record, last: int) -> list[int]:
    """Epochs that run.json counts after the last row of a record that holds every epoch up to there."""
    run = record.summary.get("epochs")
    whole = list(record.epochs.index) == list(range(1, last + 1))
    return list(range(last + 1, run + 1)) if whole and isinstance(run, int) else []


def holes(record: Record, column: str) -> list[int]:
    """Rows without a value in a column that has one in most neighbouring rows, from its first value on.

    A loss that was nan may come as an empty cell; one that is recorded every few epochs has no neighbours.
    """
    known = record.epochs[column].notna()
    if known.all():
        return []
    known = known[known.cummax()]
    together = int((known & known.shift(fill_value=False)).sum())
    if not _even(record.epochs.index.tolist()) or together < DENSE * (int(known.sum()) - 1) or together < FEWEST:
        return []
    said = {cell.row for cell in record.broken if cell.column == column}
    return [int(epoch) for epoch in known.index[~known] if epoch not in said]


def _listed(epochs: list[int]) -> str:
    shown = ", ".join(map(str, epochs[:SHOWN]))
    return shown + (f" and {len(epochs) - SHOWN} more" if len(epochs) > SHOWN else "")


RULES = (
    Rule("incomplete record", incomplete),
    Rule("values that are not finite", non_finite),
    Rule("missing epochs", missing_epochs),
)
