"""Viewing tokens is tokenising the viewed grid; both forms of gathering agree."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from token_cases import Settings, distinct_real_grids, grids, settings

from arcjepa.frames import Grids
from arcjepa.layout import AREA, COLOUR, HEIGHT, LEFT, TOP, WIDTH
from arcjepa.tokens import tokenise
from arcjepa.views import FLIP_COLUMNS, FLIP_ROWS, TRANSPOSE, DeviceTokens, TokenBatch, View, count_objects, gather

FRAME_FIELDS = ("height", "width", "background", "histogram", "residual", "n_components")


def tokens_of(stored: list[np.ndarray], rules: Settings) -> DeviceTokens:
    return DeviceTokens.from_numpy(tokenise(Grids.from_list(stored), rules))


def viewed(grid: np.ndarray, d8: int, colours: np.ndarray) -> np.ndarray:
    """The definition of a view."""
    grid = grid.T if d8 & TRANSPOSE else grid
    grid = grid[::-1] if d8 & FLIP_ROWS else grid
    grid = grid[:, ::-1] if d8 & FLIP_COLUMNS else grid
    return colours[grid].astype(np.uint8)


def random_view(n_frames: int, seed: int) -> View:
    generator = torch.Generator().manual_seed(seed)
    d8 = torch.randint(8, (n_frames,), generator=generator)
    return View(d8, torch.rand(n_frames, 10, generator=generator).argsort(1))


def contents(batch: TokenBatch) -> list[tuple[set[bytes], set[frozenset[bytes]]]]:
    """Per frame its entries, each with its mask, and the pairs of them that touch; the order of entries is open."""
    shape = torch.zeros(batch.valid.numel(), 30, 30, dtype=torch.bool)
    shape[batch.slots] = batch.shape
    columns, shapes = batch.columns.numpy(), shape.view(*batch.valid.shape, 900).numpy()
    found = []
    for m, valid in enumerate(batch.valid):
        names = [columns[m, s].tobytes() + shapes[m, s].tobytes() for s in range(int(valid.sum()))]
        pairs = {frozenset((names[a], names[b])) for a, b in batch.contact[m].nonzero().tolist()}
        assert len(set(names)) == len(names)
        found.append((set(names), pairs))
    return found


def assert_same(found: TokenBatch, expected: TokenBatch) -> None:
    for name in FRAME_FIELDS:
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert contents(found) == contents(expected)


def check_views(stored: list[np.ndarray], rules: Settings, view: View) -> None:
    turned = [viewed(grid, int(view.d8[i]), view.colours[i].numpy()) for i, grid in enumerate(stored)]
    frames = torch.arange(len(stored))
    assert_same(gather(tokens_of(stored, rules), frames, view), gather(tokens_of(turned, rules), frames))


@pytest.mark.slow
@given(grids, settings, st.integers(0, 2**32))
@hypothesis_settings(max_examples=60, deadline=None)
def test_viewing_commutes_with_tokenising(grid: np.ndarray, rules: Settings, seed: int) -> None:
    """All of D8, noise and ties included. Background 0 is a colour by name: there, colour 0 keeps it."""
    view = View(torch.arange(8), random_view(8, seed).colours)
    if rules.background == "zero":
        others = view.colours[view.colours > 0].view(8, 9)
        view.colours = torch.cat([torch.zeros(8, 1, dtype=torch.int64), others], 1)
    check_views([grid] * 8, rules, view)


def test_viewing_commutes_with_tokenising_real_grids() -> None:
    stored = distinct_real_grids()[::8]
    check_views(stored, Settings(), random_view(len(stored), 0))


@pytest.mark.slow
@given(grids, st.integers(-31, 31), st.integers(-31, 31))
@hypothesis_settings(max_examples=60, deadline=None)
def test_translation_moves_the_contents_until_they_meet_the_border(grid: np.ndarray, down: int, right: int) -> None:
    tokens = tokens_of([grid], Settings())
    frame, view = torch.tensor([0]), View(torch.tensor([0]), torch.arange(10)[None], torch.tensor([[down, right]]))
    still, moved = gather(tokens, frame), gather(tokens, frame, view)
    rows, cols = np.nonzero(grid != int(still.background))
    if len(rows):
        down = int(np.clip(down, -rows.min(), grid.shape[0] - 1 - rows.max()))
        right = int(np.clip(right, -cols.min(), grid.shape[1] - 1 - cols.max()))
    if still.residual.sum() == 0:
        # Nothing but background crosses the border, so that a cyclic shift is a translation.
        assert_same(moved, gather(tokens_of([np.roll(grid, (down, right), (0, 1))], Settings()), frame))
    expected = still.columns[still.valid] + torch.tensor([0, down, right, *[0] * 8])
    assert torch.equal(moved.columns[moved.valid], expected)


def test_identity_view_changes_nothing() -> None:
    tokens = tokens_of(distinct_real_grids()[:200], Settings())
    frames = torch.arange(200).flip(0)
    identity = View(torch.zeros(200, dtype=torch.int64), torch.arange(10).expand(200, -1), torch.zeros(200, 2).long())
    plain, seen = gather(tokens, frames), gather(tokens, frames, identity)
    assert all(torch.equal(getattr(plain, name), getattr(seen, name)) for name in vars(plain))


@pytest.mark.slow
def test_room_that_is_left_over_is_blank() -> None:
    tokens = tokens_of(distinct_real_grids()[:300], Settings(max_objects=5))
    frames, view = torch.randint(300, (64,)), random_view(64, 1)
    view.shift = torch.randint(-3, 4, (64, 2))
    tight, roomy = gather(tokens, frames, view), gather(tokens, frames, view, room=400)
    count = int(count_objects(tokens, frames).sum())
    assert len(tight.slots) == count < 400
    for name in set(vars(tight)) - {"slots", "present", "places", "shape"}:
        assert torch.equal(getattr(tight, name), getattr(roomy, name)), name
    assert torch.equal(tight.slots, tight.valid.flatten().nonzero().squeeze(1))
    for name in ("slots", "present", "shape"):
        assert torch.equal(getattr(roomy, name)[:count], getattr(tight, name)), name
    assert tight.present.all()
    assert not roomy.present[count:].any()
    assert not roomy.shape[count:].any()
    assert (roomy.slots[count:] == 64 * 6).all()


@pytest.mark.parametrize("room", [None, 400])
def test_slots_and_places_undo_each_other(room: int | None) -> None:
    tokens = tokens_of(distinct_real_grids()[:64], Settings(max_objects=5))
    batch = gather(tokens, torch.arange(64), room=room)
    there = torch.arange(len(batch.slots))[batch.present]
    assert torch.equal(batch.places.flatten()[batch.slots[batch.present]], there)
    assert (batch.places[~batch.valid] == len(batch.slots)).all()


def test_masks_columns_and_frames_agree() -> None:
    """Masks hold as many cells as areas say, in the corner of their boxes; empty slots are 0 throughout."""
    tokens = tokens_of(distinct_real_grids()[::40], Settings())
    batch = gather(tokens, torch.arange(len(tokens)), random_view(len(tokens), 2))
    columns = batch.columns[batch.valid]
    assert torch.equal(batch.shape.sum((1, 2)), columns[:, AREA])
    side = torch.arange(1, 31)
    assert torch.equal((batch.shape.any(2) * side).amax(1), columns[:, HEIGHT])
    assert torch.equal((batch.shape.any(1) * side).amax(1), columns[:, WIDTH])
    assert batch.shape[:, 0].any(1).all()
    assert batch.shape[:, :, 0].any(1).all()
    assert not batch.columns[~batch.valid].any()
    assert torch.equal(batch.contact, batch.contact.mT)
    assert not batch.contact[~batch.valid].any()
    assert torch.equal(batch.histogram.sum(1), (batch.height * batch.width).float())
    assert torch.equal(
        torch.where(batch.columns[:, :, COLOUR] == 10, batch.columns[:, :, AREA], 0).sum(1), batch.residual.sum(1)
    )
    assert (batch.columns[:, :, TOP] + batch.columns[:, :, HEIGHT] <= batch.height[:, None]).all()
    assert (batch.columns[:, :, LEFT] + batch.columns[:, :, WIDTH] <= batch.width[:, None]).all()


@pytest.mark.parametrize("room", [None, 3])
def test_frames_of_background_only(room: int | None) -> None:
    tokens = tokens_of([np.full((4, 7), 5, np.uint8)], Settings())
    view = View(torch.tensor([5]), torch.arange(10).flip(0)[None], torch.tensor([[2, -3]]))
    batch = gather(tokens, torch.tensor([0]), view, room)
    assert not batch.valid.any()
    assert not batch.columns.any()
    assert not batch.shape.any()
    assert (int(batch.height), int(batch.width), int(batch.background)) == (7, 4, 4)
    assert batch.histogram.tolist() == [[0, 0, 0, 0, 28, 0, 0, 0, 0, 0]]


@pytest.mark.slow
def test_with_room_no_shape_depends_on_data() -> None:
    """One graph, for any frames: what a CUDA graph needs."""
    tokens = tokens_of(distinct_real_grids()[:20], Settings(max_objects=3))
    compiled = torch.compile(gather, backend="eager", fullgraph=True)
    view = random_view(8, 3)
    view.shift = torch.ones(8, 2, dtype=torch.int64)
    found, expected = compiled(tokens, torch.arange(8), view, 24), gather(tokens, torch.arange(8), view, 24)
    assert all(torch.equal(getattr(found, name), getattr(expected, name)) for name in vars(expected))
