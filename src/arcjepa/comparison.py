"""The tables of a comparison, from the scores of every run: metrics.csv, differences.csv, ranking.csv and probes.csv.

A value joins all seeds of a name; its interval is a bootstrap over tasks and seeds, or for a scalar its jackknife
error joined with the spread of the seeds. Runs that are missing are named in the column `missing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.data_settings import Evaluation
from arcjepa.intervals import UNKNOWN, Interval, Sums, difference_interval, mean_interval, scalar_interval
from arcjepa.run_folders import read_object
from arcjepa.scores import COLUMNS
from arcjepa.tables import read_table

UNTRAINED = "untrained"
CONTROLS = (UNTRAINED, "tokens", "copy")
HEADLINE_SET = "arc1"
RANKED = ("ranking_a", "ranking_b", "ranking_c")
SIDES = ("context", "target")
PROBE = "probe_"
GEOMETRY = ("rankme", "variance", "isotropy", "lidar", "epps_pulley")
HEADLINE: dict[str, tuple[str, str]] = {
    "val_nce": ("val_nce", ""),
    "readout_nce": ("readout_nce", ""),
    **{name: (name, HEADLINE_SET) for name in RANKED},
    "retrieval_rearc": ("retrieval_rearc", "rearc"),
    "retrieval_augmented": ("retrieval_augmented", HEADLINE_SET),
    "query_only_nce": ("query_only_nce", ""),
    "selection_nce": ("selection_nce", ""),
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
PARTS = HEADLINE | FURTHER
COMPARED = (
    *("val_nce", "readout_nce", "selection_nce", "val_nce_validation", "readout_nce_validation"),
    *(*RANKED, "retrieval_rearc", "retrieval_augmented"),
)
"""What tables have differences of."""
CHANCE = {name: HEADLINE[name] for name in (*RANKED, "retrieval_rearc", "retrieval_augmented")}


@dataclass(frozen=True, eq=False)
class Runs:
    """All seeds of one phase or control."""

    name: str
    scores: dict[str, pd.DataFrame]
    """By the folder of the seed."""
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
    counts = [len(read_object(f / "run.json")["hyperparameters"]) for f in present if (f / "run.json").is_file()]
    pools = [read_object(f / "evaluation.json")["pool"]["size"] for f in present if (f / "evaluation.json").is_file()]
    return Runs(
        name,
        {folder.name: read_scores(folder / "scores.csv") for folder in present},
        missing,
        max(counts) if counts and name not in CONTROLS else None,
        max(pools, default=None),
    )


def read_scores(path: Path) -> pd.DataFrame:
    """A scores.csv. Errors: UserError naming the file where it is not whole, or columns are missing."""
    # Ids such as "1e10" or "NA" are text.
    texts, empty = {name: str for name in COLUMNS[:3]}, {name: [""] for name in COLUMNS[3:]}
    return read_table(path, COLUMNS, dtype=texts, keep_default_na=False, na_values=empty)


def interval(runs: Runs, measure: str, part: str, settings: Evaluation) -> Interval:
    """Value, low and high of a measure on a set ("": all sets) over all seeds; NaN where it was not measured."""
    chosen = _rows(runs, measure, part)
    if not chosen:
        return UNKNOWN
    scalars = [table[table["task"] == ""] for table in chosen.values()]
    if all(map(len, scalars)):
        return scalar_interval(*(np.array([t[c].iloc[0] for t in scalars], float) for c in ("value", "error")))
    (sums,) = _aligned([chosen])
    return mean_interval(sums, settings.bootstrap, settings.seed)


def difference(first: Runs, second: Runs, measure: str, part: str, settings: Evaluation) -> Interval:
    """A mean of the first less that of the second, paired by task and seed; NaN where one was not measured."""
    sums = sums_of((first, second), measure, part)
    return difference_interval(sums[0], sums[1], settings.bootstrap, settings.seed) if sums else UNKNOWN


def sums_of(runs: Sequence[Runs], measure: str, part: str) -> list[Sums]:
    """A measure of each on a set ("": all sets), all on the same tasks; none where one of them was not measured."""
    chosen = [_rows(run, measure, part) for run in runs]
    return _aligned(chosen) if all(chosen) else []


def _rows(runs: Runs, measure: str, part: str) -> dict[str, pd.DataFrame]:
    """Of each seed that has the measure."""
    tables = {seed: table[table["measure"] == measure] for seed, table in runs.scores.items()}
    chosen = {seed: table[table["set"] == part] if part else table for seed, table in tables.items()}
    return {seed: table for seed, table in chosen.items() if len(table)}


def _aligned(samples: Sequence[dict[str, pd.DataFrame]]) -> list[Sums]:
    """Totals and weights of each sample's seeds, all on the same tasks in the same order."""
    sums = [
        {seed: sample[seed].groupby(["set", "task"])[["total", "weight"]].sum() for seed in sorted(sample)}
        for sample in samples
    ]
    tasks = sorted(set().union(*(table.index for sample in sums for table in sample.values())))
    return [_stacked({seed: table.reindex(tasks, fill_value=0.0) for seed, table in s.items()}) for s in sums]


