"""Draw the alignment scorecard."""

from arcjepa.config import from_mapping
from arcjepa.figures.alignment import draw_alignment
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_table
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    phases = from_mapping(snakemake.config).names
    figure = draw_alignment(read_table(snakemake.input.alignment, ["phase"]), phases)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
