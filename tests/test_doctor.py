"""What would stop a run is told with what to type, and a healthy place is told to be healthy."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from model_cases import PARAMS

from arcjepa import asking, doctor
from arcjepa.cli import main
from arcjepa.doctor import examine_place
from arcjepa.examination import Finding
from arcjepa.leftovers import dead_writes, foreign_dvc_holders, incomplete_outputs, is_alive, is_stale, live_snakemakes

GONE = 2**22 + 1
"""No process: above the most that Linux gives."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A healthy project, on a machine with all packages, without a GPU and without Slurm."""
    for name in ("params.yaml", "Snakefile"):
        shutil.copy(PARAMS.parent / name, tmp_path / name)
    (tmp_path / "requirements.lock").write_text("numpy==" + doctor.version("numpy") + "\n")
    for folder in ("data/raw/user", "results", "logs", ".snakemake/locks", ".snakemake/incomplete", ".dvc/tmp"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".dvc/config").touch()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "state"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(doctor, "driver", lambda: ("", 0))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for whose in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{whose}_CONFIG_DIR", str(tmp_path / "nobody"))
    return tmp_path


def found(place: Path, what: str) -> Finding:
    (finding,) = [finding for finding in examine_place(place) if finding.what == what]
    return finding


def test_a_healthy_place_is_all_ok_one_line_each(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(place)]) == 0
    lines = capsys.readouterr().out.splitlines()
    findings = examine_place(place)
    assert len(lines) == len(findings) > 10
    assert {finding.level for finding in findings if finding.what != "disk"} == {"ok"}
    assert all(line.isprintable() for line in lines)


def lock(place: Path) -> None:
    (place / ".snakemake/locks/0.input.lock").write_text("data/x\n")


def incomplete(place: Path) -> None:
    (place / ".snakemake/incomplete" / urlsafe_b64encode(b"data/x").decode()).touch()


def leftover(place: Path) -> None:
    (place / f"results/.run.json.{GONE}").write_text("{")


def misspelt(place: Path) -> None:
    path = place / "params.yaml"
    path.write_text(path.read_text().replace("lambda_sigreg: 1.0", "lamda_sigreg: 1.0"))


def other_version(place: Path) -> None:
    (place / "requirements.lock").write_text("numpy==0.1\n")


def lacking(place: Path) -> None:
    (place / "requirements.lock").write_text("no-such-package-anywhere==1.0\n")


def binary_lock(place: Path) -> None:
    (place / "requirements.lock").write_bytes(b"numpy==\xff")


def empty_lock(place: Path) -> None:
    (place / "requirements.lock").write_text("# numpy\n")


def no_lock(place: Path) -> None:
    (place / "requirements.lock").unlink()


def no_config(place: Path) -> None:
    (place / ".dvc/config").unlink()


def long_remote(place: Path) -> None:
    (place / ".dvc/config.local").write_text(f'[remote "store"]\n    url = /{5000 * "x"}\n')


def foreign_link(place: Path) -> None:
    (place / "data/raw/user/evil").symlink_to("/etc")


def torn_rwlock(place: Path) -> None:
    (place / ".dvc/tmp/rwlock").write_text('{"read": ')


def endless_rwlock(place: Path) -> None:
    (place / ".dvc/tmp/rwlock").write_text('{"write": {"a": {"pid": 1e999}}}')


def deep_rwlock(place: Path) -> None:
    (place / ".dvc/tmp/rwlock").write_text(100_000 * "[")


def reused_rwlock(place: Path) -> None:
    held = {"read": {"x": [{"pid": os.getpid(), "cmd": "dvc repro"}]}, "write": {}}
    (place / ".dvc/tmp/rwlock").write_text(json.dumps(held))


def torn_config(place: Path) -> None:
    (place / ".dvc/config").write_text("[core\n")


def unknown_remote(place: Path) -> None:
    (place / ".dvc/config").write_text("[core]\n    remote = store\n")


