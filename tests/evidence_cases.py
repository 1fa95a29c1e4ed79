"""Runs as targets, gates and risks read them: settings at scale production, made-up records and scores."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from analysis_cases import ANALYSIS

from arcjepa.alignment import limits_of
from arcjepa.claims import Tables
from arcjepa.comparison import Runs, interval
from arcjepa.config import Params, from_mapping, hyperparameters, resolved
from arcjepa.evidence import Evidence, Trained
from arcjepa.judges import Context
from arcjepa.params import put, read_params
from arcjepa.scores import COLUMNS

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"
CANDIDATES = 8704
"""Among which the analysed run found its target."""
CALM = {
    "val_total": 7.2,
    "val_prediction": 7.0,
    "val_prediction_error": 0.2,
    "train_total": 1.0,
    "train_sigreg_weighted": 0.3,
}
TASKS = 40


@cache
def params(scale: str = "production") -> Params:
    """The committed params.yaml, with fewer resamples."""
    read = from_mapping(tree(scale))
    return read.model_copy(update={"evaluation": read.evaluation.model_copy(update={"bootstrap": 100})})


@cache
def tree(scale: str = "production") -> dict[str, Any]:
    return {**read_params(PARAMS), "scale": scale}


@cache
def printed() -> Tables:
    """The committed tables of the analysis."""
    return Tables(ANALYSIS)


def trained(
    name: str,
    changes: Mapping[str, Any] | None = None,
    *,
    of: str = "",
    length: int | Sequence[int] = 80,
    usage: Sequence[float] = (0.18,),
    findings: Sequence[tuple[str, str]] = (),
    devices: Sequence[str] = ("cpu",),
    **columns: float | Sequence[float],
) -> Trained:
    """Runs of a phase or scenario (with another phase's settings where `of` names it), the leaves of `changes` over it.

    `length`: epochs, by seed where several; `columns` of epochs.csv as constants, or values by epoch of which the last
    goes on; `usage`: share of codes in use by step.
    """
    if of or changes:
        changed = {"parent": of or name, **put({}, changes or {})}
        given = params().model_copy(update={"phases": {**params().phases, "changed": changed}})
        phase = given.phase_settings("changed")
    else:
        phase = params().phase_settings(name)
    lengths = [length] if isinstance(length, int) else length
    return Trained(
        name,
        resolved(phase),
        hyperparameters(phase),
        list(devices),
        [_table(CALM | columns, count) for count in lengths],
        [_table({"code_usage": usage}, 40) for _ in lengths],
        [{"name": finding, "severity": severity} for finding, severity in findings],
    )


def _table(columns: Mapping[str, float | Sequence[float]], rows: int) -> pd.DataFrame:
    table: dict[str, Sequence[float]] = {"epoch": range(1, rows + 1), "step": range(95, 95 * rows + 1, 95)}
    for name, given in columns.items():
        values = [given] if isinstance(given, int | float) else list(given)
        table[name] = [*values[:rows], *[values[-1]] * (rows - len(values))]
    return pd.DataFrame(table)


def scores(name: str, level: float, rank: float = 21.0) -> Runs:
    """`val_nce` about a level on 40 tasks, alike in all phases but for the level, effective ranks, use of codes."""
    noise = np.random.default_rng(0).normal(0, 0.3, TASKS)
    rows = [("val_nce", "heldout", f"t{i}", level + noise[i], 1.0, np.nan, np.nan) for i in range(TASKS)]
    rows += [
        (f"effective_rank_{side}", "", "", np.nan, np.nan, rank + extra, 0.5)
        for side, extra in (("context", -3.0), ("target", 0.0))
    ]
    rows.append(("code_usage", "", "", np.nan, np.nan, 0.4, 0.01))
    return Runs(name, {"seed0": pd.DataFrame(rows, columns=list(COLUMNS))}, [], 9, 8192)


def evidence(
    *runs: Trained,
    levels: Mapping[str, float] | None = None,
    rank: float = 21.0,
    scale: str = "production",
    analysis: Path = ANALYSIS,
    **success: float,
) -> Evidence:
    """Of these runs. `levels`: val_nce by name, 3 nats otherwise; `success`: thresholds in place of params.yaml's."""
    read = params(scale)
    read = read.model_copy(update={"success": read.success.model_copy(update=success)})
    scored = {run.name: scores(run.name, (levels or {}).get(run.name, 3.0), rank) for run in runs}
    metrics = pd.DataFrame([_measured(found, read) for found in scored.values()], columns=None if scored else ["name"])
    tables = printed() if analysis == ANALYSIS else Tables(analysis)
    return Evidence(read, tree(scale), tables, {run.name: run for run in runs}, scored, metrics)


def _measured(found: Runs, read: Params) -> dict[str, Any]:
    """The row of metrics.csv, as far as targets read it."""
    row: dict[str, Any] = {"name": found.name}
    for measure in ("val_nce", "code_usage", "effective_rank_context", "effective_rank_target"):
        values = interval(found, measure, "", read.evaluation)
        row |= dict(zip((measure, f"{measure}_low", f"{measure}_high"), values, strict=True))
    return row


def context(*runs: Trained, lines: int = 2000, **given: Any) -> Context:
    """What targets are judged in; the training core has so many lines."""
    found = evidence(*runs, **given)
    return Context(found, limits_of(found, lines))
