"""Plot gradient norms before clipping, and how often they are clipped."""

from pathlib import Path

from arcjepa import analysed_run
from arcjepa.config import from_mapping
from arcjepa.figures.gradients import plot_gradients
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_runs
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    thresholds = {name: settings.phase_settings(name).optimizer.clip for name in settings.names}
    analysis = Path(snakemake.input.analysis[0]).parent
    analysed = analysed_run.epochs(analysis), analysed_run.settings(analysis)["optimizer"]["clip"]
    figure = plot_gradients(read_runs(snakemake.input.epochs), thresholds, analysed)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
