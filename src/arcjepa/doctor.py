"""`arcjepa doctor`: what would stop the workflow on this machine, in this folder; each problem with what to type next.

Nothing is changed, nothing is waited for without end, and torch is not imported: a sick machine may hang on it.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shlex import quote

from arcjepa import asking
from arcjepa.asking import ask, check_small, driver, read_small, torch_cuda
from arcjepa.config import Params, load
from arcjepa.errors import UserError
from arcjepa.examination import Examination, Finding
from arcjepa.files import counted, enumerated
from arcjepa.leftovers import dead_writes, foreign_dvc_holders, incomplete_outputs, live_snakemakes, locks
from arcjepa.limits import MOST_RANKS
from arcjepa.provenance import commit
from arcjepa.remotes import dvc_remotes
from arcjepa.users import user_paths

OLDEST_PYTHON = (3, 11)
LITTLE_DISK, LEAST_DISK = 3 * 2**30, 2**29
"""Bytes: a run of scale laptop with its environment takes 2.4 GB."""
FEW_FILES = 10_000
WRITTEN = (".", "data", "results", "logs", ".snakemake", ".dvc")
RESTORE_LOCK = "git checkout requirements.lock"
OURS = ("snakemake", "dvc", "torch", "numpy", "pydantic", "safetensors")
"""Packages whose version is told where it is right, too."""
SLURM = ("sbatch", "squeue", "sacct", "scontrol")


def examine_place(root: Path) -> list[Finding]:
    """All findings on the project in `root` and on this machine."""
    examinations = (
        Examination("python", ".", _python),
        Examination("packages", "requirements.lock", _packages),
        Examination("params", "params.yaml", _params),
        Examination("your tasks", "data/raw/user", _user_tasks),
        Examination("git", ".git", _git),
        Examination("snakemake", ".snakemake/locks", _snakemake_lock),
        Examination("dvc", ".dvc", _dvc_lock),
        Examination("remotes", ".dvc", _remotes),
        Examination("incomplete", ".snakemake/incomplete", _incomplete),
        Examination("leftovers", ".", _dead_writes),
        Examination("disk", ".", _disk),
        Examination("writable", ".", _writable),
        Examination("gpu", "params.yaml", _gpu),
        Examination("slurm", ".", _slurm),
    )
    return [finding for examination in examinations for finding in examination.findings(root)]


def _python(root: Path) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield Finding("fail", "python", f"{found}, 3.11 or later is needed", "make install PYTHON=python3.11")
    else:
        yield Finding("ok", "python", f"{found} in {sys.prefix}")


def _packages(root: Path) -> Iterator[Finding]:
    """What is installed against requirements.lock."""
    try:
        content = read_small(root / "requirements.lock").decode()
    except (FileNotFoundError, UnicodeDecodeError) as error:
        why = "missing" if isinstance(error, OSError) else f"not UTF-8 at byte {error.start}"
        yield Finding("fail", "packages", f"requirements.lock is {why}", RESTORE_LOCK)
        return
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;#]+)", content, re.MULTILINE))
    if not pins:
        yield Finding("fail", "packages", "requirements.lock has no line NAME==VERSION", RESTORE_LOCK)
        return
    missing, other = [], []
    for name, wanted in pins.items():
        found = _version(name)
        if found is None:
            missing.append(name)
        elif found != wanted:
            other.append(f"{name} {found} for {wanted}")
    again = "rm -f .venv/.installed; make install"
    if missing:
        text = f"{len(missing)} of {len(pins)} that requirements.lock names are missing: {enumerated(missing)}"
        yield Finding("fail", "packages", text, again)
    if other:
        yield Finding("warn", "packages", f"other versions than requirements.lock: {enumerated(other)}", again)
    if not missing and not other:
        told = ", ".join(f"{name} {pins[name]}" for name in OURS if name in pins)
        yield Finding("ok", "packages", f"all {len(pins)} as in requirements.lock, among them {told}")


def _version(name: str) -> str | None:
    """Without what a wheel's build adds to it, such as +cu126."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def _params(root: Path) -> Iterator[Finding]:
    check_small(root / "params.yaml")
    try:
        params = load(root / "params.yaml")
    except UserError as error:
        yield Finding("fail", "params", str(error), "git diff params.yaml")
    else:
        yield Finding("ok", "params", f"params.yaml is valid, scale {params.scale}, device {params.device}")


