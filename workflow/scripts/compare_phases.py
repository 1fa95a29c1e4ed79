"""Put phases and controls side by side in tables."""

from pathlib import Path

import pandas as pd

from arcjepa.comparison import load_runs, metrics_table, probes_table, ranking_table
from arcjepa.config import from_mapping
from arcjepa.progress import job
from arcjepa.tokens import load_tokens, overflow_summary

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    folders: dict[str, list[Path]] = {}
    for path in map(Path, snakemake.input.scores):
        folders.setdefault(path.parts[-3], []).append(path.parent)
    runs = [load_runs(name, seeds) for name, seeds in folders.items()]
    tables = {
        "metrics": metrics_table(runs, settings.evaluation),
        "ranking": ranking_table(runs, settings.evaluation),
        "probes": probes_table(runs, settings.evaluation),
        "data": pd.DataFrame(
            [{"set": Path(p).stem, **overflow_summary(load_tokens(p))} for p in snakemake.input.tokens]
        ),
    }
    for name, table in tables.items():
        table.to_csv(snakemake.output[name], index=False, float_format="%.6g")