def absent_remote(place: Path) -> None:
    (place / ".dvc/config.local").write_text('[remote "store"]\n    url = ../no-such-folder\n')


def git_lock(place: Path) -> None:
    (place / ".git/index.lock").touch()


def want_gpu(place: Path) -> None:
    path = place / "params.yaml"
    path.write_text(path.read_text().replace("device: auto", "device: cuda"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "what", "level", "parts"),
    [
        (lock, "snakemake", "fail", ["1 lock of a run that was killed", "type: snakemake --unlock"]),
        (incomplete, "incomplete", "warn", ["1 output of a job that was cut short: data/x", "type: snakemake"]),
        (leftover, "leftovers", "warn", [f"results/.run.json.{GONE}", f"type: rm results/.run.json.{GONE}"]),
        (misspelt, "params", "fail", ["lamda_sigreg", "did you mean lambda_sigreg?", "type: git diff params.yaml"]),
        (other_version, "packages", "warn", ["for 0.1", "make install"]),
        (lacking, "packages", "fail", ["1 of 1 that requirements.lock names are missing: no-such", "make install"]),
        (binary_lock, "packages", "fail", ["lock is not UTF-8 at byte 7", "type: git checkout requirements.lock"]),
        (empty_lock, "packages", "fail", ["lock has no line NAME==VERSION", "type: git checkout requirements.lock"]),
        (no_lock, "packages", "fail", ["requirements.lock is missing", "type: git checkout requirements.lock"]),
        (foreign_link, "your tasks", "fail", ["evil: is a link that leads out", "type: ls"]),
        (torn_rwlock, "dvc", "fail", [".dvc/tmp/rwlock is damaged", "type: rm .dvc/tmp/rwlock"]),
        (endless_rwlock, "dvc", "fail", [".dvc/tmp/rwlock is damaged", "type: rm .dvc/tmp/rwlock"]),
        (deep_rwlock, "dvc", "fail", [".dvc/tmp/rwlock is damaged", "type: rm .dvc/tmp/rwlock"]),
        (no_config, "dvc", "fail", [".dvc/config is missing", "type: git checkout .dvc"]),
        (long_remote, "remotes", "fail", ["store is /xxx", "x: File name too long", "dvc remote modify store"]),
        (reused_rwlock, "dvc", "warn", [str(os.getpid()), "no dvc by now", "type: rm .dvc/tmp/rwlock"]),
        (torn_config, "remotes", "fail", ["'[core'", "at line 1", "type: git diff .dvc/config"]),
        (unknown_remote, "remotes", "fail", ["core.remote is 'store'; allowed are none", "type: git diff .dvc/config"]),
        (
            absent_remote,
            "remotes",
            "warn",
            ["store is", "no-such-folder, which is no folder", "dvc remote modify store"],
        ),
        (git_lock, "git", "fail", ["index.lock", "type: rm .git/index.lock"]),
        (want_gpu, "gpu", "fail", ["no GPU, and no NVIDIA driver", "device=auto"]),
    ],
)
def test_what_is_wrong_is_told_with_what_to_type(
    place: Path, harm: Callable[[Path], None], what: str, level: str, parts: list[str]
) -> None:
    harm(place)
    finding = found(place, what)
    assert finding.level == level
    assert all(part in str(finding) for part in parts), str(finding)
    assert main(["doctor", str(place)]) == (level == "fail")


