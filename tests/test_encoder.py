"""The token encoder: order and padding do not matter, everything that a token says does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from amounts import fault
from model_cases import batch_of, tiny_phase
from torch import nn

from arcjepa.encoder import TokenEncoder, add_up, pool, spread
from arcjepa.frames import Grids
from arcjepa.layout import COLUMNS
from arcjepa.tokens import Tokens, detokenise, tokenise
from arcjepa.views import TokenBatch

pytestmark = pytest.mark.usefixtures("seeded")
FRAMES = range(24)
ROOM = 500


def encoder() -> TokenEncoder:
    """With attention biases that are not zero, as they are at first."""
    made = TokenEncoder(tiny_phase("phase2", {"model.layers": 2}).model)
    nn.init.normal_(made.bias.weight)
    return made.eval()


def embed(model: TokenEncoder, batch: TokenBatch) -> torch.Tensor:
    """(M, 3 W) of the frames."""
    with torch.no_grad():
        grid, objects, _ = model(batch)
        return pool(grid, objects, batch)


def reordered(batch: TokenBatch, order: torch.Tensor) -> TokenBatch:
    """A batch with its slots in another order (S,): slot i is what order[i] was."""
    slots = batch.valid.shape[1]
    now = order.argsort()[batch.slots % slots] + batch.slots // slots * slots
    contact = batch.contact[:, order][:, :, order]
    return replace(
        batch,
        columns=batch.columns[:, order],
        valid=batch.valid[:, order],
        contact=contact,
        slots=now,
        places=batch.places[:, order],
    )


def test_embeddings_follow_the_order_of_the_objects(tokens: Tokens) -> None:
    model, batch = encoder(), batch_of(tokens, FRAMES)
    turned = reordered(batch, torch.randperm(batch.valid.shape[1]))
    with torch.no_grad():
        made, again = model(batch), model(turned)
    for one, other in zip(made, again, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert torch.allclose(embed(model, batch), embed(model, turned), atol=1e-5)


@pytest.mark.slow
def test_a_frame_s_embedding_does_not_depend_on_its_neighbours_or_on_packing(tokens: Tokens) -> None:
    model = encoder()
    together = embed(model, batch_of(tokens, FRAMES))
    static = embed(model, batch_of(tokens, FRAMES, room=ROOM))
    alone = torch.cat([embed(model, batch_of(tokens, [frame])) for frame in FRAMES])
    assert torch.allclose(together, static, atol=1e-5)
    assert torch.allclose(together, alone, atol=1e-5)


def test_what_empty_slots_and_room_hold_changes_nothing(tokens: Tokens) -> None:
    model, batch = encoder(), batch_of(tokens, FRAMES, room=ROOM)
    empty = ~batch.valid
    assert empty.any()
    assert not batch.present.all()
    columns = batch.columns.masked_fill(empty[..., None], 3)
    contact = batch.contact | empty[:, :, None] | empty[:, None]
    shape = batch.shape | ~batch.present[:, None, None]
    filled = replace(batch, columns=columns, contact=contact, shape=shape)
    assert torch.allclose(embed(model, batch), embed(model, filled), atol=1e-5)


def test_distinct_frames_have_distinct_embeddings(tokens: Tokens) -> None:
    grids = {(g.shape, g.tobytes()): i for i in range(len(tokens)) for g in [detokenise(tokens, i)]}
    embedded = embed(encoder(), batch_of(tokens, list(grids.values())))
    distance = torch.cdist(embedded, embedded).fill_diagonal_(1)
    assert len(grids) > 200
    assert distance.min() > 1e-3


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_of_an_object_counts(tokens: Tokens, column: str) -> None:
    model, batch = encoder(), batch_of(tokens, FRAMES)
    changed = batch.columns.clone()
    changed[:, 0, COLUMNS.index(column)] += 1
    moved = (embed(model, replace(batch, columns=changed)) - embed(model, batch)).abs().amax(1)
    shown = batch.valid[:, 0]
    assert (moved[shown] > 1e-4).float().mean() > 0.8  # a symmetry bit may be set already
    assert (moved[~shown] == 0).all()


@pytest.mark.parametrize("name", ["height", "width", "background", "histogram", "residual", "n_components"])
def test_everything_said_of_a_frame_counts(tokens: Tokens, name: str) -> None:
    model, batch = encoder(), batch_of(tokens, FRAMES)
    value = getattr(batch, name).clone()
    value.view(len(value), -1)[:, 0] += 1 if name != "background" else 10 - value
    moved = (embed(model, replace(batch, **{name: value})) - embed(model, batch)).abs().amax(1)
    assert (moved > 1e-4).float().mean() > 0.8


def test_the_mask_of_an_object_counts_cell_by_cell(tokens: Tokens) -> None:
    model, batch = encoder(), batch_of(tokens, [0])
    plain = embed(model, batch)
    for row, col in [(0, 0), (0, 29), (29, 0), (13, 17)]:
        shape = batch.shape.clone()
        shape[0, row, col] ^= True
        assert (embed(model, replace(batch, shape=shape)) - plain).abs().max() > 1e-4


@pytest.mark.parametrize("relation", [0, 1, 2])
def test_each_relation_acts_through_its_own_weight(tokens: Tokens, relation: int) -> None:
    model, batch = encoder(), batch_of(tokens, FRAMES)
    nn.init.zeros_(model.bias.weight)
    without = embed(model, batch)
    with torch.no_grad():
        model.bias.weight[relation] = 2.0
    assert (embed(model, batch) - without).abs().max() > 1e-3


def test_contact_counts_only_where_its_weight_is_not_zero(tokens: Tokens) -> None:
    model, batch = encoder(), batch_of(tokens, FRAMES)
    apart = replace(batch, contact=torch.zeros_like(batch.contact))
    assert batch.contact.any()
    assert (embed(model, batch) - embed(model, apart)).abs().max() > 1e-3
    nn.init.zeros_(model.bias.weight)
    assert torch.equal(embed(model, batch), embed(model, apart))


def test_attention_biases_learn(tokens: Tokens) -> None:
    model, batch = TokenEncoder(tiny_phase("phase2").model), batch_of(tokens, FRAMES)
    grid, objects, _ = model(batch)
    pool(grid, objects, batch).square().sum().backward()
    assert model.bias.weight.grad is not None
    assert (model.bias.weight.grad.abs() > 0).all()


def tiny_tokens() -> object:
    from model_cases import tiny_params

    return tiny_params().tokens


@pytest.mark.parametrize("room", [None, 7])
@pytest.mark.parametrize("grids", [[(3, 4)], [(3, 4), (1, 1), (30, 30)]])
@fault("grids of background alone, the smallest and the largest")
def test_frames_without_any_object_are_finite_and_told_apart(room: int | None, grids: list[tuple[int, int]]) -> None:
    blank = tokenise(Grids.from_list([np.full(size, 5, np.uint8) for size in grids]), tiny_tokens())
    assert blank.object_start[-1] == 0
    embedded = embed(encoder(), batch_of(blank, range(len(grids)), room))
    assert embedded.abs().max() < 100
    assert len(embedded.unique(dim=0)) == len(grids)


def test_an_empty_frame_among_others_changes_none(tokens: Tokens) -> None:
    model = encoder()
    grids = [detokenise(tokens, 0), np.full((3, 3), 5, np.uint8), detokenise(tokens, 1)]
    mixed = tokenise(Grids.from_list(grids), tiny_tokens())
    assert torch.allclose(
        embed(model, batch_of(mixed, [0, 2])), embed(model, batch_of(mixed, [0, 1, 2]))[::2], atol=1e-5
    )


def test_pooling_sees_sum_and_maximum_over_the_objects_that_are_there(tokens: Tokens) -> None:
    batch = batch_of(tokens, FRAMES)
    objects, grid = torch.randn(len(batch.slots), 4), torch.randn(len(batch.valid), 4)
    pooled = pool(grid, objects, batch)
    frame = batch.slots // batch.valid.shape[1]
    for i in range(len(grid)):
        mine = objects[frame == i]
        total, largest = (mine.sum(0) / 4, mine.amax(0)) if len(mine) else (torch.zeros(4), torch.zeros(4))
        assert torch.allclose(pooled[i], torch.cat([grid[i], total, largest]), atol=1e-6)
    assert spread(objects, batch)[batch.valid].equal(objects)


@pytest.mark.parametrize("room", [None, ROOM])
def test_features_are_those_of_the_grid_and_the_sum_of_the_objects(tokens: Tokens, room: int | None) -> None:
    model, batch = encoder(), batch_of(tokens, FRAMES, room)
    given = model.object_features(model.object_features.properties(batch))
    sums = [given[batch.slots // batch.valid.shape[1] == i].sum(0) for i in range(len(batch.valid))]
    expected = torch.cat([model.grid_features(batch), torch.stack(sums)], dim=1)
    assert torch.allclose(model(batch).features, expected, atol=1e-4)
    assert torch.allclose(add_up(given, batch), spread(given, batch).sum(1), atol=1e-5)


def test_gradients_reach_every_parameter(tokens: Tokens) -> None:
    model = TokenEncoder(tiny_phase("phase2").model)
    batch = batch_of(tokens, FRAMES)
    grid, objects, _ = model(batch)
    (pool(grid, objects, batch) * torch.randn(48)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
