"""Plot the loss components of every phase by epoch."""

from arcjepa.config import from_mapping
from arcjepa.figures.losses import plot_losses
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_runs
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    objectives = {name: settings.phase_settings(name).loss.prediction for name in settings.names}
    figure = plot_losses(read_runs(snakemake.input.epochs), objectives)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
