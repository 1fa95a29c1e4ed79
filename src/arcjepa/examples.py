"""What the figures show of one encoder: ranked candidates of a few queries, and embeddings for a 2-D map."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arcjepa.archives import DAMAGED, read_arrays, reason
from arcjepa.candidates import KINDS
from arcjepa.errors import UserError
from arcjepa.files import write_atomic
from arcjepa.frames import Grids, grids_fault

if TYPE_CHECKING:  # figures read examples, and should not have to import torch
    from arcjepa.ranking import Ranking, TestSet

MAX_EXAMPLES = 12
SHOWN_KINDS = ("B", "C")
GRIDS = ("cells", "height", "width")
ARRAYS = ("demonstrations", "candidates", "order", "embeddings")


@dataclass(frozen=True, eq=False)
class Example:
    """A test query and its candidates, the true one first; grids (H, W) 0..9, 10 where a frame overflowed."""

    label: str
    """"<task> · B": the same for every encoder."""
    demonstrations: list[tuple[np.ndarray, np.ndarray]]
    query: np.ndarray
    candidates: list[np.ndarray]
    order: np.ndarray
    """(n_candidates,) indices into `candidates`, best first."""


@dataclass(frozen=True, eq=False)
class Examples:
    """The examples of one encoder."""

    queries: list[Example]
    embeddings: np.ndarray
    """(n, D) projected embeddings of the same frames for every encoder."""
    labels: tuple[str, ...]
    """(n,) what each frame is: the first primitive of its rule."""


def choose_examples(test: "TestSet", ranking: "Ranking") -> list[Example]:
    """Up to MAX_EXAMPLES queries, spread over the test set, with their candidates of kinds B and C."""
    starts = test.candidates.lists()
    wanted = [KINDS.index(kind) for kind in SHOWN_KINDS]
    complete = [q for q in np.unique(ranking.query) if set(wanted) <= set(ranking.kind[ranking.query == q])]
    spread = np.linspace(0, len(complete) - 1, MAX_EXAMPLES).round().astype(int) if complete else np.zeros(0, int)
    examples = []
    for query in (complete[i] for i in np.unique(spread)):
        for kind in wanted:
            place = int(np.flatnonzero((ranking.query == query) & (ranking.kind == kind))[0])
            examples.append(_example(test, slice(starts[place], starts[place + 1]), ranking.scores))
    return examples


def _example(test: "TestSet", entries: slice, scores: np.ndarray) -> Example:
    candidates, tokens = test.candidates, test.tokens
    pair = int(candidates.query_pair[candidates.query[entries.start]])
    task = int(tokens.pair_task[pair])
    shown: list[int] = np.flatnonzero((tokens.pair_task == task) & ~tokens.pair_is_test).tolist()
    number = pair - int(np.flatnonzero(tokens.pair_task == task)[0]) - len(shown) + 1
    return Example(
        label=f"{tokens.task_ids[task]} test {number} · {KINDS[int(candidates.kind[entries.start])]}",
        demonstrations=[(test.frames[2 * p], test.frames[2 * p + 1]) for p in shown],
        query=test.frames[2 * pair],
        candidates=[candidates.grids[int(g)] for g in candidates.grid[entries]],
        # Where scores tie, the true output (the first) comes last: a collapsed encoder should not look perfect.
        order=np.lexsort((np.arange(entries.stop - entries.start) == 0, -scores[entries])),
    )


def save_examples(path: Path, examples: Examples) -> None:
    """Write a .npz; the same examples give the same bytes."""
    grids = [grid for e in examples.queries for grid in (*sum(e.demonstrations, ()), e.query, *e.candidates)]
    text = json.dumps({"queries": [e.label for e in examples.queries], "frames": examples.labels})
    held: dict[str, Any] = {
        "cells": np.concatenate([np.zeros(0, np.uint8), *(grid.ravel() for grid in grids)]),
        "height": np.array([grid.shape[0] for grid in grids], dtype=np.uint8),
        "width": np.array([grid.shape[1] for grid in grids], dtype=np.uint8),
        "demonstrations": np.array([len(e.demonstrations) for e in examples.queries], dtype=np.int64),
        "candidates": np.array([len(e.candidates) for e in examples.queries], dtype=np.int64),
        "order": np.concatenate([np.zeros(0, np.int64), *(e.order for e in examples.queries)]),
        "embeddings": examples.embeddings.astype(np.float32),
        "text": np.frombuffer(text.encode(), dtype=np.uint8),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **held)
    write_atomic(path, buffer.getbuffer())


def load_examples(path: Path) -> Examples:
    """Read a .npz of `save_examples`. Errors: UserError naming the file where it is missing or damaged."""
    again = "delete it and run the workflow"
    try:
        return _examples(read_arrays(path, (*GRIDS, *ARRAYS, "text")))
    except DAMAGED as error:
        raise UserError(f"{path}: no examples file ({reason(error)}); {again}") from error


def _examples(held: dict[str, np.ndarray]) -> Examples:
    """What the arrays hold. Errors: one of DAMAGED where they do not fit each other."""
    text = json.loads(held["text"].tobytes())
    kinds = dict.fromkeys(("demonstrations", "candidates", "order"), "int64 1")
    for name, kind in (kinds | {"embeddings": "float32 2", "text": "uint8 1"}).items():
        if kind != f"{held[name].dtype} {held[name].ndim}":
            raise ValueError(f"{name} is {held[name].dtype} of {held[name].ndim} axes, expected {kind}")
    stored = Grids(*(held[name] for name in GRIDS))
    if fault := grids_fault(stored):
        raise ValueError(fault)
    grids = list(stored)
    queries: list[Example] = []
    first = ranked = 0
    for label, shown, count in zip(text["queries"], held["demonstrations"], held["candidates"], strict=True):
        last = first + 2 * int(shown) + 1 + int(count)
        queries.append(_unpack(label, grids[first:last], int(shown), held["order"][ranked : ranked + int(count)]))
        first, ranked = last, ranked + int(count)
    return Examples(queries, held["embeddings"], tuple(text["frames"]))


def _unpack(label: str, grids: Sequence[np.ndarray], shown: int, order: np.ndarray) -> Example:
    demonstrations = [(grids[2 * i], grids[2 * i + 1]) for i in range(shown)]
    return Example(label, demonstrations, grids[2 * shown], list(grids[2 * shown + 1 :]), order)
