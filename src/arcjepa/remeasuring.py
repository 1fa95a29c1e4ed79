"""An encoder's file measured again, beside what the comparison in the repository says of it.

What is published has no predictor: what its own predictor is measured by is left out then.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.asking import size_of
from arcjepa.comparison import HEADLINE, load_runs, metrics_table
from arcjepa.config import Params, from_mapping
from arcjepa.device import resolve_device
from arcjepa.dvc_records import blob_of, git_blobs
from arcjepa.embeddings import Embedding, FrozenEncoder
from arcjepa.encoder_files import load_encoder
from arcjepa.errors import UserError
from arcjepa.evaluation import EvaluationData, evaluate
from arcjepa.evaluation_files import PREFIX, load_data
from arcjepa.files import remake
from arcjepa.intervals import Interval
from arcjepa.params import did_you_mean, read_params
from arcjepa.scores import save_scores
from arcjepa.tables import read_table
from arcjepa.tokens import Tokens
from arcjepa.views import View

OF_PREDICTOR = ("val_nce", "selection_nce", "ranking_a", "ranking_b", "ranking_c")
"""Columns of metrics.csv that depend on the encoder's own predictor."""
BOUNDS = [column + end for column in HEADLINE for end in ("", "_low", "_high")]
TEST_SETS = ("arc1", "arc2")
TOKENS = ("training", "validation", *TEST_SETS, "rearc", "heldout", "synthetic-000", *(PREFIX + t for t in TEST_SETS))
"""What encoders are measured on, without users' own tasks."""


@dataclass(frozen=True)
class Measured:
    """One column of metrics.csv."""

    column: str
    again: Interval
    """Of this file."""
    recorded: Interval
    """Of all seeds, as the comparison has it; NaN where it has no such row."""

    def __str__(self) -> str:
        return f"{self.column:24}{_told(self.again):>28}{_told(self.recorded):>28}"


@dataclass(frozen=True)
class Origin:
    """Whose encoder a file is, by where it lies."""

    scale: str
    name: str
    """Of the phase or scenario."""

    @classmethod
    def of(cls, path: Path, scales: list[str]) -> "Origin":
        """Of results/encoders/{scale}/{name}.safetensors or results/runs/{scale}/{name}/seed{n}/encoder.safetensors.

        Errors: UserError for any other place, naming it.
        """
        # A link is not followed: DVC may have put one into its cache in place of the file.
        above = [folder.name for folder in Path(os.path.abspath(path)).parents] + 3 * [""]
        scale, name = (above[2], above[1]) if path.name == "encoder.safetensors" else (above[0], path.stem)
        if scale not in scales:
            places = "results/encoders/SCALE/NAME.safetensors or results/runs/SCALE/NAME/seedN/encoder.safetensors"
            raise UserError(f"{path}: {scale!r} is no scale{did_you_mean(scale, scales)}; its place has to be {places}")
        return cls(scale, name)


def measure_again(path: Path, project: Path) -> list[Measured]:
    """Every headline column that the file's weights decide, in the order of metrics.csv.

    Errors: UserError for a file that is not there, cannot be read, is no encoder of ours or lies elsewhere, with what
    brings it back, which is git where it tracks the file; for a comparison that cannot be read, and for data that are
    not there, with what makes them.
    """
    tree = read_params(project / "params.yaml")
    from_mapping(tree)  # whatever is wrong with it is told before its scales are read
    origin = Origin.of(path, list(tree["scales"]))
    params = from_mapping({**tree, "scale": origin.scale})
    tracked = _tracked(path, project)
    _check_readable(path, tracked, origin.name in params.overlays)
    encoder = _load(path, tracked, resolve_device(params.device))
    data = _data(project / "data", origin.scale)
    row = _row(origin.name, encoder if encoder.predicts else _WithoutPredictor(encoder), data, params)
    recorded = _recorded(project / "results/comparison" / origin.scale, origin.name)
    columns = [column for column in HEADLINE if encoder.predicts or column not in OF_PREDICTOR]
    measured = [Measured(column, _interval(row, column), _interval(recorded, column)) for column in columns]
    return [one for one in measured if not np.isnan(one.again[0])]


