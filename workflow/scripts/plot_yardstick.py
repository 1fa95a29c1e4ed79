"""Plot the yardstick of every phase and control."""

from arcjepa.config import from_mapping
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_table
from arcjepa.figures.yardstick import plot_yardstick
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    metrics = read_table(snakemake.input.metrics, ["name"])
    figure = plot_yardstick(metrics, metrics["nce_chance"].max(), settings.names)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
