"""Embedding frames with a frozen encoder: what an evaluation spends most of its time on."""

from collections.abc import Iterator
from statistics import median

import numpy as np
import torch

from benchmarks.charts import Chart
from benchmarks.measuring import Job, Row, seconds
from benchmarks.settings import params_at
from benchmarks.training import CORPUS, SCALES

TITLE = "Evaluation: frames embedded"
ABOUT = "phase2's encoder at the scale that trains here; CPU time of one thread, or the wall clock of a GPU."
CHARTS = (Chart("evaluation", "Embedding against frames", "frames", "ms"),)
SIZES = {"cpu": (1000, 2000, 4000, 8000), "cuda": (4000, 16000, 64000)}
ROUNDS = 3


def measure(job: Job) -> Iterator[Row]:
    """Rows by number of frames, of the corpus over and over."""
    from arcjepa.embeddings import untrained_encoder
    from arcjepa.tokens import load_tokens

    torch.set_num_threads(1)
    phase = params_at("tiny" if job.small else SCALES[job.device]).phase_settings("phase2")
    encoder, tokens = untrained_encoder(phase, 0, job.device), load_tokens(job.scratch / CORPUS.format("training"))
    job.turn()
    for size in (100, 200) if job.small else SIZES[job.device]:
        frames = np.arange(size) % len(tokens)
        encoder.embed(tokens, frames[:100])
        took = median(seconds(lambda: encoder.embed(tokens, frames), job.device) for _ in range(ROUNDS))  # noqa: B023
        yield Row("evaluation", "phase2", {"frames": size}, {"frames/s": size / took, "ms": 1000 * took})
