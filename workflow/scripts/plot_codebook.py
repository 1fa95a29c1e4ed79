"""Plot how many codes are used, and their perplexity, by step."""

from pathlib import Path

from arcjepa import analysed_run
from arcjepa.config import from_mapping
from arcjepa.figures.codebook import plot_codebook
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_runs
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    analysed = analysed_run.steps(Path(snakemake.input.analysis[0]).parent)
    figure = plot_codebook(read_runs(snakemake.input.steps), settings.names, analysed)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
