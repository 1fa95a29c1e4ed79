"""The analysed run as data: the tables of its analysis, and the run put together in the form of our own record.

The tables lie in data/raw/analysis as they were printed, percentages in per cent. tables.csv names each with its
section of the analysis, columns.csv gives every column its unit and meaning. What was not printed is empty.
"""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from arcjepa.errors import UserError
from arcjepa.files import write_atomic
from arcjepa.params import did_you_mean, leaves, put

ANALYSIS = Path("data/raw/analysis")
TEXT = "text"
"""Unit of a column of words."""
_OWN = {"tables": ("file", "section", "title"), "columns": ("file", "column", "unit", "meaning")}
_EPOCHS = {
    "mean": "grad_norm_mean",
    "max": "grad_norm_max",
    "infonce": "train_prediction",
    "sigreg": "train_sigreg_weighted",
    "invariance": "train_invariance_weighted",
    "relational": "train_relational_weighted",
    "total": "train_total",
    "val_loss": "val_total",
    "loss_to": "val_total",
}
"""Columns of the tables -> columns of epochs.csv."""
_STEPS = {
    "usage": "code_usage",
    "active_low": "active_codes",
    "context": "effective_rank_context",
    **{f"context_{name}": f"{name}_context" for name in ("variance", "isotropy")},
    "target": "effective_rank_target",
    **{f"target_{name}": f"{name}_target" for name in ("variance", "isotropy")},
}
"""Columns of the tables -> columns of steps.csv."""
_SETTINGS = {
    "training.epochs": "training.epochs",
    "training.gradient_clip.max_norm": "optimizer.clip",
    "training.early_stopping.patience": "stopping.patience",
    "training.early_stopping.min_delta": "stopping.min_delta",
    "optimizer.lr": "optimizer.lr",
    "optimizer.weight_decay": "optimizer.weight_decay",
    "loss.objective": "loss.prediction",
    "loss.temperature": "loss.infonce.temperature",
    "loss.temperature_min": "loss.infonce.temperature_min",
    "loss.temperature_max": "loss.infonce.temperature_max",
    "loss.queue_size": "loss.infonce.queue",
    "loss.use_target_encoder": "loss.teacher.enabled",
    "loss.target_ema_decay": "loss.teacher.decay",
    "sigreg.weight": "loss.sigreg.weight",
    "relational_loss.weight": "loss.relational.weight",
    "object_encoder.num_embeddings": "quantizer.codes",
    "object_encoder.commitment_cost": "quantizer.commitment.weight",
    "object_encoder.ema_decay": "quantizer.decay",
    "object_encoder.vq_refresh_enabled": "quantizer.refresh.enabled",
    "object_encoder.vq_refresh_interval": "quantizer.refresh.interval",
    "object_encoder.vq_refresh_usage_threshold": "quantizer.refresh.threshold",
    "data.context_window": "sequence.window",
}
"""Names in run_settings.csv -> our leaves of the same meaning."""
_IMPLIED = {
    "quantizer.kind": "vq",
    "loss.sigreg.enabled": True,
    "loss.invariance.enabled": True,
    "loss.relational.enabled": True,
    "loss.relational.form": "raw",
    "stopping.enabled": True,
}
"""What the analysis says without naming a setting."""
NOT_PRINTED = {"training.batch_size": 512, "model.embedding": 256, "loss.sigreg.form": "normalised"}
"""Settings that the analysis does not print; from the public code of the analysed run."""
_SHARE_OF_WEIGHT = ("relational_loss.context_self_weight", "relational_loss.weight", "loss.relational.self_share")


def load_table(name: str, folder: Path = ANALYSIS) -> pd.DataFrame:
    """A table by its name without .csv; columns of numbers as numbers, absent values NaN in these and "" in words.

    Errors: UserError naming the file, and the column and row where a value is no finite number.
    """
    table = load_text(name, folder)
    if name in _OWN:
        return table
    declared = load_text("columns", folder)
    units = declared[declared["file"] == f"{name}.csv"].set_index("column")["unit"]
    path = folder / f"{name}.csv"
    if list(units.index) != list(table):
        raise UserError(f"{path}: columns {_names(table)}; allowed by columns.csv: {', '.join(units.index)}")
    for column in map(str, table):
        if units[column] != TEXT:
            table[column] = [_number(text, f"{path}: {column}: row {n}") for n, text in enumerate(table[column], 1)]
    return table


def _number(text: str, where: str) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        value = math.inf
    if text and not math.isfinite(value):
        raise UserError(f"{where} is {text!r}; allowed: a finite number, or nothing")
    return value


