"""Whether token arrays that were read from a file can be what `tokens.tokenise` made."""

from typing import TYPE_CHECKING

import numpy as np

from arcjepa.layout import (
    AREA,
    COLOUR,
    COLUMNS,
    HEIGHT,
    LEFT,
    MAX_OBJECTS,
    MAX_SIDE,
    MIXED,
    NO_BACKGROUND,
    TOP,
    WIDTH,
)

if TYPE_CHECKING:
    from arcjepa.tokens import Tokens

ARRAYS: dict[str, type] = {
    **dict.fromkeys(("height", "width", "background"), np.uint8),
    **dict.fromkeys(("histogram", "residual", "n_components"), np.uint16),
    **dict.fromkeys(("object_start", "contact", "row_start"), np.int64),
    **{"columns": np.int16, "rows": np.int32, "pair_task": np.int32, "pair_is_test": np.bool_},
}
"""Type of each array of `Tokens`."""


def tokens_fault(tokens: "Tokens") -> str:
    """What cannot be in tokens that `tokenise` made, "" if nothing is: a file of unknown origin may have any checksum.

    Indices that led elsewhere would be read by compiled code and by the GPU without a word.
    """
    n, o = len(tokens.height), len(tokens.contact)
    shapes = {"height": (n,), "width": (n,), "background": (n,), "histogram": (n, 10), "residual": (n, 10)}
    shapes |= {"n_components": (n,), "object_start": (n + 1,), "columns": (o, len(COLUMNS)), "contact": (o,)}
    pairs = len(tokens.pair_task)
    shapes |= {"row_start": (o + 1,), "rows": (tokens.rows.size,), "pair_task": (pairs,), "pair_is_test": (pairs,)}
    for name, dtype in ARRAYS.items():
        array = getattr(tokens, name)
        if array.dtype != dtype or array.shape != shapes[name]:
            return f"{name} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shapes[name]}"
    if type(tokens.max_objects) is not int or not 1 <= tokens.max_objects <= MAX_OBJECTS:
        return f"max_objects is {tokens.max_objects!r:.40}, expected 1 to {MAX_OBJECTS}"
    if not all(isinstance(text, str) for text in tokens.task_ids + tokens.rules):
        return "a task id or rule is no string"
    return _misplaced(tokens)


def _misplaced(tokens: "Tokens") -> str:
    """Which numbers lead out of what they count, "" if none do."""
    entries, columns = np.diff(tokens.object_start), tokens.columns.astype(np.int64)
    sides = np.stack([tokens.height, tokens.width]).astype(np.int64)
    whole = tokens.object_start[0] == tokens.row_start[0] == 0 and tokens.object_start[-1] == len(columns)
    within = {
        "height, width": ((sides >= 1) & (sides <= MAX_SIDE)).all(),
        "background": (tokens.background <= NO_BACKGROUND).all(),
        "object_start": whole and ((entries >= 0) & (entries <= tokens.max_objects + 1)).all(),
        "row_start": (np.diff(tokens.row_start) == columns[:, HEIGHT]).all()
        and tokens.row_start[-1] == len(tokens.rows),
        "pair_task": ((tokens.pair_task >= 0) & (tokens.pair_task < len(tokens.task_ids))).all(),
        "pairs": len(tokens.pair_task) in (0, len(tokens) / 2) and len(tokens.rules) == len(tokens.task_ids),
    }
    if all(within.values()):  # before, a number could ask for any amount of memory
        frame = np.repeat(np.arange(len(tokens)), entries)
        box = (columns[:, TOP] + columns[:, HEIGHT], columns[:, LEFT] + columns[:, WIDTH])
        low = columns >= np.eye(len(COLUMNS), dtype=np.int64)[[HEIGHT, WIDTH, AREA]].sum(0)
        within["columns"] = (
            low.all() and (columns[:, COLOUR] <= MIXED).all() and (np.stack(box) <= sides[:, frame]).all()
        )
    return next((f"{name} out of range" for name, good in within.items() if not good), "")
