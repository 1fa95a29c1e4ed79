"""Estimate what the two changes of a 2 x 2 do, each and together."""

from arcjepa.ablations import effects_table, load_members
from arcjepa.config import from_mapping
from arcjepa.progress import job
from arcjepa.tables import write_table

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    members = load_members(snakemake.input.scores, settings)
    table = effects_table(members, settings.evaluation)
    write_table(snakemake.output.effects, table)
