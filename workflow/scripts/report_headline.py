"""Write what `dvc metrics` and `dvc plots` show: a row of the comparison as JSON, and the chosen phase as headline."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from arcjepa.files import read_vouched, write_atomic, write_json
from arcjepa.progress import job
from arcjepa.tables import read_rows


def headline(row: pd.Series, scale: str, measures: list[str]) -> dict[str, Any]:
    """{scale, phase, seeds, measure: {mean, low, high}} of one row; measures that do not apply are left out."""
    applying = [measure for measure in measures if pd.notna(row[measure])]
    parts = {"mean": "", "low": "_low", "high": "_high"}
    values = {m: {part: float(row[m + suffix]) for part, suffix in parts.items()} for m in applying}
    return {"scale": scale, "phase": row["name"], "seeds": int(row["seeds"]), **values}


with job(snakemake) as say:
    params, targets = snakemake.params, {Path(path).stem: Path(path) for path in snakemake.output.rows}
    metrics = read_rows(snakemake.input.metrics, targets).set_index("name", drop=False)
    for name, path in [*targets.items(), (params.phase, Path(snakemake.output.metrics))]:
        summary = headline(metrics.loc[name], params.scale, json.loads(params.measures))
        write_json(path, summary)
    write_atomic(Path(snakemake.output.history), read_vouched(Path(snakemake.input.history)))
