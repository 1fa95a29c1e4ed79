"""Judge the gates and risks of the analysis by the phases and the scenarios of a set."""

from pathlib import Path

from arcjepa.config import from_mapping
from arcjepa.evidence import load_evidence
from arcjepa.gates import gates_table
from arcjepa.progress import job
from arcjepa.risks import risks_table
from arcjepa.run_folders import by_name
from arcjepa.tables import read_rows, write_table

with job(snakemake) as say:
    settings, folders = from_mapping(snakemake.config), by_name(snakemake.input.scores)
    metrics, analysis = read_rows(snakemake.input.metrics, settings.names), Path(snakemake.input.analysis[0]).parent
    evidence = load_evidence(settings, snakemake.config, folders, metrics, analysis)
    for name, table in {"gates": gates_table(evidence), "risks": risks_table(evidence)}.items():
        write_table(snakemake.output[name], table)
