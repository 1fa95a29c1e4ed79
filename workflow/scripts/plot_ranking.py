"""Plot how often the true output comes first, and same-task retrieval."""

from arcjepa.config import from_mapping
from arcjepa.figures.ranking import plot_ranking
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_table
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    phases = from_mapping(snakemake.config).names
    figure = plot_ranking(read_table(snakemake.input.ranking, ["name"]), phases)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
