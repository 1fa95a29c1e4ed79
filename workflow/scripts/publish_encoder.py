"""Publish the encoder of a phase or scenario: the seed of median validation, with its card."""

from pathlib import Path

from arcjepa.comparison import load_runs, metrics_table
from arcjepa.config import from_mapping
from arcjepa.encoder_files import publish_encoder
from arcjepa.files import write_atomic
from arcjepa.progress import job
from arcjepa.publication import median_run, model_card
from arcjepa.run_folders import by_name

with job(snakemake) as say:
    phase, scale = snakemake.wildcards.phase, snakemake.wildcards.scale
    seeds, settings = by_name(snakemake.input.scores)[phase], from_mapping(snakemake.config).evaluation
    run = median_run(seeds)
    own, all_seeds = (metrics_table([load_runs(phase, of)], settings).iloc[0] for of in ([run], seeds))
    publish_encoder(run / "encoder.safetensors", Path(snakemake.output.encoder))
    write_atomic(Path(snakemake.output.card), model_card(phase, scale, run, own, all_seeds).encode())
