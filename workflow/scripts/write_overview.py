"""Write the page that says of every phase what it changed, what that bought and what is wrong."""

from pathlib import Path

import pandas as pd

from arcjepa.comparison import load_runs
from arcjepa.config import from_mapping
from arcjepa.overview import load_accounts, page
from arcjepa.progress import job

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    folders: dict[str, list[Path]] = {}
    for path in map(Path, snakemake.input.scores):
        folders.setdefault(path.parts[-3], []).append(path.parent)
    runs = {name: load_runs(name, seeds) for name, seeds in folders.items()}
    accounts = load_accounts(settings, runs, folders)
    text = page(settings, accounts, pd.read_csv(snakemake.input.targets, keep_default_na=False))
    Path(snakemake.output.page).write_text(text, encoding="utf-8")
