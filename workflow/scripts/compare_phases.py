"""Put phases and controls side by side in tables."""

from pathlib import Path

import pandas as pd

from arcjepa.comparison import load_runs, metrics_table, probes_table, ranking_table
from arcjepa.config import from_mapping
from arcjepa.progress import job
from arcjepa.targets import load_trained, targets_table
from arcjepa.tokens import load_tokens, overflow_summary

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    folders: dict[str, list[Path]] = {}
    for path in map(Path, snakemake.input.scores):
        folders.setdefault(path.parts[-3], []).append(path.parent)
    runs = [load_runs(name, seeds) for name, seeds in folders.items()]
    metrics = metrics_table(runs, settings.evaluation)
    trained = {
        name: load_trained(settings.phase_settings(name), folders[name], metrics, name) for name in settings.names
    }
    tables = {
        "metrics": metrics,
        "ranking": ranking_table(runs, settings.evaluation),
        "probes": probes_table(runs, settings.evaluation),
        "targets": targets_table(trained),
        "data": pd.DataFrame(
            [{"set": Path(p).stem, **overflow_summary(load_tokens(p))} for p in snakemake.input.tokens]
        ),
    }
    for name, table in tables.items():
        table.to_csv(snakemake.output[name], index=False, float_format="%.6g")
