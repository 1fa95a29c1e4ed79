"""Correlate the effective rank with the relational loss over each run of a set."""

from pathlib import Path

from arcjepa.config import from_mapping
from arcjepa.progress import job
from arcjepa.rank_growth import rank_growth_table
from arcjepa.tables import write_table

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    folders = [Path(path).parent for path in snakemake.input.steps]
    names = dict.fromkeys(folder.parts[-2] for folder in folders)
    forms = {name: settings.phase_settings(name).loss.relational.form for name in names}
    table = rank_growth_table(folders, forms)
    write_table(snakemake.output.hypothesis, table)
