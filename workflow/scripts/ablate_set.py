"""Put the members of a set side by side, with what each changes."""

from arcjepa.ablations import ablation_table, load_members
from arcjepa.comparison import UNTRAINED, load_runs
from arcjepa.config import from_mapping
from arcjepa.progress import job
from arcjepa.run_folders import by_name
from arcjepa.tables import write_table

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    members = load_members(snakemake.input.scores, settings)
    untrained = load_runs(UNTRAINED, by_name(snakemake.input.untrained)[UNTRAINED])
    table = ablation_table(members, settings.evaluation, untrained)
    write_table(snakemake.output.table, table)