def load_text(name: str, folder: Path = ANALYSIS) -> pd.DataFrame:
    """As `load_table`, with every value as it was printed, which tells the digits; "" where nothing was."""
    path = folder / f"{name}.csv"
    if name not in _OWN and not path.is_file():
        known = [Path(file).stem for file in load_text("tables", folder)["file"]]
        if name not in known:
            raise UserError(f"{folder}: no table {name!r}{did_you_mean(name, known)}")
    try:
        header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines(), strict=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found; take it from git: git checkout {path}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {error}; take it from git: git checkout {path}") from error
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise UserError(f"{path}: row {number} has {len(row)} values; allowed: {len(header)}, one a column")
    table = pd.DataFrame(rows, columns=header, dtype=str)
    if name in _OWN and tuple(table) != _OWN[name]:
        raise UserError(f"{path}: columns {_names(table)}; allowed: {', '.join(_OWN[name])}")
    return table


def _names(table: pd.DataFrame) -> str:
    return ", ".join(map(str, table))


def steps_per_epoch(folder: Path = ANALYSIS) -> int:
    """95: 7,600 steps in 80 epochs."""
    values = _values(folder)
    length: float = values["training.steps"] / values["training.epochs"]
    return round(length)


def epochs(folder: Path = ANALYSIS) -> pd.DataFrame:
    """The epochs that any table prints, with columns of epochs.csv: `epoch`, `step` and losses as they enter the total.

    Values that two tables print come from the one with more digits. Of a range of validation losses only the ends
    are known: the last one, and the first of the run.
    """
    names = ("appendix_losses", "training_losses", "gradient_norms", "appendix_gradients", "validation_points")
    ranges = load_table("validation_ranges", folder)
    start = ranges.rename(columns={"first_epoch": "epoch", "loss_from": "val_loss"})[["epoch", "val_loss"]].head(1)
    tables = [*(load_table(name, folder) for name in names), ranges.rename(columns={"last_epoch": "epoch"}), start]
    table = _joined(tables, "epoch", _EPOCHS)
    # The components add up to the total as they stand, so the weight of InfoNCE is 1.
    after = list(table).index("train_prediction") + 1
    table.insert(after, "train_prediction_weighted", table["train_prediction"])
    table.insert(1, "step", table["epoch"] * steps_per_epoch(folder))
    return table


