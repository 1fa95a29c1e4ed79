"""Train the encoder of one phase with one seed."""

from pathlib import Path

from arcjepa.config import from_mapping
from arcjepa.corpus import Corpus
from arcjepa.progress import job
from arcjepa.runs import Run, train
from arcjepa.shards import join_tokens
from arcjepa.tokens import load_tokens

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    phase, seed = settings.phase_settings(snakemake.wildcards.phase), int(snakemake.wildcards.seed)
    real, *synthetic = (load_tokens(path) for path in (snakemake.input.training, *snakemake.input.synthetic))
    validation = load_tokens(snakemake.input.validation)
    misses = [load_tokens(path) for path in snakemake.input.near_misses]
    near_misses = (join_tokens(misses[1:]), misses[0]) if misses else None
    corpus = Corpus(join_tokens([real, *synthetic]), len(real.task_ids), validation, settings.tokens, near_misses)
    folder, params = Path(snakemake.output.encoder).parent, snakemake.params
    run = Run(seed, settings.device, folder, Path(params.events), Path(params.checkpoints), params.code)
    train(phase, corpus, run, say)
