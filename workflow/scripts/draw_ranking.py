"""Draw queries with their candidates in the order in which each encoder ranks them."""

from pathlib import Path

from arcjepa.comparison import UNTRAINED
from arcjepa.config import from_mapping
from arcjepa.examples import load_examples
from arcjepa.figures.candidates import draw_ranking
from arcjepa.figures.gallery import join_queries
from arcjepa.figures.style import save, stamp
from arcjepa.progress import job
from arcjepa.provenance import commit

with job(snakemake) as say:
    names = [*from_mapping(snakemake.config).names, UNTRAINED]
    examples = {Path(path).parts[-3]: load_examples(Path(path)) for path in snakemake.input.examples}
    figure = draw_ranking(join_queries(examples), names)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
