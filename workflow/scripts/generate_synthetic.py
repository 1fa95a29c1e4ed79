"""Generate one part of the synthetic tasks: a shard of those for training, or all with held-out rules."""

from arcjepa.config import from_mapping
from arcjepa.frames import Frames, save_frames
from arcjepa.progress import job
from arcjepa.synthetic import generate_shard

with job(snakemake) as say:
    synthetic = from_mapping(snakemake.config).data.synthetic
    kind, _, shard = snakemake.wildcards.part.partition("-")
    tasks = generate_shard(synthetic, 0, int(shard or 0), snakemake.params.tasks, held_out=kind == "heldout")
    save_frames(snakemake.output.frames, Frames.from_tasks(tasks))
    say(f"{len(tasks)} tasks")
