"""Plot the analysed run beside our baseline."""

from pathlib import Path

from arcjepa.config import from_mapping
from arcjepa.figures.analysed import plot_analysed, printed_record
from arcjepa.figures.style import save, stamp
from arcjepa.findings.record_files import read_record
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    root = from_mapping(snakemake.config).names[0]
    records = [read_record(Path(path).parent) for path in snakemake.input.runs]
    figure = plot_analysed(records, printed_record(Path(snakemake.input.analysis[0]).parent), root)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
