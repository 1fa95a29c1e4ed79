"""Frames painted from tokens, and the sketch of them, whose inner products count the cells that agree."""

import hashlib

import numpy as np
import pytest
import torch
from model_cases import tiny_params
from token_cases import distinct_real_grids

from arcjepa.frames import Grids
from arcjepa.layout import MAX_CELLS, MIXED, OUTSIDE
from arcjepa.pictures import CELLS, Sketch, paint
from arcjepa.tokens import detokenise, tokenise
from arcjepa.views import DeviceTokens, TokenBatch, View, gather

RNG = np.random.default_rng(0)


def batch_of_grids(grids: list[np.ndarray], view: View | None = None, room: int | None = None) -> TokenBatch:
    held = DeviceTokens.from_numpy(tokenise(Grids.from_list(grids), tiny_params().tokens))
    return gather(held, torch.arange(len(grids)), view, room)


def test_a_picture_is_the_grid_with_what_a_residual_holds_as_mixed() -> None:
    grids = [*distinct_real_grids()[::40], RNG.integers(0, 10, (30, 30)).astype(np.uint8)]
    tokens = tokenise(Grids.from_list(grids), tiny_params().tokens)
    pictures = paint(batch_of_grids(grids, room=4000)).view(-1, 30, 30).numpy()
    for i, (picture, grid) in enumerate(zip(pictures, grids, strict=True)):
        height, width = grid.shape
        assert np.array_equal(picture[:height, :width], detokenise(tokens, i))
        assert (picture == OUTSIDE).sum() == MAX_CELLS - grid.size
    assert (pictures[-1] == MIXED).any()


def test_a_picture_follows_a_view() -> None:
    grids = [grid for grid in distinct_real_grids()[::40] if len(np.unique(grid)) > 1]
    count = len(grids)
    d8 = torch.arange(count) % 8
    colours = torch.as_tensor(np.stack([RNG.permutation(10) for _ in grids]))
    held = tokenise(Grids.from_list(grids), tiny_params().tokens)
    pictures = paint(batch_of_grids(grids, View(d8, colours))).view(-1, 30, 30).numpy()
    for i in np.flatnonzero(held.residual.sum(1) == 0):
        turned = grids[i].T if d8[i] & 4 else grids[i]
        turned = turned[::-1] if d8[i] & 2 else turned
        turned = colours[i].numpy()[turned[:, ::-1] if d8[i] & 1 else turned]
        assert np.array_equal(pictures[i, : turned.shape[0], : turned.shape[1]], turned)


def test_a_picture_moves_with_its_objects() -> None:
    grid = np.full((5, 6), 3, np.uint8)
    grid[1, 1:3] = 7
    view = View(torch.zeros(1, dtype=torch.int64), torch.arange(10)[None], torch.tensor([[2, 9]]))
    moved = np.full((5, 6), 3, np.uint8)
    moved[3, 4:6] = 7
    picture = paint(batch_of_grids([grid], view)).view(30, 30).numpy()
    assert np.array_equal(picture[:5, :6], moved)


def test_inner_products_of_sketches_count_the_cells_that_agree() -> None:
    size = 2048
    grids = [grid for grid in distinct_real_grids()[::60] if grid.size > 40]
    grids = [grid for grid in grids if not tokenise(Grids.from_list([grid]), tiny_params().tokens).residual.any()][:24]
    changed = grids[0].copy()
    changed[3:5, 2:6] += 1
    grids.append(changed % 10)
    sketch = Sketch(size)(batch_of_grids(grids)).double()
    agree = np.array([[_agreeing(a, b) for b in grids] for a in grids])
    bound = 5 * np.sqrt(np.outer(np.diag(agree), np.diag(agree)) / size)
    products = (sketch @ sketch.T / size).numpy()
    assert (np.abs(products - agree) <= bound).all()
    # The grid that was changed is the nearest to the one that it was.
    assert products[0, 0] > products[0, -1] > products[0, 1:-1].max()


def _agreeing(a: np.ndarray, b: np.ndarray) -> int:
    height, width = min(a.shape[0], b.shape[0]), min(a.shape[1], b.shape[1])
    return int((a[:height, :width] == b[:height, :width]).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sketch_is_one_product_of_whole_numbers_in_any_precision(dtype: torch.dtype) -> None:
    """As a GPU computes it."""
    batch = batch_of_grids([grid for grid in distinct_real_grids()[::60]])
    sketch = Sketch(32)
    chosen = torch.nn.functional.one_hot(paint(batch).long(), OUTSIDE + 1).mT.flatten(1)
    assert chosen.shape[1] == CELLS
    assert sketch(batch).equal((chosen.to(dtype) @ sketch.signs.to(dtype)).float())


def test_every_sketch_of_a_size_is_the_same_and_none_is_kept() -> None:
    """Encoders in files depend on these very signs."""
    inside = Sketch(8).signs[: OUTSIDE * MAX_CELLS]
    assert hashlib.sha256(inside.numpy().tobytes()).hexdigest().startswith("393d33b40a5ed41f")
    assert not Sketch(8).signs[len(inside) :].any()
    assert not Sketch(8).state_dict()
    assert Sketch(64).signs.mean().abs() < 0.01
