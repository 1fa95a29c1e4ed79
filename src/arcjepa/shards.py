"""Token stores of several files as one."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from arcjepa.frames import offsets
from arcjepa.tokens import Tokens

STARTS = ("object_start", "row_start")


def join_tokens(parts: Sequence[Tokens]) -> Tokens:
    """All frames, pairs and tasks of the parts, one after the other. ValueError where `max_objects` differ, or none."""
    sizes = {part.max_objects for part in parts}
    if len(sizes) != 1:
        raise ValueError(f"stores with max_objects {sorted(sizes)} cannot be joined; allowed: one or more, all alike")
    first_task = offsets(np.array([len(part.task_ids) for part in parts]))
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _arrays() - set(STARTS)
    }
    for name in STARTS:
        joined[name] = offsets(np.concatenate([np.diff(getattr(part, name)) for part in parts]))
    shifted = [part.pair_task + first for part, first in zip(parts, first_task, strict=False)]
    joined["pair_task"] = np.concatenate(shifted).astype(np.int32)
    for name in ("task_ids", "rules"):
        joined[name] = tuple(text for part in parts for text in getattr(part, name))
    return Tokens(**joined, max_objects=sizes.pop())


def _arrays() -> set[str]:
    return {field.name for field in fields(Tokens)} - {"task_ids", "rules", "max_objects"}