def refuse(monkeypatch: pytest.MonkeyPatch, refused: Path) -> None:
    """Have the system deny what is below a path, as it denies nothing to root."""

    def guarded(function: Callable[..., object]) -> Callable[..., object]:
        def call(path: object = ".", *arguments: object, **options: object) -> object:
            if not isinstance(path, int) and Path(os.fsdecode(path)).is_relative_to(refused):  # type: ignore[arg-type]
                raise PermissionError(errno.EACCES, "Permission denied", os.fsdecode(path))  # type: ignore[arg-type]
            return function(path, *arguments, **options)

        return call

    for name in ("stat", "lstat", "scandir", "open"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))
    monkeypatch.setattr(io, "open", guarded(io.open))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("refused", "what"),
    [
        (".snakemake/locks", ["snakemake"]),
        (".snakemake/incomplete", ["incomplete"]),
        (".dvc", ["dvc", "remotes", "writable"]),
        (".dvc/config.local", ["remotes"]),
        (".dvc/tmp/rwlock", ["dvc"]),
        ("requirements.lock", ["packages"]),
        ("params.yaml", ["params"]),
        ("store", ["remotes"]),
    ],
)
def test_what_may_not_be_read_is_one_finding_beside_the_others(
    place: Path, monkeypatch: pytest.MonkeyPatch, refused: str, what: list[str]
) -> None:
    healthy = {finding.what for finding in examine_place(place)}
    (place / ".dvc/config").write_text('[remote "store"]\n    url = ../store\n')
    for file in (".dvc/config.local", ".dvc/tmp/rwlock"):
        (place / file).touch()
    (place / "store").mkdir()
    refuse(monkeypatch, place / refused)
    findings = examine_place(place)
    monkeypatch.undo()
    failed = [finding for finding in findings if finding.level == "fail"]
    assert [finding.what for finding in failed] == what
    assert healthy - {"ranks"} <= {finding.what for finding in findings}
    for finding in failed:
        assert "Permission denied" in finding.text
        assert refused.split("/")[-1] in finding.text
        assert finding.command


