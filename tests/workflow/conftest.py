"""A project at scale tiny, run once from a fresh clone; each test works on a copy of that state."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTHING = "Nothing to be done"
ONE_TASK = '{"train": [{"input": [[1, 2]], "output": [[2, 1]]}, {"input": [[3, 2]], "output": [[2, 3]]}], '
ONE_TASK += '"test": [{"input": [[1, 4]], "output": [[4, 1]]}]}'
LIMIT = 600  # seconds for one command
IDENTITY = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder runs the real workflow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.workflow)


@dataclass(frozen=True)
class Project:
    """A checkout in a folder of its own."""

    path: Path

    def run(self, *command: str, status: int | None = 0) -> str:
        """What a command prints on both streams. It must end with `status`; None: with any but 0."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHONPATH"))}
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment |= IDENTITY | {"PATH": tools, "DVC_NO_ANALYTICS": "1"}
        done = subprocess.run(
            command, cwd=self.path, env=environment, text=True, timeout=LIMIT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        expected = done.returncode != 0 if status is None else done.returncode == status
        assert expected, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def plan(self, *arguments: str) -> Counter[str]:
        """How many jobs of each rule `snakemake -n` would run; target rules are left out."""
        return planned_jobs(self.run("snakemake", "-n", *arguments))

    def retrained(self, *arguments: str) -> set[str]:
        """The phases that `snakemake -n` would train."""
        return trained_phases(self.run("snakemake", "-n", *arguments))

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that occurs once."""
        text = (self.path / file).read_text()
        assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
        (self.path / file).write_text(text.replace(old, new))

    def commit(self) -> None:
        """Commit all that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", "state")


def planned_jobs(output: str) -> Counter[str]:
    """The table of jobs that Snakemake prints."""
    if NOTHING in output:
        return Counter()
    rows = re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE)
    targets = {"all", "publish", "total", "baseline", "phase1", "phase2", "phase3"}
    assert rows, output
    return Counter({name: int(count) for name, count in rows if name not in targets})


def trained_phases(output: str) -> set[str]:
    """The phases whose training Snakemake announced."""
    return set(re.findall(r"Train (\w+), seed", output))


def copy_sources(target: Path) -> None:
    """The files that git tracks or would track, as they are now: what a fresh clone of the next commit holds.

    But for results, and with dvc.lock as it was committed: nothing was made yet.
    """
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        source = ROOT / name
        made = name.startswith("results/") or name == "dvc.lock"
        if not made and (source.is_symlink() or source.is_file()):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    shown = subprocess.run(["git", "show", "HEAD:dvc.lock"], cwd=ROOT, capture_output=True, text=True, check=True)
    (target / "dvc.lock").write_text(shown.stdout)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A fresh clone after `dvc repro`, all committed: made once, and each process that tests has a copy of its own."""
    own = tmp_path_factory.mktemp("copy") / "finished"
    shared = own.parents[1 if worker_id == "master" else 2] / "finished"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            run_all(Project(tmp_path_factory.mktemp("running"))).path.rename(shared)
    shutil.copytree(shared, own, symlinks=True)
    return Project(own)


def run_all(project: Project) -> Project:
    """A project in an empty folder after `dvc repro`, all committed."""
    copy_sources(project.path)
    project.edit("params.yaml", "scale: laptop", "scale: tiny")
    project.run("git", "init", "--quiet")
    project.commit()
    (project.path / "run.log").write_text(project.run("dvc", "repro"))
    (project.path / ".git/info/exclude").write_text("run.log\n")
    project.commit()
    return project


@pytest.fixture(scope="session")
def report(finished: Project) -> Path:
    """The report of the finished project."""
    finished.run("snakemake", "--report", "results/report.html")
    return finished.path / "results/report.html"


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, file times included."""
    shutil.copytree(finished.path, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


@pytest.fixture
def clone(finished: Project, tmp_path: Path) -> Callable[[Project], Project]:
    """`git clone` of a project: what git tracks, nothing else."""

    def make(source: Project) -> Project:
        source.run("git", "clone", "--quiet", str(source.path), str(tmp_path / "clone"))
        return Project(tmp_path / "clone")

    return make
