"""Object tokens of many frames as flat arrays: made from grids, drawn back, saved with a checksum, summed up.

A frame becomes its size, background and colour histogram, and one entry per object: eleven integer columns,
the mask and which entries it touches. What does not fit in `max_objects` is summed up in a last entry, the
*residual*.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.numpy

from arcjepa.archives import DAMAGED, reason
from arcjepa.errors import UserError
from arcjepa.files import remake, write_atomic
from arcjepa.frames import Frames, Grids, offsets
from arcjepa.layout import (
    COLOUR,
    HEIGHT,
    LEFT,
    MAX_OBJECTS,
    MAX_SIDE,
    TOP,
    WIDTH,
    Cells,
    Found,
    Rules,
    allocate,
)
from arcjepa.token_checks import ARRAYS, tokens_fault

FORMAT = 1  # of the file: raise it when an array changes its meaning
CHUNK = 1024  # frames per compiled call: bounds the worst-case buffers at some 8 MiB for 16 objects
REACH = {4: 0, 8: 1}
BACKGROUNDS = ("most_frequent", "zero")


class Settings(Protocol):
    """What tokenising reads of the configuration: see REACH, BACKGROUNDS; max_objects is 1 to MAX_OBJECTS."""

    @property
    def connectivity(self) -> int: ...

    @property
    def background(self) -> str: ...

    @property
    def max_objects(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens of n frames with o entries and r mask rows in all. Pairs as in `Frames`; none for loose grids.

    Entries of a frame: kept objects by falling area, then the residual entry (colour 10) if there is one.
    """

    height: np.ndarray  # uint8 (n,) 1..30
    width: np.ndarray  # uint8 (n,) 1..30
    background: np.ndarray  # uint8 (n,) 0..9, 10 where there is none
    histogram: np.ndarray  # uint16 (n, 10) cells per colour
    residual: np.ndarray  # uint16 (n, 10) cells per colour of the residual entry, 0 if everything fits
    n_components: np.ndarray  # uint16 (n,) before the cut
    object_start: np.ndarray  # int64 (n+1,) entries of frame i are object_start[i] .. object_start[i+1] - 1
    columns: np.ndarray  # int16 (o, 11) as layout.COLUMNS
    contact: np.ndarray  # int64 (o,) bit k: shares a cell edge with entry k of its frame
    row_start: np.ndarray  # int64 (o+1,)
    rows: np.ndarray  # int32 (r,) rows of the masks, cropped to their boxes; bit j is column left + j
    pair_task: np.ndarray  # int32 (n_pairs,)
    pair_is_test: np.ndarray  # bool (n_pairs,)
    task_ids: tuple[str, ...]
    rules: tuple[str, ...]
    max_objects: int

    def __len__(self) -> int:
        return len(self.height)


def tokenise(frames: Grids, settings: Settings) -> Tokens:
    """Same-colour components of every frame, linear in cells, memory flat beside the result.

    The background is the most frequent colour (none where two tie), or 0. Objects are sorted by falling area,
    then by distance of their box from the grid's centre, then in raster order; beyond `max_objects` they are
    merged into the residual entry, with those that tie with the first one dropped: so no view moves the cut.

    Errors: UserError for settings out of range, ValueError for cells over 9 or sides outside 1..30.
    """
    from arcjepa import objects  # here, as numba takes 0.5 s to import and readers of tokens do not need it

    rules = _checked_rules(settings)
    _check_grids(frames)
    found, runs, parts = allocate(min(CHUNK, len(frames)), rules.max_objects)
    chunks = []
    for first in range(0, len(frames), CHUNK):
        part = slice(first, first + CHUNK)
        start = frames.start[first : first + CHUNK + 1]
        cells = Cells(frames.cells, start, frames.height[part], frames.width[part])
        objects.find_objects(cells, rules, found, runs, parts)
        chunks.append(_copy_filled(found, len(cells.height)))
    joined = _join(chunks or [_copy_filled(found, 0)])
    pairs = _pairs(frames)
    return Tokens(frames.height, frames.width, **joined._asdict(), **pairs, max_objects=rules.max_objects)


def _checked_rules(settings: Settings) -> Rules:
    if settings.connectivity not in REACH:
        raise UserError(f"tokens.connectivity: {settings.connectivity!r}; allowed: {', '.join(map(str, REACH))}")
    if settings.background not in BACKGROUNDS:
        raise UserError(f"tokens.background: {settings.background!r}; allowed: {', '.join(BACKGROUNDS)}")
    if not 1 <= settings.max_objects <= MAX_OBJECTS:
        raise UserError(f"tokens.max_objects: {settings.max_objects}; allowed: 1 to {MAX_OBJECTS}")
    return Rules(REACH[settings.connectivity], settings.background == "zero", settings.max_objects)


def _check_grids(grids: Grids) -> None:
    """Compiled code would write outside its buffers: nothing that does not fit may reach it."""
    for name, low, high in (("cells", 0, 9), ("height", 1, MAX_SIDE), ("width", 1, MAX_SIDE)):
        values = getattr(grids, name)
        if values.dtype != np.uint8 or np.any(values < low) or np.any(values > high):
            raise ValueError(f"grids.{name}: {values.dtype}, or out of range; allowed: uint8 within {low} to {high}")
    if len(grids.width) != len(grids.height) or grids.start[-1] != len(grids.cells):
        raise ValueError(f"{len(grids.cells)} cells for {len(grids.height)} heights and {len(grids.width)} widths")


