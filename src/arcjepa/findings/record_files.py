"""A run folder to a record: strict about what is written unless asked to be lenient, indifferent to what is not."""

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
from arcjepa.files import counted, read_bytes, read_vouched, remake, show_value
from arcjepa.findings.records import EPOCH_COLUMNS, STEP_COLUMNS, Broken, Record, make_record
from arcjepa.vouchers import is_as_written

FILES = ("epochs.csv", "steps.csv", "losses.csv", "run.json")
SHOWN = 8
"""Columns that a message lists at most."""
_STATE = ("lr", "temperature", "queue_fill")
LOSS_COLUMNS = (
    *("epoch", "grad_norm", "clip_factor", *_STATE),
    *(name for name in EPOCH_COLUMNS if name.startswith("train_")),
)
_TABLES = (
    ("epochs.csv", "epoch", EPOCH_COLUMNS),
    ("steps.csv", "step", STEP_COLUMNS),
    ("losses.csv", "step", LOSS_COLUMNS),
)


def read_record(folder: Path, tree: Mapping[str, Any] | None = None, lenient: bool = False) -> Record:
    """The record in a run folder.

    `tree`: params.yaml as it was read. `lenient`: what is damaged is left out and said, and the rest is judged. Errors:
    UserError naming file, line, column and value of what is damaged; for a folder without a record, or with none that
    can be read, in any case.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is not a folder; give that of a run, such as results/runs/laptop/phase2/seed0")
    if not any((folder / name).is_file() for name in FILES):
        raise UserError(f"{folder}: holds none of {', '.join(FILES)}; give the folder of a run")
    broken: list[Broken] = []
    damaged: list[str] = []
    summary = _read_summary(folder / "run.json", damaged)
    tables = {name: _read_table(folder / name, key, columns, (broken, damaged)) for name, key, columns in _TABLES}
    left = bool(summary) or any(map(len, tables.values()))
    if damaged and not (lenient and left):
        # What run.json does not vouch for is said with its path and what to type.
        raise UserError(damaged[0] if str(folder) in damaged[0] else f"{folder}/{damaged[0]}; mend it")
    epochs = _with_losses(tables["epochs.csv"], tables["losses.csv"])
    record = make_record(_name(folder, summary), epochs, tables["steps.csv"], summary, tree)
    return replace(record, broken=(*broken, *record.broken), damaged=tuple(dict.fromkeys(damaged)))


def _name(folder: Path, summary: Mapping[str, Any]) -> str:
    """As the run calls itself; "SCALE/PHASE/seedN" where the folder lies so; else the folder's name."""
    parts = folder.resolve().parts[-3:]
    ours = parts[-1].startswith("seed") and parts[-1].removeprefix("seed").isdigit()
    return str(summary.get("name") or ("/".join(parts) if ours else parts[-1]))


def _read_table(path: Path, key: str, columns: tuple[str, ...], faults: tuple[list[Broken], list[str]]) -> pd.DataFrame:
    """The key and those columns that the file has; an empty table where there is no file, or none that can be read.

    `faults`: cells that are not finite are added to its first part; rows and cells that are no table, to its second.
    """
    broken, damaged = faults
    rows = _read_rows(path, damaged)
    if not rows:
        return pd.DataFrame()
    header = [name.strip() for name in rows[0]]
    if key not in header:
        damaged.append(f"{path.name}: column {key!r} is missing, it has {', '.join(header[:SHOWN])}")
        return pd.DataFrame()
    kept = {name: header.index(name) for name in (key, *columns) if name in header}
    table: dict[str, list[float]] = {name: [] for name in kept}
    for line, row in enumerate(rows[1:], start=2):
        at, problem = _place(row, header, kept[key])
        if at is None:
            damaged.append(f"{path.name}: line {line}: {problem}")
            continue
        for name, column in kept.items():
            value = _number(row[column], f"{path.name}: line {line}: {name}", damaged)
            if value is not None and not math.isfinite(value):
                broken.append(Broken(path.name, at, name, row[column].strip()))
            table[name].append(value if value is not None and math.isfinite(value) else math.nan)
    return pd.DataFrame(table)


def _read_rows(path: Path, damaged: list[str]) -> list[list[str]]:
    """The cells of a table, header first, without a last row that was cut; none where that is unreadable."""
    if not path.exists():
        return []
    try:
        text = _read_text(path, damaged)
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        damaged.append(f"{path.name}: is not a CSV table in UTF-8: {error}")
        return []
    except OSError as error:
        damaged.append(f"{path.name}: cannot be read: {error.strerror}")
        return []
    if len(rows) > 1 and not text.endswith(("\n", "\r")):
        # A number that was cut is a number too.
        damaged.append(f"{path.name}: line {len(rows)}: the last one, which no line break ends, may be cut")
        rows.pop()
    return rows


def _read_text(path: Path, damaged: list[str]) -> str:
    """Also of a file that is not what run.json vouches for."""
    content = read_bytes(path)
    try:
        content = read_vouched(path)
    except UserError as error:
        # Of a run.json that is damaged this is known already.
        if not any(text.startswith("run.json: ") for text in damaged):
            damaged.append(str(error))
    return content.decode("utf-8-sig")


def _place(row: list[str], header: list[str], key: int) -> tuple[int | None, str]:
    """Epoch or step of a row; None and why where it is not a row of this table."""
    if len(row) != len(header):
        return None, f"{counted(len(row), 'cell')}, the header has {len(header)}"
    try:
        value = float(row[key])
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value != int(value) or value < 0:
        return None, f"{header[key]}: is {row[key][:40]!r}, must be a whole number from 0 on"
    return int(value), ""


def _number(text: str, where: str, damaged: list[str]) -> float | None:
    """None for an empty cell, and for one that holds no number."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        damaged.append(f"{where}: is {text[:40]!r}, must be a number or empty")
        return None


def _read_summary(path: Path, damaged: list[str]) -> dict[str, Any]:
    """run.json without what is damaged; {} where there is none."""
    try:
        summary = json.loads(read_bytes(path).decode())
    except FileNotFoundError:
        return {}
    except OSError as error:
        damaged.append(f"{path.name}: cannot be read: {error.strerror}")
        return {}
    except (ValueError, RecursionError) as error:  # of JSON and of UTF-8
        damaged.append(f"{path.name}: is not JSON: {error}")
        return {}
    if not isinstance(summary, dict):
        damaged.append(f"{path.name}: must be a JSON object, is a {type(summary).__name__}")
        return {}
    if not is_as_written(summary, path.name):
        again = f"make it again with `{remake(path)}`"
        damaged.append(f"{path.name}: is not what was written there, by the SHA-256 that it records of itself; {again}")
    if not isinstance(summary.get("settings", {}), dict):
        damaged.append(
            f"{path.name}: settings: is {show_value(summary.pop('settings'))}, must be a mapping of settings"
        )
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
