"""Draw the risks of the analysis."""

from arcjepa.config import from_mapping
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_table
from arcjepa.figures.targets import draw_risks
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    phases = from_mapping(snakemake.config).names
    figure = draw_risks(read_table(snakemake.input.risks, ["phase"]), phases)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
