"""Plot effective rank, variance and isotropy by step."""

from pathlib import Path

from arcjepa import analysed_run
from arcjepa.config import from_mapping
from arcjepa.figures.geometry import plot_geometry
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_runs
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    phases = from_mapping(snakemake.config).names
    analysed = analysed_run.steps(Path(snakemake.input.analysis[0]).parent)
    figure = plot_geometry(read_runs(snakemake.input.steps), phases, analysed)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
