"""Estimate what the two changes of a 2 x 2 do, each and together."""

from arcjepa.ablations import effects_table, load_members
from arcjepa.config import from_mapping
from arcjepa.progress import job

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    members = load_members(snakemake.input.scores, settings.phase_settings)
    table = effects_table(members, settings.evaluation)
    table.to_csv(snakemake.output.effects, index=False, float_format="%.6g")