def _stacked(tables: dict[str, pd.DataFrame]) -> Sums:
    totals, weights = (
        np.stack([table[name].to_numpy(float) for table in tables.values()]) for name in ("total", "weight")
    )
    return Sums(totals, weights, tuple(tables))


def metrics_table(runs: Sequence[Runs], settings: Evaluation) -> pd.DataFrame:
    """One row per phase and control; every measure M with M_low and M_high (95 %) right after it.

    After the headline come further measures, chance levels, by how much a phase is better than the untrained control
    on `readout_nce` (paired by task and seed) and whether it is apart from it, and which runs are missing.
    """
    control = next((run for run in runs if run.name == UNTRAINED), None)
    rows = [_metrics_row(run, settings) | _gain(run, control, settings) for run in runs]
    table = pd.DataFrame(rows)
    return table.astype({"seeds": "Int64", "hyperparameters": "Int64"})


def _metrics_row(run: Runs, settings: Evaluation) -> dict[str, Any]:
    row: dict[str, Any] = {"name": run.name, "seeds": len(run.scores), "hyperparameters": run.hyperparameters}
    for column, (measure, part) in PARTS.items():
        values = interval(run, measure, part, settings)
        row |= dict(zip((column, f"{column}_low", f"{column}_high"), values, strict=True))
    row["nce_chance"] = float("nan") if run.pool is None else float(np.log(run.pool))
    for column, (measure, part) in CHANCE.items():
        row[f"{column}_chance"] = chance(run, measure, part)
    return row


def chance(run: Runs, measure: str, part: str) -> float:
    """Expected value of a random order, from what the evaluation recorded; NaN where it did not."""
    rows = [t[(t["measure"] == f"{measure}_chance") & (t["set"] == part)] for t in run.scores.values()]
    weight = sum(float(table["weight"].sum()) for table in rows)
    return sum(float(table["total"].sum()) for table in rows) / weight if weight else float("nan")


def _gain(run: Runs, control: Runs | None, settings: Evaluation) -> dict[str, Any]:
    """By how many nats a phase's read-out is better than the untrained control's, and what that amounts to."""
    gain = UNKNOWN
    if control is not None and run.name not in CONTROLS:
        gain = difference(control, run, "readout_nce", "", settings)
    names = ("readout_gain", "readout_gain_low", "readout_gain_high")
    says = {"apart_from_untrained": apart(gain), "missing": " ".join(run.missing)}
    return dict(zip(names, gain, strict=True)) | says


def apart(gain: Interval) -> str:
    """Whether an interval leaves zero out: "yes" (better), "no", "worse"; "" where it is unknown."""
    value, low, high = gain
    if np.isnan(value):
        return ""
    return "yes" if low > 0 else "worse" if high < 0 else "no"


def differences_table(runs: Sequence[Runs], settings: Evaluation) -> pd.DataFrame:
    """Every phase less each that comes before it, and less each control: name, other, measure, value, low, high.

    Paired by task and seed. A phase is the better one where those of nats are below zero, and those of shares above.
    """
    phases = [run for run in runs if run.name not in CONTROLS]
    others = [[*phases[:i], *(run for run in runs if run.name in CONTROLS)] for i in range(len(phases))]
    rows = [
        (phase.name, other.name, measure, *difference(phase, other, *PARTS[measure], settings))
        for phase, against in zip(phases, others, strict=True)
        for other in against
        for measure in COMPARED
    ]
    return pd.DataFrame(rows, columns=["name", "other", "measure", "value", "low", "high"])


def ranking_table(runs: Sequence[Runs], settings: Evaluation) -> pd.DataFrame:
    """Ranking and retrieval per test set: name, set, measure, value, low, high, chance (NaN for MRR and MAP)."""
    measures = [name + suffix for name in RANKED for suffix in ("", "_mrr")]
    measures += [name + suffix for name in ("retrieval_augmented", "retrieval_rearc") for suffix in ("", "_map")]
    rows = []
    for run in runs:
        for measure in measures:
            parts = [part for t in run.scores.values() for part in t.loc[t["measure"] == measure, "set"].unique()]
            for part in dict.fromkeys(parts):
                value = interval(run, measure, part, settings)
                rows.append((run.name, part, measure, *value, chance(run, measure, part)))
    return pd.DataFrame(rows, columns=["name", "set", "measure", "value", "low", "high", "chance"])


def probes_table(runs: Sequence[Runs], settings: Evaluation) -> pd.DataFrame:
    """Probes on held-out rules: name, probe, method, value, low, high."""
    found = [measure for run in runs for table in run.scores.values() for measure in table["measure"].unique()]
    measures = [measure for measure in dict.fromkeys(found) if measure.startswith(PROBE)]
    rows = [
        (run.name, *measure.removeprefix(PROBE).rsplit("_", 1), *interval(run, measure, "", settings))
        for run in runs
        if run.scores
        for measure in measures
    ]
    return pd.DataFrame(rows, columns=["name", "probe", "method", "value", "low", "high"])
