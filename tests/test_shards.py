"""Joined stores hold what their parts hold."""

from dataclasses import replace

import numpy as np
import pytest

from arcjepa.data_settings import TokenSettings
from arcjepa.frames import Frames
from arcjepa.shards import join_tokens
from arcjepa.tasks import Pair, Task
from arcjepa.tokens import Tokens, detokenise, tokenise

SETTINGS = TokenSettings(connectivity=8, background="most_frequent", max_objects=16)


def make_frames(seed: int, tasks: int) -> Frames:
    rng = np.random.default_rng(seed)
    grids = iter(rng.integers(0, 4, (4 * tasks, 5, 6)).astype(np.uint8))
    return Frames.from_tasks(
        [
            Task(f"{seed}-{t}", (Pair(next(grids), next(grids)),), (Pair(next(grids), next(grids)),))
            for t in range(tasks)
        ]
    )


def test_joined_is_tokenised_concatenation() -> None:
    parts = [make_frames(seed, seed) for seed in (3, 1, 2)]
    joined = join_tokens([tokenise(part, SETTINGS) for part in parts])
    whole = tokenise(Frames.concat(parts), SETTINGS)
    for name, value in vars(whole).items():
        if isinstance(value, np.ndarray):
            assert value.dtype == getattr(joined, name).dtype, name
        np.testing.assert_array_equal(getattr(joined, name), value, err_msg=name)
    np.testing.assert_array_equal(detokenise(joined, len(joined) - 1), parts[-1][len(parts[-1]) - 1])


@pytest.mark.parametrize("sizes", [(), (16, 8)])
def test_unlike_stores_are_refused(sizes: tuple[int, ...]) -> None:
    store = tokenise(make_frames(1, 1), SETTINGS)
    parts: list[Tokens] = [replace(store, max_objects=size) for size in sizes]
    with pytest.raises(ValueError, match="max_objects"):
        join_tokens(parts)
