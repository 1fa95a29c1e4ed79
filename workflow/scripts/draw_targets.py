"""Draw the table of phases against the targets of the analysis."""

from arcjepa.config import from_mapping
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_table
from arcjepa.figures.targets import draw_targets
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    phases = from_mapping(snakemake.config).names
    figure = draw_targets(read_table(snakemake.input.targets, ["phase"]), phases)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
