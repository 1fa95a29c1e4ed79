"""Cut the frames of one set into object tokens."""

from arcjepa.config import from_mapping
from arcjepa.frames import load_frames
from arcjepa.progress import job
from arcjepa.tokens import overflow_summary, save_tokens, tokenise

with job(snakemake) as say:
    frames = load_frames(snakemake.input.frames)
    tokens = tokenise(frames, from_mapping(snakemake.config).tokens)
    save_tokens(snakemake.output.tokens, tokens)
    say(f"{len(tokens)} frames, {overflow_summary(tokens)['overflowing_frames']} with more objects than fit")
