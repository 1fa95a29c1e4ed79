"""Plot how many codes are used, and their perplexity, by step."""

from arcjepa.config import from_mapping
from arcjepa.figures.codebook import plot_codebook
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_runs
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    settings, steps = from_mapping(snakemake.config), read_runs(snakemake.input.steps)
    quantizers = {name: settings.phase_settings(name).quantizer for name in settings.names}
    refreshes = {
        name: range(quantizer.refresh.interval, int(steps["step"].max()) + 1, quantizer.refresh.interval)
        if quantizer.kind == "vq" and quantizer.refresh.enabled
        else []
        for name, quantizer in quantizers.items()
    }
    figure = plot_codebook(steps, refreshes)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
