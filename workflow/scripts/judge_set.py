"""Judge the gates and risks of the analysis by the phases and the scenarios of a set."""

from pathlib import Path

import pandas as pd

from arcjepa.config import from_mapping
from arcjepa.evidence import load_evidence
from arcjepa.gates import gates_table
from arcjepa.progress import job
from arcjepa.risks import risks_table

with job(snakemake) as say:
    folders: dict[str, list[Path]] = {}
    for path in map(Path, snakemake.input.scores):
        folders.setdefault(path.parts[-3], []).append(path.parent)
    metrics, analysis = pd.read_csv(snakemake.input.metrics), Path(snakemake.input.analysis[0]).parent
    evidence = load_evidence(from_mapping(snakemake.config), snakemake.config, folders, metrics, analysis)
    for name, table in {"gates": gates_table(evidence), "risks": risks_table(evidence)}.items():
        table.to_csv(snakemake.output[name], index=False, float_format="%.6g")
