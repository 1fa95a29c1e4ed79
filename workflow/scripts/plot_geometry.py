"""Plot effective rank, variance and isotropy by step."""

from arcjepa.config import from_mapping
from arcjepa.figures.geometry import plot_geometry
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_runs
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    phases = from_mapping(snakemake.config).names
    figure = plot_geometry(read_runs(snakemake.input.steps), phases)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
