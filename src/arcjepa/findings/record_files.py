"""A run folder to a record: strict about what is written, indifferent to what is not."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from arcjepa.errors import UserError
from arcjepa.files import read_vouched
from arcjepa.findings.records import EPOCH_COLUMNS, STEP_COLUMNS, Broken, Record, make_record

FILES = ("epochs.csv", "steps.csv", "losses.csv", "run.json")
_STATE = ("temperature", "queue_fill")
LOSS_COLUMNS = (
    *("epoch", "grad_norm", "clip_factor", *_STATE),
    *(name for name in EPOCH_COLUMNS if name.startswith("train_")),
)
_TABLES = (
    ("epochs.csv", "epoch", EPOCH_COLUMNS),
    ("steps.csv", "step", STEP_COLUMNS),
    ("losses.csv", "step", LOSS_COLUMNS),
)


def read_record(folder: Path, tree: Mapping[str, Any] | None = None) -> Record:
    """The record in a run folder.

    `tree`: params.yaml as it was read. Errors: UserError naming file, line, column and value.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is not a folder; give that of a run, such as results/runs/laptop/phase2/seed0")
    if not any((folder / name).is_file() for name in FILES):
        raise UserError(f"{folder}: holds none of {', '.join(FILES)}; give the folder of a run")
    broken: list[Broken] = []
    tables = {name: _read_table(folder / name, key, columns, broken) for name, key, columns in _TABLES}
    epochs = _with_losses(tables["epochs.csv"], tables["losses.csv"])
    summary = _read_summary(folder / "run.json")
    record = make_record(_name(folder, summary), epochs, tables["steps.csv"], summary, tree)
    return replace(record, broken=(*broken, *record.broken))


def _name(folder: Path, summary: Mapping[str, Any]) -> str:
    """As the run calls itself; "SCALE/PHASE/seedN" where the folder lies so; else the folder's name."""
    parts = folder.resolve().parts[-3:]
    ours = parts[-1].startswith("seed") and parts[-1].removeprefix("seed").isdigit()
    return str(summary.get("name") or ("/".join(parts) if ours else parts[-1]))


def _read_table(path: Path, key: str, columns: tuple[str, ...], broken: list[Broken]) -> pd.DataFrame:
    """The key and those columns that the file has; an empty table where there is no file."""
    rows = _read_rows(path)
    if not rows:
        return pd.DataFrame()
    header = [name.strip() for name in rows[0]]
    if key not in header:
        raise UserError(f"{path}: column {key!r} is missing, it has {', '.join(header)}")
    kept = {name: header.index(name) for name in (key, *columns) if name in header}
    table: dict[str, list[float]] = {name: [] for name in kept}
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise UserError(f"{path}: line {line}: {len(row)} cells, the header has {len(header)}; delete or mend it")
        at = _count(row[kept[key]], f"{path}: line {line}: {key}")
        for name, column in kept.items():
            value = at if name == key else _number(row[column], f"{path}: line {line}: {name}")
            if value is not None and not math.isfinite(value):
                broken.append(Broken(path.name, at, name, row[column].strip()))
            table[name].append(value if value is not None and math.isfinite(value) else math.nan)
    return pd.DataFrame(table)


def _read_rows(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    try:
        text = read_vouched(path).decode("utf-8-sig")
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a CSV table in UTF-8: {error}") from None


def _number(text: str, where: str) -> float | None:
    """None for an empty cell."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{where}: is {text[:40]!r}, must be a number or empty") from None


def _count(text: str, where: str) -> int:
    value = _number(text, where)
    if value is None or not math.isfinite(value) or value != int(value) or value < 0:
        raise UserError(f"{where}: is {text[:40]!r}, must be a whole number from 0 on")
    return int(value)


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON: {error}") from None
    if not isinstance(summary, dict):
        raise UserError(f"{path}: must be a JSON object, is a {type(summary).__name__}")
    return summary


def _with_losses(epochs: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """epochs.csv, with what it lacks taken from the losses of every step: means over the steps of an epoch."""
    if not len(losses) or "epoch" not in losses:
        return epochs
    grouped = losses.drop(columns=["step", "grad_norm", "clip_factor"], errors="ignore").groupby("epoch")
    found = grouped.mean()
    for name in set(_STATE) & set(found):
        found[name] = grouped[name].last()
    if "grad_norm" in losses:
        norms = losses.groupby("epoch")["grad_norm"]
        found["grad_norm_mean"], found["grad_norm_max"] = norms.mean(), norms.max()
    if "clip_factor" in losses:
        clipped = losses.assign(clipped=(losses["clip_factor"] < 1).where(losses["clip_factor"].notna()))
        found["clipped_share"] = clipped.groupby("epoch")["clipped"].mean()
        found["clip_factor_median"] = losses.groupby("epoch")["clip_factor"].median()
    if not len(epochs):
        return found.reset_index()
    by_epoch = found.reindex(epochs["epoch"]).set_axis(epochs.index)
    lacking = [name for name in by_epoch if name not in epochs or epochs[name].isna().all()]
    return epochs.drop(columns=lacking, errors="ignore").join(by_epoch[lacking])