def folder(path: Path) -> None:
    path.mkdir()


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def own_link(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("harm", [folder, os.mkfifo, endless, own_link])
@pytest.mark.parametrize(
    ("file", "what"),
    [
        (".dvc/config", "remotes"),
        (".dvc/config.local", "remotes"),
        (".dvc/tmp/rwlock", "dvc"),
        ("requirements.lock", "packages"),
        ("params.yaml", "params"),
    ],
)
def test_what_is_no_file_is_one_finding_and_not_waited_for(
    place: Path, harm: Callable[[Path], None], file: str, what: str
) -> None:
    (place / file).unlink(missing_ok=True)
    harm(place / file)
    (failed,) = [finding for finding in examine_place(place) if finding.level == "fail"]
    assert failed.what == what
    assert f"{place / file}: {'Too many levels' if harm is own_link else 'is no file'}" in failed.text
    assert failed.command == f"ls -ld {(place / file).parent} {place / file}"


def test_a_file_that_would_fill_the_memory_is_not_read(place: Path) -> None:
    with (place / ".dvc/tmp/rwlock").open("wb") as file:
        file.truncate(2**40)
    assert f"{2**40} bytes, which are too many" in found(place, "dvc").text


@pytest.mark.parametrize("error", [ValueError("odd"), OverflowError("odd"), RuntimeError("odd"), MemoryError()])
def test_an_examination_that_breaks_off_is_a_finding_beside_the_others(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def break_off(root: Path) -> None:
        raise error

    healthy = [finding.what for finding in examine_place(place)]
    monkeypatch.setattr(doctor, "locks", break_off)
    findings = examine_place(place)
    assert [finding.what for finding in findings] == healthy
    (failed,) = [finding for finding in findings if finding.level == "fail"]
    assert failed.text == f"{place}/.snakemake/locks: {str(error) or 'MemoryError'}"
    assert failed.command == f"ls -ld {place}/.snakemake {place}/.snakemake/locks"


def test_locks_that_cannot_be_listed_are_left_to_snakemake(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, place / ".snakemake/locks")
    assert not is_stale(place)


@pytest.mark.slow
def test_the_advice_on_leftovers_and_locks_of_dvc_works(place: Path) -> None:
    for harm, what in ((leftover, "leftovers"), (torn_rwlock, "dvc"), (git_lock, "git")):
        harm(place)
        subprocess.run(found(place, what).command, shell=True, cwd=place, check=True)
        assert found(place, what).level == "ok"


def test_remotes_are_counted_with_the_default_one(place: Path) -> None:
    assert found(place, "remotes").text == "0 remotes of DVC"
    (place / ".dvc/config").write_text('[core]\n    remote = store\n[remote "store"]\n    url = s3://bucket\n')
    assert found(place, "remotes").text == "1 remote of DVC, by default store"


def test_the_name_of_a_remote_is_one_word_for_the_shell(place: Path) -> None:
    (place / ".dvc/config").write_text('[remote "my store"]\n    url = ../no-such-folder\n')
    assert "modify 'my store' url" in found(place, "remotes").command


def test_remotes_are_no_matter_where_dvc_is_missing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dvc.config", None)
    assert "remotes" not in {finding.what for finding in examine_place(place)}


Usage = namedtuple("Usage", "total used free")


@pytest.mark.slow
@pytest.mark.parametrize(("free", "level"), [(2**28, "fail"), (2**31, "warn"), (2**35, "ok")])
def test_room_on_the_disk(place: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40 - free, free))
    assert found(place, "disk").level == level


def test_a_folder_that_cannot_be_written_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the system is told to refuse."""
    write = doctor.tempfile.TemporaryFile

    def refuse(dir: Path) -> object:
        if dir.name == "results":
            raise OSError(30, "Read-only file system")
        return write(dir=dir)

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    finding = found(place, "writable")
    assert finding.level == "fail"
    assert f"{place}/results: Read-only file system" in finding.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("able", "count", "wheel", "level"),
    [("12.8", 2, "12.6", "ok"), ("11.8", 1, "12.6", "fail"), ("12.8", 1, "", "warn"), ("12.8", 0, "12.6", "warn")],
)
def test_driver_and_torch_are_compared(
    place: Path, monkeypatch: pytest.MonkeyPatch, able: str, count: int, wheel: str, level: str
) -> None:
    monkeypatch.setattr(doctor, "driver", lambda: (able, count))
    monkeypatch.setattr(doctor, "torch_cuda", lambda: wheel)
    assert found(place, "gpu").level == level


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ranks", "device", "gpus", "level", "command"),
    [
        ("1", "auto", 0, "ok", ""),
        ("2", "auto", 2, "ok", ""),
        ("2", "auto", 4, "ok", ""),
        ("auto", "auto", 4, "ok", ""),
        ("auto", "cpu", 4, "ok", ""),
        ("4", "auto", 2, "fail", "snakemake --config ranks=2"),
        ("4", "auto", 3, "fail", "snakemake --config ranks=2"),
        ("auto", "auto", 3, "fail", "snakemake --config ranks=2"),  # which divides no batch
        ("auto", "auto", 16, "fail", "snakemake --config ranks=8"),
        ("2", "auto", 0, "warn", "snakemake --config ranks=1"),
        ("2", "cpu", 2, "warn", "snakemake --config ranks=1"),
    ],
)
def test_ranks_are_compared_with_the_gpus(
    place: Path, monkeypatch: pytest.MonkeyPatch, ranks: str, device: str, gpus: int, level: str, command: str
) -> None:
    path = place / "params.yaml"
    changed = path.read_text().replace("\nranks: 1 ", f"\nranks: {ranks} ").replace("device: auto", f"device: {device}")
    path.write_text(changed)
    monkeypatch.setattr(doctor, "driver", lambda: ("12.8", gpus))
    finding = found(place, "ranks")
    assert (finding.level, finding.command) == (level, command)
    assert f"{ranks} in params.yaml" in finding.text


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "had"), [("4", 4), ("auto", 1)])
def test_ranks_of_slurm_jobs_are_no_matter_of_this_machine(
    place: Path, monkeypatch: pytest.MonkeyPatch, ranks: str, had: int
) -> None:
    path = place / "params.yaml"
    path.write_text(path.read_text().replace("\nranks: 1 ", f"\nranks: {ranks} "))
    monkeypatch.setattr(doctor, "driver", lambda: ("12.8", 2))
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    finding = found(place, "ranks")
    assert finding.level == "ok"
    assert f"a Slurm job has {had}" in finding.text


def test_as_many_ranks_as_training_takes() -> None:
    from arcjepa.ranks import MOST

    assert doctor.MOST_RANKS == MOST


def put_program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "level", "part"),
    [
        ("echo 'Slurmctld(primary) at n0 is UP'", "ok", "is UP"),
        (
            "echo 'Slurmctld(primary) at n0 is DOWN'",
            "warn",
            "no controller is up, scontrol says Slurmctld(primary) at",
        ),
        ("sleep 60", "warn", "no controller answered within 1 s"),
        ("exit 1", "warn", "no controller is up, scontrol says nothing, and ended with 1"),
        ("echo UP; printf 'no\\nconfiguration' >&2; exit 1", "warn", "scontrol says UP no configuration"),
        ("printf '\\377 UP'", "ok", "UP"),
    ],
)
def test_slurm_is_asked_and_not_waited_for(
    place: Path, monkeypatch: pytest.MonkeyPatch, script: str, level: str, part: str
) -> None:
    for name in doctor.SLURM:
        put_program(place / "bin", name, script)
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "driver", lambda: ("", 0))
    monkeypatch.setenv("PATH", f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(asking, "WAIT", 1 if "sleep" in script else 30)
    started = time.monotonic()
    finding = found(place, "slurm")
    assert time.monotonic() - started < 60
    assert finding.level == level
    assert part in finding.text


@contextmanager
def process(folder: Path, name: str) -> Iterator[int]:
    """One at work in a folder, called `name`."""
    code = "import time; time.sleep(60)"
    started = subprocess.Popen([sys.executable, "-c", code, "x"], cwd=folder, executable=sys.executable)
    named = subprocess.Popen([name, "-c", code], cwd=folder, executable=sys.executable)
    try:
        yield named.pid
    finally:
        for one in (started, named):
            one.kill()
            one.wait()


@pytest.mark.slow
def test_a_snakemake_at_work_here_is_told_from_one_elsewhere(place: Path) -> None:
    lock(place)
    other = place / "elsewhere"
    other.mkdir()
    with process(other, "snakemake"):
        assert found(place, "snakemake").level == "fail"
        assert live_snakemakes(place) == []
    with process(place, "snakemake") as live:
        assert wait_for(lambda: live_snakemakes(place)) == [live]
        assert str(live) in found(place, "snakemake").text
    with process(place, "/opt/notsnakemake"):
        assert live_snakemakes(place) == []


def wait_for(ask: Callable[[], list[int]]) -> list[int]:
    """A process has its name once it has started."""
    deadline = time.monotonic() + 10
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def test_temporary_files_of_live_processes_are_left_alone(place: Path) -> None:
    (place / f"results/.a.csv.{os.getpid()}").touch()
    (place / f"data/.b.safetensors.json.{GONE}").touch()
    for name in (".gitkeep", ".hidden.csv", "a.csv.12", f".{GONE}"):
        (place / "results" / name).touch()
    assert dead_writes(place) == [place / f"data/.b.safetensors.json.{GONE}"]


def test_long_names_of_incomplete_outputs_are_put_together(place: Path) -> None:
    name = "results/" + "x" * 300
    text = urlsafe_b64encode(name.encode()).decode()
    (place / ".snakemake/incomplete" / f"@{text[:250]}").mkdir()
    (place / ".snakemake/incomplete" / f"@{text[:250]}" / text[250:]).touch()
    (place / ".snakemake/incomplete/é").touch()
    assert incomplete_outputs(place) == [name, ".snakemake/incomplete/é"]


def test_locks_of_dvc_that_dvc_itself_clears_are_none(place: Path) -> None:
    held = {"read": {}, "write": {"x": {"pid": GONE, "cmd": "dvc repro"}}}
    (place / ".dvc/tmp/rwlock").write_text(json.dumps(held))
    assert foreign_dvc_holders(place) == []
    assert not is_alive(GONE)
    assert is_alive(os.getpid())
    assert is_alive(1)


def test_bad_use_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path)]) == 2
    assert "has no Snakefile" in capsys.readouterr().err
