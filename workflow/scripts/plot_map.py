"""Plot the same frames as each encoder sees them."""

from pathlib import Path

from arcjepa.comparison import UNTRAINED
from arcjepa.config import from_mapping
from arcjepa.examples import load_examples
from arcjepa.figures.map import plot_map
from arcjepa.figures.style import save, stamp
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    names = [*from_mapping(snakemake.config).names, UNTRAINED]
    examples = {Path(path).parts[-3]: load_examples(Path(path)) for path in snakemake.input.examples}
    embeddings = {name: held.embeddings for name, held in examples.items()}
    figure = plot_map(embeddings, next(iter(examples.values())).labels, "the rule's first primitive", names)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
