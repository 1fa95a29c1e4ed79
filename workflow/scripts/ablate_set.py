"""Put the members of a set side by side, with what each changes."""

from arcjepa.ablations import ablation_table, load_members
from arcjepa.config import from_mapping
from arcjepa.progress import job

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    members = load_members(snakemake.input.scores, settings.phase_settings)
    table = ablation_table(members, settings.evaluation)
    table.to_csv(snakemake.output.table, index=False, float_format="%.6g")
