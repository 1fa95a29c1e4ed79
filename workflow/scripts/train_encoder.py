"""Train the encoder of one phase with one seed."""

from pathlib import Path

from arcjepa.progress import job
from arcjepa.training_job import TrainingJob

with job(snakemake) as say:
    files, params = snakemake.input, snakemake.params
    TrainingJob(
        config=snakemake.config,
        phase=snakemake.wildcards.phase,
        seed=int(snakemake.wildcards.seed),
        training=files.training,
        synthetic=list(files.synthetic),
        validation=files.validation,
        near_misses=list(files.near_misses),
        folder=str(Path(snakemake.output.encoder).parent),
        events=params.events,
        checkpoints=params.checkpoints,
        code=params.code,
        log=snakemake.log[0],
    ).start(say)
