"""Say what is wrong with the analysed run, where its analysis contradicts itself, and what of it compares with ours."""

from pathlib import Path

from arcjepa.analysed_run import comparable, write_record
from arcjepa.config import from_mapping
from arcjepa.contradictions import contradictions
from arcjepa.diagnosis import examine, write_report
from arcjepa.dictionary import dictionary
from arcjepa.files import write_atomic
from arcjepa.findings.record_files import read_record
from arcjepa.pages import from_markdown
from arcjepa.progress import job
from arcjepa.tables import write_table

with job(snakemake) as say:
    folder, output = Path(snakemake.output.record), snakemake.output
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder)
    report = examine(read_record(folder, snakemake.config), from_mapping(snakemake.config).diagnosis)
    write_report(report, Path(output.findings).parent)
    text = Path(output.text).read_text(encoding="utf-8")
    write_atomic(Path(output.page), from_markdown(text, "Diagnosis of the analysed run").encode())
    found = contradictions()
    for path, table in (
        (output.contradictions, found),
        (output.comparable, comparable()),
        (output.schema, dictionary()),
    ):
        write_table(path, table)
    say(f"{len(report.findings)} findings, {len(found)} contradictions of its analysis")