def steps(folder: Path = ANALYSIS) -> pd.DataFrame:
    """The steps that any table prints, with columns of steps.csv; `code_usage` is a share of 0 to 1.

    Ranges of steps are left to codebook_usage.csv, but for the two values beside the refresh that its timeline prints:
    they stand at the recorded steps before and after it, where the ranges allow 13-18 % and 13-15 %.
    """
    ranges = load_table("codebook_usage", folder)
    single = ranges[ranges["first_step"] == ranges["last_step"]].assign(step=lambda t: t["first_step"])
    tables = [
        *(load_table(name, folder) for name in ("appendix_embeddings", "effective_rank", "variance_isotropy")),
        single.rename(columns={"usage_low": "usage"}),
        _beside_refresh(ranges, load_table("refresh_events", folder)),
    ]
    table = _joined(tables, "step", _STEPS)
    table["code_usage"] /= 100
    # An epoch of our record counts from 1 and holds the steps up to its last.
    table.insert(1, "epoch", -(-table["step"] // steps_per_epoch(folder)))
    return table


def _beside_refresh(ranges: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    event = events.set_index("event")
    spike, drop = event.loc["usage spike"], event.loc["subsequent drop"]
    before = ranges.loc[ranges["last_step"] < spike["step"], "last_step"].max(), spike["usage_from"], math.nan
    after = ranges.loc[ranges["first_step"] > spike["step"], "first_step"].min(), drop["usage_to"], drop["active_codes"]
    return pd.DataFrame([before, after], columns=["step", "usage", "active_low"])


def _joined(tables: list[pd.DataFrame], key: str, names: dict[str, str]) -> pd.DataFrame:
    """The union of the tables' rows, a value from the first table that has it; columns in the order of `names`."""
    cells: dict[int, dict[str, float]] = {}
    for table in tables:
        for row in table.to_dict("records"):
            printed = {names[str(c)]: v for c, v in row.items() if c in names and not math.isnan(v)}
            if printed:
                cells[int(row[key])] = printed | cells.get(int(row[key]), {})
    union = pd.DataFrame.from_dict(cells, orient="index", columns=list(dict.fromkeys(names.values())))
    return union.sort_index().rename_axis(key).reset_index()


def settings(folder: Path = ANALYSIS) -> dict[str, Any]:
    """What the run was trained with, nested and named as our phases are; `NOT_PRINTED` and implied ones included."""
    values = _values(folder)
    flat = {ours: values[theirs] for theirs, ours in _SETTINGS.items()} | _IMPLIED | NOT_PRINTED
    part, whole, share = _SHARE_OF_WEIGHT
    flat[share] = round(values[part] / values[whole], 6)
    return put({}, dict(sorted(flat.items())))


def _values(folder: Path) -> dict[str, Any]:
    """run_settings.csv by name: int, float, bool or str. Errors: UserError where a setting is missing."""
    table = load_table("run_settings", folder)
    found: dict[str, Any] = {}
    for name, value, words in zip(table["setting"], table["value"], table["words"], strict=True):
        if words:
            found[name] = {"true": True, "false": False}.get(words, words)
        elif not math.isnan(value):
            found[name] = int(value) if value.is_integer() else value
    if lacking := {*_SETTINGS, *_SHARE_OF_WEIGHT[:2], "training.steps"} - set(found):
        raise UserError(f"{folder / 'run_settings.csv'}: no value of {min(lacking)}; it takes one in value or words")
    return found


def summary(folder: Path = ANALYSIS) -> dict[str, Any]:
    """run.json: what the whole run amounts to, with its settings."""
    tree = settings(folder)
    sections = {name: tree[name] for name in ("loss", "quantizer", "optimizer", "stopping")}
    points = load_table("validation_points", folder).set_index("point")["epoch"]
    return {
        "name": "analysed run",
        "epochs": int(points["final"]),
        "best_epoch": int(points["best"]),
        "steps": _values(folder)["training.steps"],
        "hyperparameters": [".".join(path) for path, value in leaves(sections) if not isinstance(value, bool)],
        "settings": tree,
        "settings_not_printed": sorted(NOT_PRINTED),
    }


def is_analysis(folder: Path) -> bool:
    """Whether a folder holds the tables of an analysis."""
    return all((folder / f"{name}.csv").is_file() for name in _OWN)


def write_record(folder: Path, source: Path = ANALYSIS) -> None:
    """epochs.csv, steps.csv and run.json of the analysed run into `folder`, to be read like those of any run."""
    for name, table in (("epochs.csv", epochs(source)), ("steps.csv", steps(source))):
        text = io.StringIO()
        table.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
        write_atomic(folder / name, text.getvalue().encode())
    write_atomic(folder / "run.json", (json.dumps(summary(source), indent=1, sort_keys=True) + "\n").encode())


_COMPARABLE = (
    ("epoch", "yes", "the same budget at production scale: 95 steps of 512 sequences an epoch"),
    ("step", "yes", "see epoch"),
    ("train_prediction", "in part", "InfoNCE in nats, chance ln(8192 + 512) = 9.07: beside a run with that queue and "
     "batch; its data were noise grids whose rule is shown nowhere, ours show the rule"),
    ("train_prediction_weighted", "in part", "see train_prediction; the weight is 1"),
    ("train_sigreg_weighted", "in part", "on unit-length embeddings and without the factor N, it reads about 0.4 "
     "times its weight whatever they do: only beside the normalised form of our baseline"),
    ("train_sigreg", "no", "the raw value is not printed"),
    ("train_invariance_weighted", "in part", "weights and distance are not printed; views were drawn per frame"),
    ("train_relational_weighted", "in part", "raw distances, which grow with the scale of the code vectors: shape and "
     "share of the total beside our raw form, not height"),
    ("train_relational", "no", "the raw values printed are 115 and 100 times the weighted ones, the weight says 40"),
    ("train_total", "in part", "the sum of its four weighted terms; ours adds the commitment loss, which never "
     "reached its total"),
    ("val_total", "in part", "holds the relational term, up to 0.8, and negatives from the training queue: only "
     "beside InfoNCE phases, without that term on both sides"),
    ("grad_norm_mean", "in part", "before clipping, as the analysis supposes; another model: compare multiples of "
     "the clip"),
    ("grad_norm_max", "in part", "see grad_norm_mean"),
    ("code_usage", "in part", "of 768 codes, over an unknown number of steps; padding was quantised too, and "
     "evaluation changed the codebook"),
    ("active_codes", "in part", "see code_usage; the two disagree in places"),
    ("effective_rank_context", "yes", "the same definition, by covariance eigenvalues; its embeddings have 256 "
     "dimensions, as ours at production scale"),
    ("effective_rank_target", "yes", "see effective_rank_context"),
    ("variance_context", "no", "its scale fits unit-length embeddings, ours are not normalised"),
    ("variance_target", "no", "see variance_context"),
    ("isotropy_context", "no", "its definition is not printed"),
    ("isotropy_target", "no", "see isotropy_context"),
    ("best_epoch", "in part", "by the validation total, which holds the relational term; ours watches the prediction"),
)  # fmt: skip


def comparable() -> pd.DataFrame:
    """Which quantities can stand beside ours: quantity (a column of the record), comparable (yes, no, in part), why.

    What is not named is not printed by the analysis.
    """
    return pd.DataFrame(list(_COMPARABLE), columns=["quantity", "comparable", "why"])