def _tracked(path: Path, project: Path) -> str:
    """The blob of a file in git's last commit; "" where that has no such file."""
    name = os.path.relpath(path, project)
    return git_blobs(project, name).get(name, "") if shutil.which("git") else ""


def _check_readable(path: Path, tracked: str, is_trained: bool) -> None:
    """Errors: UserError for what cannot be opened, or is a pipe, with what to do: where git does not track it, and
    training makes no encoder of that name, another is meant."""
    back = _checkout(path) if tracked else f"train it with `{remake(path)}`"
    try:
        size_of(path)
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        beside = [file.stem for file in path.parent.glob("*.safetensors") if file.is_file()]
        meant = did_you_mean(path.stem, beside) if beside and not (tracked or is_trained) else f"; {back}"
        raise UserError(f"{path}: no such file{meant}") from None
    except PermissionError as error:
        look = f"ls -ld {quote(str(path.parent))} {quote(str(path))}"
        raise UserError(f"{path}: cannot be read: {error.strerror}; make it readable, type: {look}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {back}") from None


def _load(path: Path, tracked: str, device: str) -> FrozenEncoder:
    """As `load_encoder`, but that a file is not trained again that git has as it was."""
    try:
        return load_encoder(path, device)
    except UserError as error:
        if tracked in ("", blob_of(path)):
            raise
        why = str(error).removesuffix(f"train it again with `{remake(path)}`")
        raise UserError(f"{why}{_checkout(path)}") from None


def _checkout(path: Path) -> str:
    return f"restore it with `git checkout -- {quote(str(path))}`"


class _WithoutPredictor:
    """An encoder whose file has none: it predicts the query itself, and what that is worth is not told."""

    def __init__(self, encoder: FrozenEncoder) -> None:
        self.encoder, self.sequence, self.code_counts = encoder, encoder.sequence, encoder.code_counts

    def embed(self, tokens: Tokens, frames: np.ndarray | None = None, view: View | None = None) -> Embedding:
        return self.encoder.embed(tokens, frames, view)

    def predict(self, projected: np.ndarray) -> np.ndarray:
        return projected[:, -1]


def _data(folder: Path, scale: str) -> EvaluationData:
    tokens = [folder / f"tokens/{scale}/{name}.safetensors" for name in TOKENS]
    candidates = [folder / f"frames/{scale}/{PREFIX}{name}.npz" for name in TEST_SETS]
    frames = [folder / f"frames/{scale}/{name}.npz" for name in TEST_SETS]
    if lacking := [file for file in (*tokens, *candidates, *frames) if not file.is_file()]:
        made_by = f"snakemake evaluation_data --config scale={scale}"
        raise UserError(f"{lacking[0]}: is not there; make what encoders are measured on with `{made_by}`")
    return load_data(tokens, candidates, frames)


def _row(
    name: str, embedder: FrozenEncoder | _WithoutPredictor, data: EvaluationData, params: Params
) -> "pd.Series[Any]":
    """As of a comparison of this one encoder."""
    with TemporaryDirectory() as made:
        save_scores(Path(made), evaluate(embedder, data, params.evaluation))
        return metrics_table([load_runs(name, [Path(made)])], params.evaluation).iloc[0]


def _recorded(comparison: Path, name: str) -> "pd.Series[Any]":
    """Its row of metrics.csv, or of the first set that a scenario is a member of; an empty one where there is none."""
    for path in (comparison / "metrics.csv", *sorted((comparison / "ablations").glob("*.csv"))):
        table = read_table(path) if path.is_file() else pd.DataFrame()
        if "name" in table and (rows := table[table["name"] == name]).size:
            try:
                return rows.iloc[0].reindex(BOUNDS).astype(float)
            except ValueError as error:
                raise UserError(f"{path}: {name}: {error}; make it again with `{remake(path)}`") from None
    return pd.Series(index=BOUNDS, dtype=float)


def _interval(row: "pd.Series[Any]", column: str) -> Interval:
    value, low, high = (float(row[column + end]) for end in ("", "_low", "_high"))
    return value, low, high


def _told(interval: Interval) -> str:
    value, low, high = interval
    return "-" if np.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"
