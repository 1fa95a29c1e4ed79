"""Write what `dvc metrics` and `dvc plots` show: a row of the comparison as JSON, and the chosen phase as headline."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from arcjepa.progress import job


def headline(row: pd.Series, scale: str, measures: list[str]) -> dict[str, Any]:
    """{scale, phase, seeds, measure: {mean, low, high}} of one row; measures that do not apply are left out."""
    applying = [measure for measure in measures if pd.notna(row[measure])]
    parts = {"mean": "", "low": "_low", "high": "_high"}
    values = {m: {part: float(row[m + suffix]) for part, suffix in parts.items()} for m in applying}
    return {"scale": scale, "phase": row["name"], "seeds": int(row["seeds"]), **values}


with job(snakemake) as say:
    metrics, params = pd.read_csv(snakemake.input.metrics).set_index("name", drop=False), snakemake.params
    targets = {Path(path).stem: path for path in snakemake.output.rows}
    for name, path in [*targets.items(), (params.phase, snakemake.output.metrics)]:
        summary = headline(metrics.loc[name], params.scale, json.loads(params.measures))
        Path(path).write_text(json.dumps(summary, indent=1) + "\n")
    shutil.copyfile(snakemake.input.history, snakemake.output.history)
