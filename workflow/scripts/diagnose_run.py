"""Say what is wrong with one run, and what to try."""

from pathlib import Path

from arcjepa.config import from_mapping
from arcjepa.diagnosis import examine, write_report
from arcjepa.files import write_atomic
from arcjepa.findings.record_files import read_record
from arcjepa.pages import from_markdown
from arcjepa.progress import job

with job(snakemake) as say:
    record = read_record(Path(snakemake.input.run).parent, snakemake.config)
    report = examine(record, from_mapping(snakemake.config).diagnosis)
    write_report(report, Path(snakemake.output.findings).parent)
    text = Path(snakemake.output.text).read_text(encoding="utf-8")
    write_atomic(Path(snakemake.output.page), from_markdown(text, f"Diagnosis of {record.name}").encode())
    say(", ".join(finding.name for finding in report.findings) or "no findings")
