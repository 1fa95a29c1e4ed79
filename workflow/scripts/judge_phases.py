"""Judge the phases by the checklist, targets, gates and risks of the analysis."""

from pathlib import Path

import pandas as pd

from arcjepa.alignment import alignment_table, limits_of
from arcjepa.config import from_mapping
from arcjepa.evidence import load_evidence
from arcjepa.gates import gates_table
from arcjepa.judges import Context
from arcjepa.progress import job
from arcjepa.risks import risks_table
from arcjepa.targets import targets_table

with job(snakemake) as say:
    folders: dict[str, list[Path]] = {}
    for path in map(Path, snakemake.input.scores):
        folders.setdefault(path.parts[-3], []).append(path.parent)
    metrics, analysis = pd.read_csv(snakemake.input.metrics), Path(snakemake.input.analysis[0]).parent
    evidence = load_evidence(from_mapping(snakemake.config), snakemake.config, folders, metrics, analysis)
    context = Context(evidence, limits_of(evidence))
    tables = {
        "alignment": alignment_table(evidence, context.limits),
        "targets": targets_table(context),
        "gates": gates_table(evidence),
        "risks": risks_table(evidence),
    }
    for name, table in tables.items():
        table.to_csv(snakemake.output[name], index=False, float_format="%.6g")
    verdicts = tables["targets"]["verdict"].value_counts()
    say(", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
