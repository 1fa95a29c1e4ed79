"""Measure one trained encoder on tasks that it never saw."""

from pathlib import Path

from arcjepa.config import from_mapping
from arcjepa.device import resolve_device
from arcjepa.encoder_files import load_encoder
from arcjepa.evaluation import evaluate
from arcjepa.evaluation_files import load_data
from arcjepa.progress import job
from arcjepa.scores import save_scores

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    data = load_data(snakemake.input.tokens, snakemake.input.candidates, snakemake.input.frames)
    encoder = load_encoder(Path(snakemake.input.encoder), resolve_device(settings.device))
    save_scores(Path(snakemake.output.scores).parent, evaluate(encoder, data, settings.evaluation))
