"""Measure a control: the untrained encoder, hand-made features by the analogy rule, or a copy of the query."""

from pathlib import Path

from arcjepa.config import from_mapping
from arcjepa.controls import TokenFeatures
from arcjepa.device import resolve_device
from arcjepa.embeddings import settle_norms, untrained_encoder
from arcjepa.evaluation import evaluate
from arcjepa.evaluation_files import load_data
from arcjepa.progress import job
from arcjepa.scores import save_scores
from arcjepa.yardstick import readout_pairs

with job(snakemake) as say:
    settings = from_mapping(snakemake.config)
    data = load_data(snakemake.input.tokens, snakemake.input.candidates, snakemake.input.frames)
    evaluation = settings.evaluation
    frames = readout_pairs([data.training, data.synthetic], evaluation.readout_sequences, evaluation.seed)
    phase, seed = settings.phase_settings(snakemake.params.architecture), int(snakemake.wildcards.seed)
    if snakemake.wildcards.control == "untrained":
        control = untrained_encoder(phase, seed, resolve_device(settings.device))
        settle_norms(control, *frames)
    else:
        control = TokenFeatures(*frames, {"tokens": "analogy", "copy": "copy"}[snakemake.wildcards.control])
    save_scores(Path(snakemake.output.scores).parent, evaluate(control, data, evaluation))
