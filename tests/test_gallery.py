"""Examples: every encoder's order stands beside the same query, and the frame that is drawn has something to show."""

import numpy as np

from arcjepa.data_settings import TokenSettings
from arcjepa.examples import Example, Examples
from arcjepa.figures.gallery import choose_frame, join_queries
from arcjepa.frames import Grids
from arcjepa.tokens import tokenise

GRID = np.array([[1]], dtype=np.uint8)


def example(label: str, order: list[int]) -> Example:
    return Example(label, [(GRID, GRID)], GRID, [GRID, GRID], np.array(order))


def test_orders_of_all_encoders_stand_beside_one_query() -> None:
    none = np.zeros((0, 2)), ()
    held = {
        "phase1": Examples([example("a", [0, 1]), example("b", [1, 0])], *none),
        "phase2": Examples([example("a", [1, 0]), example("b", [0, 1])], *none),
    }
    queries = join_queries(held)
    assert [query.label for query in queries] == ["a", "b"]
    assert {name: list(order) for name, order in queries[0].orders.items()} == {"phase1": [0, 1], "phase2": [1, 0]}
    assert [query.label for query in join_queries(held, count=1)] == ["a"]


def test_frame_has_objects_that_touch() -> None:
    plain = np.zeros((6, 6), dtype=np.uint8)
    busy = plain.copy()
    busy[0, :5] = [1, 2, 0, 3, 0]
    busy[3, 1:5] = [4, 0, 0, 5]
    tokens = tokenise(
        Grids.from_list([plain, plain, busy, plain]),
        TokenSettings(connectivity=8, background="most_frequent", max_objects=16),
    )
    assert choose_frame(tokens) == 2


def test_first_frame_where_none_is_suited() -> None:
    tokens = tokenise(
        Grids.from_list([GRID]), TokenSettings(connectivity=8, background="most_frequent", max_objects=16)
    )
    assert choose_frame(tokens) == 0
