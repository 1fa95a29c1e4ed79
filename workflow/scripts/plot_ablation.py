"""Plot the members of a set on every headline measure, and the interaction of a 2 x 2."""

from arcjepa.figures.ablation import plot_ablation
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tables import read_table
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    effects = [read_table(path, ["quantity", "effect"]) for path in snakemake.input.effects]
    figure = plot_ablation(snakemake.wildcards.set, read_table(snakemake.input.table, ["name"]), *effects)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
