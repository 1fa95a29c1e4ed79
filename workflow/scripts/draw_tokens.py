"""Draw a grid with its object tokens over it."""

from arcjepa.figures.gallery import choose_frame
from arcjepa.figures.style import save, stamp
from arcjepa.figures.tokens import draw_tokens
from arcjepa.progress import job
from arcjepa.provenance import commit
from arcjepa.tokens import detokenise, load_tokens

with job(snakemake) as say:
    tokens = load_tokens(snakemake.input.tokens)
    frame = choose_frame(tokens)
    entries = slice(*tokens.object_start[frame : frame + 2])
    title = f"Object tokens of {tokens.task_ids[tokens.pair_task[frame // 2]]}"
    figure = draw_tokens(detokenise(tokens, frame), tokens.columns[entries], tokens.contact[entries], title)
    save(figure, snakemake.output.svg, stamp(commit(), snakemake.params.stamp))