def _user_tasks(root: Path) -> Iterator[Finding]:
    try:
        names = list(user_paths(root / "data/raw/user"))
    except UserError as error:
        yield Finding("fail", "your tasks", str(error), "ls -l data/raw/user")
    else:
        yield Finding("ok", "your tasks", enumerated(names) or "none in data/raw/user")


def _git(root: Path) -> Iterator[Finding]:
    head = commit(root)
    if not head:
        yield Finding("warn", "git", "no commit here, so results are stamped with none", "git init; git add -A")
        return
    done = ask("git", "-C", str(root), "status", "--porcelain")
    changed = [] if done is None else [line[3:] for line in done.splitlines()]
    if (root / ".git/index.lock").exists():
        yield Finding("fail", "git", ".git/index.lock: another git is at work, or was killed", "rm .git/index.lock")
    elif changed:
        text = f"{counted(len(changed), 'file')} beside commit {head[:12]}: {enumerated(changed)}"
        yield Finding("ok", "git", text)
    else:
        yield Finding("ok", "git", f"commit {head}, nothing beside it")


def _snakemake_lock(root: Path) -> Iterator[Finding]:
    found, live = locks(root), live_snakemakes(root)
    if live:
        yield Finding("ok", "snakemake", f"at work in this folder: process {', '.join(map(str, live))}")
    elif found:
        text = f"{counted(len(found), 'lock')} of a run that was killed, or is at work on another machine"
        yield Finding("fail", "snakemake", f"{text}; if it was killed", "snakemake --unlock")
    else:
        yield Finding("ok", "snakemake", "no lock in this folder")


def _dvc_lock(root: Path) -> Iterator[Finding]:
    try:
        (root / ".dvc/config").lstat()
        foreign = foreign_dvc_holders(root)
    except FileNotFoundError:
        yield Finding("fail", "dvc", ".dvc/config is missing", "git checkout .dvc")
        return
    except ValueError:
        yield Finding("fail", "dvc", ".dvc/tmp/rwlock is damaged", "rm .dvc/tmp/rwlock")
        return
    if foreign:
        text = f".dvc/tmp/rwlock names process {', '.join(map(str, foreign))}, which is no dvc by now"
        yield Finding("warn", "dvc", text, "rm .dvc/tmp/rwlock")
    else:
        yield Finding("ok", "dvc", "no lock that was left behind")


def _remotes(root: Path) -> Iterator[Finding]:
    try:
        remotes = dvc_remotes(root)
    except ImportError:
        return  # as `packages` tells
    except UserError as error:
        yield Finding("fail", "remotes", str(error), "git diff .dvc/config; cat .dvc/config.local")
        return
    closed = remotes.closed
    for name, refusal in closed.items():
        text, elsewhere = f"{name} is {remotes.urls[name]:.200}", f"dvc remote modify {quote(name)} url FOLDER"
        if isinstance(refusal, FileNotFoundError):
            told = f"{text}, which is no folder: dvc pull finds nothing there"
            yield Finding("warn", "remotes", told, f"{elsewhere}, or dvc push (which makes it)")
        else:
            yield Finding("fail", "remotes", f"{text}: {refusal.strerror}", elsewhere)
    if not closed:
        default = f", by default {remotes.default}" if remotes.default else ""
        yield Finding("ok", "remotes", f"{counted(len(remotes.urls), 'remote')} of DVC{default}")


def _incomplete(root: Path) -> Iterator[Finding]:
    outputs = incomplete_outputs(root)
    if outputs and live_snakemakes(root):
        yield Finding("ok", "incomplete", f"being made: {enumerated(outputs)}")
    elif outputs:
        text = f"{counted(len(outputs), 'output')} of a job that was cut short: {enumerated(outputs)}"
        yield Finding("warn", "incomplete", text, "snakemake (which makes them again)")
    else:
        yield Finding("ok", "incomplete", "no output of a job that was cut short")


def _dead_writes(root: Path) -> Iterator[Finding]:
    if dead := dead_writes(root):
        names = [path.relative_to(root).as_posix() for path in dead]
        size = sum(path.lstat().st_size for path in dead) / 2**20
        text = f"{counted(len(dead), 'file')} of writes that were cut short, {size:.1f} MiB: {enumerated(names)}"
        yield Finding("warn", "leftovers", text, f"rm {' '.join(map(quote, names[:5]))}")
    else:
        yield Finding("ok", "leftovers", "none of writes that were cut short")


