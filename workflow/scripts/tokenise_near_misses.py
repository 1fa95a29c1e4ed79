"""Make near misses of the outputs of one set and cut them into object tokens."""

from arcjepa.config import from_mapping
from arcjepa.frames import load_frames
from arcjepa.near_misses import misses_of_outputs
from arcjepa.progress import job
from arcjepa.tokens import save_tokens, tokenise

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    grids = misses_of_outputs(load_frames(snakemake.input.frames), snakemake.params.near_misses)
    tokens = tokenise(grids, settings.tokens)
    save_tokens(snakemake.output.tokens, tokens)
    say(f"{len(tokens)} grids")
