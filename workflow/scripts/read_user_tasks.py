"""Read one of the user's sets that test."""

from pathlib import Path

from arcjepa.frames import Frames, save_frames
from arcjepa.progress import job
from arcjepa.users import load_set, user_paths

with job(snakemake) as say:
    name = Path(snakemake.output.frames).stem
    tasks = load_set(user_paths("data/raw/user")[name]).tasks
    save_frames(snakemake.output.frames, Frames.from_tasks(tasks))
    say(f"{len(tasks)} tasks")