def _disk(root: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(root).free
    level = "fail" if free < LEAST_DISK else "warn" if free < LITTLE_DISK else "ok"
    command = "" if level == "ok" else "df -h .; du -sh .dvc/cache results"
    yield Finding(level, "disk", f"{free / 2**30:.1f} GiB free", command)
    files = os.statvfs(root)
    if files.f_files:  # some file systems count none
        few = files.f_favail < FEW_FILES
        text = f"{files.f_favail} more files fit"
        yield Finding("fail" if few else "ok", "inodes", text, "df -i ." if few else "")


def _writable(root: Path) -> Iterator[Finding]:
    """By writing: permissions alone say nothing of a read-only disk or a quota."""
    refused = []
    places = [root / name for name in WRITTEN if (root / name).is_dir()]
    for place in (*places, Path(tempfile.gettempdir())):
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(b"x")
        except OSError as error:
            refused.append((place, f"{place}: {error.strerror}"))
    if refused:
        text = "; ".join(why for _, why in refused)
        yield Finding("fail", "writable", text, f"ls -ld {refused[0][0]}; df {refused[0][0]}")
    else:
        yield Finding("ok", "writable", f"{enumerated([str(place) for place in places])}")


def _gpu(root: Path) -> Iterator[Finding]:
    """What CUDA the driver can, and what CUDA torch was made for."""
    able, count = driver()
    params = _settings(root)
    yield from _ranks(params, count) if params else ()
    wheel = torch_cuda()
    has = f"{counted(count, 'GPU')}, driver for CUDA {able}, torch for {wheel or 'the CPU alone'}"
    if not count:
        text = f"no GPU, {f'though a driver for CUDA {able}' if able else 'and no NVIDIA driver'}"
        wanted = params is not None and params.device == "cuda"
        command = "snakemake --config device=auto" if wanted else "nvidia-smi" if able else ""
        yield Finding("fail" if wanted else "warn" if able else "ok", "gpu", text, command)
    elif not wheel:
        yield Finding("warn", "gpu", has, "pip install torch, a build with CUDA")
    elif int(wheel.split(".")[0]) > int(able.split(".")[0]):
        yield Finding("fail", "gpu", f"{has}: the driver is too old", "nvidia-smi, then install a torch for its CUDA")
    else:
        yield Finding("ok", "gpu", has)


def _ranks(params: Params, gpus: int) -> Iterator[Finding]:
    """How many processes a training would be here."""
    gpus = 0 if params.device == "cpu" else gpus
    asked = max(1, gpus) if params.ranks == "auto" else params.ranks
    batch = params.phase_settings(params.phase).training.batch_size
    fitting = max(number for number in range(1, min(MOST_RANKS, max(1, gpus)) + 1) if batch % number == 0)
    text = f"{params.ranks} in params.yaml, {counted(gpus, 'GPU')} for them here, batches of {batch} in {params.phase}"
    if shutil.which("sbatch"):
        slurm = 1 if params.ranks == "auto" else asked
        yield Finding("ok", "ranks", f"{text}; a Slurm job has {slurm}")
    elif asked <= fitting and batch % asked == 0:
        yield Finding("ok", "ranks", text)
    else:
        # So many processes without a GPU do train, slower than one.
        yield Finding("fail" if gpus else "warn", "ranks", text, f"snakemake --config ranks={fitting}")


def _settings(root: Path) -> Params | None:
    try:
        check_small(root / "params.yaml")
        return load(root / "params.yaml")
    except (OSError, UserError):  # told by another line
        return None


def _slurm(root: Path) -> Iterator[Finding]:
    lacking = [name for name in SLURM if shutil.which(name) is None]
    if len(lacking) == len(SLURM):
        yield Finding("ok", "slurm", "not on this machine: `snakemake` runs here, `snakemake --profile slurm` cannot")
    elif lacking:
        yield Finding("warn", "slurm", f"without {', '.join(lacking)}", "module load slurm, or ask for the clients")
    elif (done := asking.ended("scontrol", "ping")) is None:
        yield Finding("warn", "slurm", f"no controller answered within {asking.WAIT} s", "scontrol ping; sinfo")
    else:
        said = " ".join(f"{done.stdout} {done.stderr}".split())[:160] or f"nothing, and ended with {done.returncode}"
        if done.returncode or "UP" not in done.stdout:
            yield Finding("warn", "slurm", f"no controller is up, scontrol says {said}", "scontrol ping; sinfo")
        else:
            yield Finding("ok", "slurm", said)
