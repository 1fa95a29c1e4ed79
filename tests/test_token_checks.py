"""Numbers of a token file are believed only where they lead to what is there."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from arcjepa.token_checks import tokens_fault
from arcjepa.tokens import Tokens


def test_good_tokens_have_no_fault(tokens: Tokens) -> None:
    assert tokens_fault(tokens) == ""


@pytest.mark.parametrize("name", ["object_start", "row_start"])
@pytest.mark.parametrize("value", [-1, 2**24, 2**62])
def test_a_number_that_leads_elsewhere_is_refused_before_it_asks_for_memory(
    tokens: Tokens, name: str, value: int
) -> None:
    starts = getattr(tokens, name).copy()
    starts[3] = value
    tracemalloc.start()
    fault = tokens_fault(replace(tokens, **{name: starts}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fault == f"{name} out of range"
    assert peak < 2**24


def test_boxes_stay_within_their_frames(tokens: Tokens) -> None:
    heights = np.ones_like(tokens.height)
    assert tokens_fault(replace(tokens, height=heights)) == "columns out of range"
