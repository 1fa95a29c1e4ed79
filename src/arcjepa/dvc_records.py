"""What DVC, Snakemake and git recorded of the files of a project.

`dvc checkout` puts a damaged file of its cache back without a word, and `dvc status` asks file times before contents.
Here contents are compared.
"""

import configparser
import hashlib
import json
import os
import subprocess
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from arcjepa.archives import reason
from arcjepa.errors import UserError

METADATA = ".snakemake/metadata"
LOCK = "dvc.lock"
ANALYSIS = "data/raw/analysis"
ROUNDING = 0.01
"""Seconds by which a file's time may differ from what is recorded of it."""


class Out(NamedTuple):
    """A file or folder that dvc.lock records."""

    path: str
    md5: str
    """Of the file; ending in .dir for a folder: of the list of its files."""


class Use(NamedTuple):
    """What a file was when a job read it."""

    job: str
    """The first output of the job."""
    sha256: str
    started: float


class DvcRecords:
    """dvc.lock and the cache of the project in `root`."""

    def __init__(self, root: Path) -> None:
        self.root, self.cache = root, cache_folder(root)

    @cached_property
    def outs(self) -> list[Out]:
        """All outputs of all stages. Errors: UserError where dvc.lock is no file of DVC's."""
        return self._entries("outs")

    @cached_property
    def analysis(self) -> str:
        """MD5 of the tables of the analysis, which no stage makes; "" where none is recorded. Errors: as `outs`."""
        return next((entry.md5 for entry in self._entries("deps") if entry.path == ANALYSIS), "")

    def _entries(self, kind: str) -> list[Out]:
        path = self.root / LOCK
        try:
            stages = yaml.safe_load(path.read_bytes())["stages"].values() if path.exists() else []
            return [Out(str(entry["path"]), str(entry["md5"])) for stage in stages for entry in stage.get(kind, [])]
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
            raise UserError(f"{LOCK}: is not as DVC writes it ({reason(error)}); type: git checkout {LOCK}") from None

    @cached_property
    def files(self) -> dict[str, str]:
        """MD5 by path of each recorded file; those of folders whose list is not in the cache are missing."""
        found = {}
        for out in self.outs:
            if not out.md5.endswith(".dir"):
                found[out.path] = out.md5
            for entry in self.listing(out) or ():
                found[f"{out.path}/{entry['relpath']}"] = entry["md5"]
        return found

    def listing(self, out: Out) -> list[dict[str, str]] | None:
        """[{"md5", "relpath"}] of a recorded folder; None where the cache has no such list, or a damaged one."""
        path = self.cached(out.md5)
        if not out.md5.endswith(".dir") or not path.is_file() or file_digest(path, "md5") != out.md5[:32]:
            return None
        entries: list[dict[str, str]] = json.loads(path.read_bytes())
        return entries

    def cached(self, md5: str) -> Path:
        """Where the cache keeps what has this MD5."""
        return self.cache / md5[:2] / md5[2:]


def cache_folder(root: Path) -> Path:
    """Where DVC keeps files by their MD5. Errors: UserError where its settings cannot be read."""
    folder = Path("cache")
    for name, mend in (("config", "git checkout .dvc/config"), ("config.local", "rm .dvc/config.local")):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(root / ".dvc" / name)
        except (configparser.Error, UnicodeDecodeError) as error:
            raise UserError(f".dvc/{name}: is not as DVC writes it ({reason(error)}); type: {mend}") from None
        folder = Path(parser.get("cache", "dir", fallback=str(folder)))
    return root / ".dvc" / folder / "files/md5"


def cached_files(cache: Path) -> Iterator[tuple[Path, str]]:
    """Every file of the cache with the MD5 that its name says, sorted; what is being written has another name."""
    for path in sorted(cache.glob("??/*")):
        expected = path.parent.name + path.name.removesuffix(".dir")
        if len(expected) == 32 and path.is_file():
            yield path, expected


def folder_md5(folder: Path) -> str:
    """What dvc.lock records of a folder with these contents."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    entries = [{"md5": file_digest(files[name], "md5"), "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def git_blobs(root: Path, folder: str) -> dict[str, str]:
    """The hashes of the files in a folder, relative to `root`, as they were committed last; none outside git."""
    command = ["git", "-C", str(root), "ls-tree", "-r", "-z", "HEAD", "--", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [row.partition("\t") for row in done.stdout.split("\0") if row]
    return {name: facts.split()[2] for facts, _, name in rows}


def blob_of(path: Path) -> str:
    """The hash that git has for a file with this content. Errors: OSError."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def file_digest(path: Path, algorithm: str) -> str:
    """Hex digits of a file's content. Errors: OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


class JobRecords:
    """What Snakemake recorded of jobs, by their outputs.

    It records a job that failed as one that did not, and then deletes its outputs: records of these say nothing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.records: dict[str, dict[str, Any]] = {}
        self.broken: list[Path] = []
        """Records that cannot be read."""
        folder = root / METADATA
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            try:
                record = json.loads(path.read_bytes())
                _ = record["starttime"], record["endtime"], record["input_checksums"].items()
                if os.path.exists(root / (output := output_of(path.relative_to(folder)))):
                    self.records[output] = record
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.broken.append(path)

    def changed_since(self, folder: str) -> list[str]:
        """Outputs in a folder that were written after their jobs ended; none where all were, as in a copy."""
        made = {
            name: record["endtime"] or 0.0 for name, record in self.records.items() if name.startswith(f"{folder}/")
        }
        # Snakemake records as the end of a job when its outputs were written.
        later = [name for name, end in made.items() if os.path.getmtime(self.root / name) > end + ROUNDING]
        return later if len(later) < len(made) else []

    def uses(self) -> dict[str, Use]:
        """By input: what it was for the last job that read it, where that was not made before it is recorded anew."""
        found: dict[str, Use] = {}
        for output, record in self.records.items():
            for path, checksum in (record.get("input_checksums") or {}).items():
                use = Use(output, str(checksum).removeprefix("sha256:"), record.get("starttime") or 0.0)
                made = self.records.get(path, {}).get("endtime") or 0.0
                if made <= use.started and (path not in found or found[path].started < use.started):
                    found[path] = use
        return found


def output_of(name: Path) -> str:
    """The output that a file below .snakemake/metadata or .snakemake/incomplete is named after. Errors: ValueError."""
    return urlsafe_b64decode("".join(part.removeprefix("@") for part in name.parts)).decode()


def record_name(output: str) -> str:
    """The reverse of `output_of`, for outputs of up to some 180 characters."""
    return urlsafe_b64encode(output.encode()).decode()