def _copy_filled(found: Found, n_frames: int) -> Found:
    """The filled front of the buffers, which the next call overwrites."""
    n_objects = int(found.object_start[n_frames])
    n_rows = int(found.row_start[n_objects])
    sizes = (n_frames,) * 4 + (n_frames + 1, n_objects, n_objects, n_objects + 1, n_rows)
    return Found(*(array[:size].copy() for array, size in zip(found, sizes, strict=True)))


def _join(chunks: list[Found]) -> Found:
    """One Found of several; where a chunk's entries and rows start follows from how many each holds."""
    joined = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in Found._fields}
    for name in ("object_start", "row_start"):
        joined[name] = offsets(np.concatenate([np.diff(getattr(chunk, name)) for chunk in chunks]))
    return Found(**joined)


def _pairs(grids: Grids) -> dict[str, Any]:
    if isinstance(grids, Frames):
        return {name: getattr(grids, name) for name in ("pair_task", "pair_is_test", "task_ids", "rules")}
    return {
        "pair_task": np.zeros(0, np.int32),
        "pair_is_test": np.zeros(0, np.bool_),
        "task_ids": (),
        "rules": (),
    }


def detokenise(tokens: Tokens, i: int) -> np.ndarray:
    """Frame i as an (H, W) uint8 grid: as it was, but for the residual entry's cells, drawn as colour 10."""
    grid = np.full((tokens.height[i], tokens.width[i]), tokens.background[i], np.uint8)
    for o in range(tokens.object_start[i], tokens.object_start[i + 1]):
        box = tokens.columns[o].astype(int)
        rows = tokens.rows[tokens.row_start[o] : tokens.row_start[o + 1]]
        mask = (rows[:, None] >> np.arange(box[WIDTH]) & 1).astype(bool)
        part = grid[box[TOP] : box[TOP] + box[HEIGHT], box[LEFT] : box[LEFT] + box[WIDTH]]
        part[mask] = box[COLOUR]
    return grid


def overflow_summary(tokens: Tokens) -> dict[str, float]:
    """How much did not fit in `max_objects`: frames, components and cells, as counts and shares of all."""
    kept = np.diff(tokens.object_start) - (tokens.residual.sum(1) > 0)
    over = tokens.n_components > kept
    cells = tokens.histogram.sum(dtype=np.int64)
    hidden = tokens.residual.sum(dtype=np.int64)
    return {
        "frames": len(tokens),
        "max_objects": tokens.max_objects,
        "components": int(tokens.n_components.sum(dtype=np.int64)),
        "most_components": int(tokens.n_components.max(initial=0)),
        "overflowing_frames": int(over.sum()),
        "overflowing_share": float(over.sum() / max(len(tokens), 1)),
        "merged_components": int((tokens.n_components - kept).sum(dtype=np.int64)),
        "merged_cells": int(hidden),
        "merged_cell_share": float(hidden / max(cells, 1)),
    }


def save_tokens(path: str | Path, tokens: Tokens) -> None:
    """Write `path` (safetensors) and its manifest, `path`.json: the file's name, format, size and SHA-256.

    The same tokens give the same bytes. The file is replaced first, its manifest last: a write that was cut
    short fails the check on load.
    """
    path = Path(path)
    arrays = {name: np.ascontiguousarray(getattr(tokens, name)) for name in ARRAYS}
    text = {"task_ids": tokens.task_ids, "rules": tokens.rules, "max_objects": tokens.max_objects}
    # As an array: safetensors keeps the order of arrays, but not that of its metadata.
    arrays["text"] = np.frombuffer(json.dumps(text).encode(), np.uint8)
    data = safetensors.numpy.save(arrays)
    write_atomic(path, data)
    write_atomic(manifest_path(path), manifest(path, data))


def load_tokens(path: str | Path) -> Tokens:
    """Read what `save_tokens` wrote; UserError names a file that is missing or differs from its manifest."""
    path = Path(path)
    data, recorded = _read(path), _read(manifest_path(path))
    if recorded != manifest(path, data):
        raise UserError(f"{path}: {len(data)} bytes that are not those of {manifest_path(path)}; {_remake(path)}")
    try:
        tokens = _unpack(data)
        fault = tokens_fault(tokens)
    except DAMAGED as error:
        fault = f"holds no tokens ({reason(error)})"
    if fault:
        raise UserError(f"{path}: {fault}; {_remake(path)}")
    return tokens


def _unpack(data: bytes) -> Tokens:
    """Tokens as they are in a file. Errors: one of DAMAGED."""
    try:
        arrays = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise ValueError(error) from error
    text: dict[str, Any] = json.loads(arrays.pop("text").tobytes())
    ids, rules = tuple(text["task_ids"]), tuple(text["rules"])
    return Tokens(**arrays, task_ids=ids, rules=rules, max_objects=text["max_objects"])


def manifest_path(path: str | Path) -> Path:
    return Path(f"{path}.json")


def manifest(path: Path, data: bytes) -> bytes:
    """What the manifest of a file with this content says."""
    digest = hashlib.sha256(data).hexdigest()
    # With its folder, as files of two scales have the same names.
    name = "/".join(path.absolute().parts[-2:])
    content = {"file": name, "format": FORMAT, "bytes": len(data), "sha256": digest}
    return (json.dumps(content, indent=2) + "\n").encode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_remake(path)}") from error


def _remake(path: Path) -> str:
    return f"make it again with `{remake(path)}`"
