"""The tables of a comparison, from the scores of every run: metrics.csv, ranking.csv and probes.csv.

A value joins all seeds of a name; its interval is a bootstrap over tasks and seeds, or for a scalar its jackknife
error joined with the spread of the seeds. Runs that are missing are named in the column `missing`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.data_settings import Evaluation
from arcjepa.errors import UserError
from arcjepa.intervals import Interval, mean_interval, scalar_interval
from arcjepa.probes import FRAME_LABELS, METHODS, RULE_LABELS
from arcjepa.scores import COLUMNS

UNTRAINED = "untrained"
CONTROLS = (UNTRAINED, "tokens", "copy")
HEADLINE_SET = "arc1"
UNKNOWN: Interval = (float("nan"), float("nan"), float("nan"))
RANKED = ("ranking_a", "ranking_b", "ranking_c")
SIDES = ("context", "target")
GEOMETRY = ("rankme", "variance", "isotropy", "lidar", "epps_pulley")
HEADLINE: dict[str, tuple[str, str]] = {
    "val_nce": ("val_nce", ""),
    "readout_nce": ("readout_nce", ""),
    **{name: (name, HEADLINE_SET) for name in RANKED},
    "retrieval_rearc": ("retrieval_rearc", "rearc"),
    "retrieval_augmented": ("retrieval_augmented", HEADLINE_SET),
    "query_only_nce": ("query_only_nce", ""),
    **{f"effective_rank_{side}": (f"effective_rank_{side}", "") for side in SIDES},
    "code_usage": ("code_usage", ""),
    "code_perplexity": ("code_perplexity", ""),
}
"""Column of metrics.csv -> measure and set of scores.csv ("": all sets)."""
FURTHER: dict[str, tuple[str, str]] = {
    **{f"{name}_{part}": (name, part) for name in ("val_nce", "readout_nce") for part in ("heldout", "validation")},
    **{f"{name}_mrr": (f"{name}_mrr", HEADLINE_SET) for name in RANKED},
    "retrieval_rearc_map": ("retrieval_rearc_map", "rearc"),
    "retrieval_rearc_selection": ("retrieval_rearc_selection", "rearc"),
    "retrieval_augmented_map": ("retrieval_augmented_map", HEADLINE_SET),
    **{f"{name}_{side}": (f"{name}_{side}", "") for name in GEOMETRY for side in SIDES},
    **{f"{name}_{side}_frame": (f"{name}_{side}_frame", "") for name in ("effective_rank", "rankme") for side in SIDES},
}
CHANCE = {name: HEADLINE[name] for name in (*RANKED, "retrieval_rearc", "retrieval_augmented")}


@dataclass(frozen=True, eq=False)
class Runs:
    """All seeds of one phase or control."""

    name: str
    scores: list[pd.DataFrame]
    missing: list[str]
    """Folders without scores, last two parts of the path."""
    hyperparameters: int | None
    """None for controls."""
    pool: int | None
    """Size of the pool, None where no run has been evaluated."""


def load_runs(name: str, folders: Sequence[Path]) -> Runs:
    """The runs in `folders` (one a seed), those without scores.csv among the missing."""
    present = [folder for folder in folders if (folder / "scores.csv").is_file()]
    missing = ["/".join(folder.parts[-2:]) for folder in folders if folder not in present]
    counts = [len(_read_json(f / "run.json")["hyperparameters"]) for f in present if (f / "run.json").is_file()]
    pools = [_read_json(f / "evaluation.json")["pool"]["size"] for f in present if (f / "evaluation.json").is_file()]
    return Runs(
        name,
        [read_scores(folder / "scores.csv") for folder in present],
        missing,
        max(counts) if counts and name not in CONTROLS else None,
        max(pools, default=None),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run the workflow") from error


def read_scores(path: Path) -> pd.DataFrame:
    """A scores.csv. Errors: UserError naming the file where columns are missing."""
    # Ids such as "1e10" or "NA" are text.
    texts = {name: str for name in COLUMNS[:3]}
    table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values={name: [""] for name in COLUMNS[3:]})
    if lacking := set(COLUMNS) - set(table.columns):
        raise UserError(f"{path}: no column {min(lacking)}; allowed: {', '.join(COLUMNS)}; evaluate the run again")
    return table


def interval(runs: Runs, measure: str, part: str, settings: Evaluation) -> Interval:
    """Value, low and high of a measure on a set ("": all sets) over all seeds; NaN where it was not measured."""
    chosen = [t[(t["measure"] == measure) & ((t["set"] == part) if part else True)] for t in runs.scores]
    chosen = [table for table in chosen if len(table)]
    if not chosen:
        return UNKNOWN
    scalars = [table[table["task"] == ""] for table in chosen]
    if all(map(len, scalars)):
        return scalar_interval(*(np.array([t[c].iloc[0] for t in scalars], float) for c in ("value", "error")))
    sums = [table.groupby(["set", "task"])[["total", "weight"]].sum() for table in chosen]
    tasks = sorted(set().union(*(table.index for table in sums)))
    aligned = [table.reindex(tasks, fill_value=0.0) for table in sums]
    totals, weights = (np.stack([table[c].to_numpy(float) for table in aligned]) for c in ("total", "weight"))
    return mean_interval(totals, weights, settings.bootstrap, settings.seed)


def metrics_table(runs: Sequence[Runs], settings: Evaluation) -> pd.DataFrame:
    """One row per phase and control; every measure M with M_low and M_high (95 %) right after it.

    After the headline come further measures, chance levels, whether a phase is apart from the untrained control on
    `readout_nce`, and which runs are missing.
    """
    rows = [_metrics_row(run, settings) for run in runs]
    control = next((row for row in rows if row["name"] == UNTRAINED), None)
    for row, run in zip(rows, runs, strict=True):
        row["apart_from_untrained"] = "" if run.name in CONTROLS else apart(row, control)
        row["missing"] = " ".join(run.missing)
    table = pd.DataFrame(rows)
    return table.astype({"seeds": "Int64", "hyperparameters": "Int64"})


def _metrics_row(run: Runs, settings: Evaluation) -> dict[str, Any]:
    row: dict[str, Any] = {"name": run.name, "seeds": len(run.scores), "hyperparameters": run.hyperparameters}
    for column, (measure, part) in (HEADLINE | FURTHER).items():
        values = interval(run, measure, part, settings)
        row |= dict(zip((column, f"{column}_low", f"{column}_high"), values, strict=True))
    row["nce_chance"] = float("nan") if run.pool is None else float(np.log(run.pool))
    for column, (measure, part) in CHANCE.items():
        row[f"{column}_chance"] = chance(run, measure, part)
    return row


def chance(run: Runs, measure: str, part: str) -> float:
    """Expected value of a random order, from what the evaluation recorded; NaN where it did not."""
    rows = [t[(t["measure"] == f"{measure}_chance") & (t["set"] == part)] for t in run.scores]
    weight = sum(float(table["weight"].sum()) for table in rows)
    return sum(float(table["total"].sum()) for table in rows) / weight if weight else float("nan")


def apart(row: Mapping[str, Any], control: Mapping[str, Any] | None) -> str:
    """Whether the intervals of `readout_nce` part: "yes" (better), "no", "worse"; "" where one is missing."""
    if control is None or np.isnan(row["readout_nce"]) or np.isnan(control["readout_nce"]):
        return ""
    if row["readout_nce_high"] < control["readout_nce_low"]:
        return "yes"
    return "worse" if row["readout_nce_low"] > control["readout_nce_high"] else "no"


def ranking_table(runs: Sequence[Runs], settings: Evaluation) -> pd.DataFrame:
    """Ranking and retrieval per test set: name, set, measure, value, low, high, chance (NaN for MRR and MAP)."""
    measures = [name + suffix for name in RANKED for suffix in ("", "_mrr")]
    measures += [name + suffix for name in ("retrieval_augmented", "retrieval_rearc") for suffix in ("", "_map")]
    rows = []
    for run in runs:
        for measure in measures:
            parts = [part for table in run.scores for part in table.loc[table["measure"] == measure, "set"].unique()]
            for part in dict.fromkeys(parts):
                value = interval(run, measure, part, settings)
                rows.append((run.name, part, measure, *value, chance(run, measure, part)))
    return pd.DataFrame(rows, columns=["name", "set", "measure", "value", "low", "high", "chance"])


def probes_table(runs: Sequence[Runs], settings: Evaluation) -> pd.DataFrame:
    """Probes on held-out rules: name, probe, method, value, low, high."""
    rows = [
        (run.name, label, method, *interval(run, f"probe_{label}_{method}", "", settings))
        for run in runs
        if run.scores
        for label in (*RULE_LABELS, *FRAME_LABELS)
        for method in METHODS
    ]
    return pd.DataFrame(rows, columns=["name", "probe", "method", "value", "low", "high"])
