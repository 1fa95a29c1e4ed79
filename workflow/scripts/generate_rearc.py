"""Draw new pairs for the 400 tasks of RE-ARC."""

from pathlib import Path

from arcjepa.files import write_atomic
from arcjepa.frames import Frames, save_frames
from arcjepa.progress import job
from arcjepa.rearc import NOTICE, generate_rearc

with job(snakemake) as say:
    tasks = generate_rearc(snakemake.params.pairs)
    save_frames(snakemake.output.frames, Frames.from_tasks(tasks))
    write_atomic(Path(snakemake.output.notice), NOTICE.encode())
    say(f"{len(tasks)} tasks, {snakemake.params.pairs} pairs each")
