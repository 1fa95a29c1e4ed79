"""Write the page that says of every phase what it changed, what that bought and what is wrong."""

from pathlib import Path

from arcjepa.comparison import load_runs
from arcjepa.config import from_mapping
from arcjepa.files import write_atomic
from arcjepa.overview import CONTROLS, load_accounts, page
from arcjepa.progress import job
from arcjepa.run_folders import by_name
from arcjepa.tables import read_table

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    folders = by_name(snakemake.input.scores)
    runs = {name: load_runs(name, seeds) for name, seeds in folders.items()}
    accounts = load_accounts(settings, runs, folders)
    targets = read_table(snakemake.input.targets, ["phase"], keep_default_na=False)
    beside = by_name(snakemake.input.controls)
    text = page(settings, accounts, targets, {name: load_runs(name, beside[name]) for name in CONTROLS})
    write_atomic(Path(snakemake.output.page), text.encode())
