"""Put phases and controls side by side in tables."""

from pathlib import Path

from arcjepa.comparison import differences_table, load_runs, metrics_table, probes_table, ranking_table
from arcjepa.config import from_mapping
from arcjepa.inventory import data_table
from arcjepa.progress import job
from arcjepa.run_folders import by_name, read_object
from arcjepa.tables import write_table
from arcjepa.tokens import load_tokens

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    runs = [load_runs(name, seeds) for name, seeds in by_name(snakemake.input.scores).items()]
    stores = {Path(path).stem: load_tokens(path) for path in snakemake.input.tokens}
    tables = {
        "metrics": metrics_table(runs, settings.evaluation),
        "differences": differences_table(runs, settings.evaluation),
        "ranking": ranking_table(runs, settings.evaluation),
        "probes": probes_table(runs, settings.evaluation),
        "data": data_table(stores, read_object(Path(snakemake.input.report)), settings.evaluation.max_tasks),
    }
    for name, table in tables.items():
        write_table(snakemake.output[name], table)
