"""The hash is blind to D8 and colours, and to nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcjepa.canonical import canonical_hash, find_overlaps, pair_hash
from arcjepa.tasks import Pair, Task

sizes = st.tuples(st.integers(1, 8), st.integers(1, 8))
seeds = st.integers(0, 2**32)


def grid(seed: int, size: tuple[int, int], colours: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, colours, size, dtype=np.uint8)


def turn(g: np.ndarray, d8: int, seed: int) -> np.ndarray:
    g = g.T if d8 & 4 else g
    g = g[::-1] if d8 & 2 else g
    g = g[:, ::-1] if d8 & 1 else g
    return np.random.default_rng(seed).permutation(10).astype(np.uint8)[g]


def brute_force_same(a: Pair, b: Pair) -> bool:
    """Whether some D8 element and some one-to-one naming of colours turns one into the other."""
    for d8 in range(8):
        turned = [g[...] for g in (a.input, a.output)]
        turned = [g.T if d8 & 4 else g for g in turned]
        turned = [g[::-1] if d8 & 2 else g for g in turned]
        turned = [g[:, ::-1] if d8 & 1 else g for g in turned]
        if [g.shape for g in turned] != [b.input.shape, b.output.shape]:
            continue
        old, new = (np.concatenate([g.ravel() for g in grids]) for grids in (turned, (b.input, b.output)))
        named = set(zip(old.tolist(), new.tolist(), strict=True))
        if len(named) == len({a for a, _ in named}) == len({b for _, b in named}):
            return True
    return False


@pytest.mark.slow
@given(seeds, sizes, sizes, st.integers(0, 7), seeds)
def test_turned_and_recoloured_pairs_have_one_hash(seed: int, a: tuple, b: tuple, d8: int, colours: int) -> None:
    pair = Pair(grid(seed, a), grid(seed + 1, b))
    other = Pair(turn(pair.input, d8, colours), turn(pair.output, d8, colours))
    assert pair_hash(pair) == pair_hash(other)
    assert canonical_hash(pair.input) == canonical_hash(other.input)


tiny = st.builds(grid, seeds, st.tuples(st.integers(1, 2), st.integers(1, 3)), st.just(3))
tiny_pairs = st.builds(Pair, tiny, tiny)


@pytest.mark.slow
@given(tiny_pairs, tiny_pairs)
def test_the_hash_says_what_trying_everything_says(a: Pair, b: Pair) -> None:
    assert (pair_hash(a) == pair_hash(b)) == brute_force_same(a, b)


@given(seeds, st.tuples(st.integers(3, 8), st.integers(3, 8)))
def test_one_changed_cell_is_seen(seed: int, size: tuple[int, int]) -> None:
    g = np.zeros(size, np.uint8)
    g[0, 0], g[0, 1] = 1, 2
    changed = g.copy()
    changed[seed % (size[0] - 1) + 1, seed % size[1]] = 3
    assert canonical_hash(g) != canonical_hash(changed)


def test_input_and_output_share_the_turn_and_the_colours() -> None:
    g = grid(0, (3, 4))
    assert pair_hash(Pair(g, g)) != pair_hash(Pair(g, g[::-1]))
    assert pair_hash(Pair(g, g)) != pair_hash(Pair(g, ((g + 1) % 10).astype(np.uint8)))


def test_sizes_are_part_of_it() -> None:
    flat = np.zeros((2, 6), np.uint8)
    assert canonical_hash(flat) != canonical_hash(np.zeros((3, 4), np.uint8))
    assert canonical_hash(flat) == canonical_hash(flat.T)


def test_overlaps_by_any_pair() -> None:
    a, b, c = (Pair(grid(i, (4, 5)), grid(i, (3, 3))) for i in range(3))
    turned = Pair(turn(a.input, 5, 1), turn(a.output, 5, 1))
    others = [Task("x", (a,), (b,)), Task("y", (a,))]
    assert find_overlaps([Task("t", (c, turned)), Task("u", (c,))], others) == {"t": ["x", "y"]}
    assert find_overlaps([Task("v", (c,), (b,))], others) == {"v": ["x"]}
