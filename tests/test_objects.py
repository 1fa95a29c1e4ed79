"""Components and all their features agree with SciPy and with their plain definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from scipy import ndimage
from token_cases import Settings, distinct_real_grids, grids, noise, random_grid, settings

from arcjepa.frames import Grids
from arcjepa.layout import COLUMNS
from arcjepa.tokens import Tokens, tokenise

SQUARE, CROSS = np.ones((3, 3)), ndimage.generate_binary_structure(2, 1)


def background_of(grid: np.ndarray, rule: str) -> int:
    counts = np.bincount(grid.ravel(), minlength=10)
    most = np.flatnonzero(counts == counts.max())
    return 0 if rule == "zero" else int(most[0]) if len(most) == 1 else 10


def components(grid: np.ndarray, rules: Settings) -> list[tuple[int, np.ndarray]]:
    """(colour, mask) of every component, in the order of the tokens."""
    found = []
    for colour in set(grid.ravel().tolist()) - {background_of(grid, rules.background)}:
        labels, n = ndimage.label(grid == colour, SQUARE if rules.connectivity == 8 else CROSS)
        found += [(colour, labels == i + 1) for i in range(n)]
    return sorted(found, key=lambda item: (*cut_key(item[1]), int(item[1].argmax())))


def cut_key(mask: np.ndarray) -> tuple[int, int]:
    """Larger first, then nearer to the grid's centre."""
    ends = [np.flatnonzero(mask.any(axis))[[0, -1]].sum() + 1 for axis in (1, 0)]
    return -int(mask.sum()), int(sum((end - side) ** 2 for end, side in zip(ends, mask.shape, strict=True)))


def entries(grid: np.ndarray, rules: Settings) -> list[tuple[int, np.ndarray]]:
    """The components that are kept, and the union of the others as colour 10."""
    found = components(grid, rules)
    if len(found) <= rules.max_objects:
        return found
    dropped = cut_key(found[rules.max_objects][1])
    kept = [item for item in found[: rules.max_objects] if cut_key(item[1]) != dropped]
    return [*kept, (10, np.logical_or.reduce([mask for _, mask in found[len(kept) :]]))]


def columns_of(colour: int, mask: np.ndarray, connectivity: int) -> list[int]:
    rows, cols = np.nonzero(mask)
    top, left = rows.min(), cols.min()
    box = mask[top : rows.max() + 1, left : cols.max() + 1]
    outside = np.pad(~box, 1, constant_values=True)
    holes = ndimage.label(outside, CROSS if connectivity == 8 else SQUARE)[1] - 1
    perimeter = sum(np.abs(np.diff(outside.astype(int), axis=axis)).sum() for axis in (0, 1))
    images = (box[:, ::-1], box[::-1], box.T, box[::-1, ::-1].T, box[::-1, ::-1])
    symmetry = sum(2**i for i, image in enumerate(images) if np.array_equal(box, image))
    sums = (rows - top).sum(), (cols - left).sum()
    return [colour, top, left, *box.shape, mask.sum(), holes, perimeter, *sums, symmetry]


def touches(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((ndimage.binary_dilation(a, CROSS) & b).any())


def masks(tokens: Tokens, i: int) -> list[np.ndarray]:
    """Masks of the entries of frame i, at their place in the grid."""
    found = []
    for o in range(tokens.object_start[i], tokens.object_start[i + 1]):
        _, top, left, height, width = tokens.columns[o, :5]
        mask = np.zeros((tokens.height[i], tokens.width[i]), bool)
        rows = tokens.rows[tokens.row_start[o] : tokens.row_start[o + 1]]
        mask[top : top + height, left : left + width] = rows[:, None] >> np.arange(width) & 1
        found.append(mask)
    return found


def check(grid: np.ndarray, tokens: Tokens, i: int, rules: Settings) -> None:
    """Frame i of the tokens says about the grid what SciPy says."""
    expected = entries(grid, rules)
    part = slice(tokens.object_start[i], tokens.object_start[i + 1])
    assert tokens.background[i] == background_of(grid, rules.background)
    assert tokens.n_components[i] == len(components(grid, rules))
    np.testing.assert_array_equal(tokens.histogram[i], np.bincount(grid.ravel(), minlength=10))
    reference = [columns_of(colour, mask, rules.connectivity) for colour, mask in expected]
    np.testing.assert_array_equal(tokens.columns[part], np.reshape(reference, (-1, len(COLUMNS))))
    found = masks(tokens, i)
    assert all(np.array_equal(mask, other) for mask, (_, other) in zip(found, expected, strict=True))
    contact = [[k != j and touches(a, b) for k, a in enumerate(found)] for j, b in enumerate(found)]
    bits = tokens.contact[part, None] >> np.arange(len(found)) & 1
    np.testing.assert_array_equal(bits, np.reshape(contact, (len(found), len(found))))
    merged = [grid[mask] for colour, mask in expected if colour == 10]
    np.testing.assert_array_equal(
        tokens.residual[i], np.bincount(np.concatenate([*merged, []]).astype(int), minlength=10)
    )


@pytest.mark.slow
@given(grids, settings)
@hypothesis_settings(max_examples=100, deadline=None)
def test_random_grids_agree_with_scipy(grid: np.ndarray, rules: Settings) -> None:
    check(grid, tokenise(Grids.from_list([grid]), rules), 0, rules)


@pytest.mark.slow
def test_real_grids_agree_with_scipy() -> None:
    sample = distinct_real_grids()[::200]
    for rules in (Settings(), Settings(connectivity=4, background="zero")):
        tokens = tokenise(Grids.from_list(sample), rules)
        for i, grid in enumerate(sample):
            check(grid, tokens, i, rules)


@pytest.mark.slow
def test_largest_noise_fills_every_buffer() -> None:
    """900 components in a frame, and a checkerboard, whose every cell touches a cell of the other colour."""
    rows, cols = np.mgrid[:30, :30]
    for grid in (rows % 2 * 2 + cols % 2, (rows + cols) % 2, noise(np.random.default_rng(0), 30, 30)):
        for rules in (Settings(max_objects=62), Settings(connectivity=4, max_objects=1)):
            check(grid.astype(np.uint8), tokenise(Grids.from_list([grid.astype(np.uint8)]), rules), 0, rules)


def test_a_frame_does_not_depend_on_its_neighbours() -> None:
    """Scratch and buffers are reused from frame to frame, and from one chunk of a store to the next."""
    stored = [random_grid(seed) for seed in range(1100)]
    together = tokenise(Grids.from_list(stored), Settings())
    for i in range(0, 1100, 50):
        alone = tokenise(Grids.from_list([stored[i]]), Settings())
        part = slice(together.object_start[i], together.object_start[i + 1])
        rows = slice(together.row_start[part.start], together.row_start[part.stop])
        np.testing.assert_array_equal(together.columns[part], alone.columns)
        np.testing.assert_array_equal(together.contact[part], alone.contact)
        np.testing.assert_array_equal(together.rows[rows], alone.rows)
