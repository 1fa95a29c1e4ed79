"""What the figures of examples show, chosen from all that there is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from arcjepa.figures.candidates import Query
from arcjepa.tokens import Tokens

if TYPE_CHECKING:  # it imports torch, which takes seconds and is not needed here
    from arcjepa.examples import Examples

QUERIES = 4
OBJECTS = range(5, 10)


def join_queries(examples: "Mapping[str, Examples]", count: int = QUERIES) -> list[Query]:
    """The first `count` queries, each with the order that every encoder gives its candidates. `examples`: by name."""
    chosen: dict[str, Query] = {}
    for name, held in examples.items():
        for example in held.queries[:count]:
            query = chosen.setdefault(
                example.label,
                Query(example.label, example.demonstrations, example.query, example.candidates, 0, {}),
            )
            chosen[example.label] = Query(**{**vars(query), "orders": {**query.orders, name: example.order}})
    return list(chosen.values())


def choose_frame(tokens: Tokens) -> int:
    """The first frame with a handful of objects, some of which touch; the first frame where there is none such."""
    counts = np.diff(tokens.object_start)
    touching = np.add.reduceat(np.append(tokens.contact != 0, False), tokens.object_start[:-1])
    suited = np.isin(counts, OBJECTS) & (touching >= 2) & (tokens.residual.sum(axis=1) == 0)
    return int(np.argmax(suited))
