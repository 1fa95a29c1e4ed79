"""Publish the encoder of a phase: the seed of median validation, with its card."""

from pathlib import Path

from arcjepa.comparison import load_runs, metrics_table
from arcjepa.config import from_mapping
from arcjepa.encoder_files import publish_encoder
from arcjepa.files import write_atomic
from arcjepa.progress import job
from arcjepa.publication import median_run, model_card
from arcjepa.run_folders import by_name
from arcjepa.tables import read_rows

with job(snakemake) as say:
    phase, scale = snakemake.wildcards.phase, snakemake.wildcards.scale
    run = median_run(by_name(snakemake.input.scores)[phase])
    row = read_rows(snakemake.input.metrics, [phase]).set_index("name").loc[phase]
    own = metrics_table([load_runs(phase, [run])], from_mapping(snakemake.config).evaluation).iloc[0]
    publish_encoder(run / "encoder.safetensors", Path(snakemake.output.encoder))
    write_atomic(Path(snakemake.output.card), model_card(phase, scale, run, own, row).encode())
