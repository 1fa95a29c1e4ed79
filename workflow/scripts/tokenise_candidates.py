"""Cut the candidate grids of one test set into object tokens."""

from pathlib import Path

from arcjepa.candidates import load_candidates
from arcjepa.config import from_mapping
from arcjepa.progress import job
from arcjepa.tokens import save_tokens, tokenise

with job(snakemake) as say:
    candidates = load_candidates(Path(snakemake.input.candidates))
    tokens = tokenise(candidates.grids, from_mapping(snakemake.config).tokens)
    save_tokens(snakemake.output.tokens, tokens)
    say(f"{len(tokens)} grids")
