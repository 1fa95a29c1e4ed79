"""Judge the phases by the checklist, targets, gates and risks of the analysis."""

from pathlib import Path

from arcjepa.alignment import alignment_table, limits_of
from arcjepa.config import from_mapping
from arcjepa.evidence import load_evidence
from arcjepa.gates import gates_table
from arcjepa.judges import Context
from arcjepa.progress import job
from arcjepa.risks import risks_table
from arcjepa.run_folders import by_name
from arcjepa.tables import read_rows, write_table
from arcjepa.targets import targets_table

with job(snakemake) as say:
    settings, folders = from_mapping(snakemake.config), by_name(snakemake.input.scores)
    metrics, analysis = read_rows(snakemake.input.metrics, settings.names), Path(snakemake.input.analysis[0]).parent
    evidence = load_evidence(settings, snakemake.config, folders, metrics, analysis)
    context = Context(evidence, limits_of(evidence))
    tables = {
        "alignment": alignment_table(evidence, context.limits),
        "targets": targets_table(context),
        "gates": gates_table(evidence),
        "risks": risks_table(evidence),
    }
    for name, table in tables.items():
        write_table(snakemake.output[name], table)
    verdicts = tables["targets"]["verdict"].value_counts()
    say(", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
