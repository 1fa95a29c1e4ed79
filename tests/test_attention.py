"""Attention within frames: the same packed and padded; gradients come back the way rows went; relations are true."""

import numpy as np
import pytest
import torch
from model_cases import batch_of, tiny_params
from torch import nn

from arcjepa.attention import AttentionBias, Packing, addends, attend, attend_packed, boxes_touch, same_colour
from arcjepa.frames import Grids
from arcjepa.layout import COLUMNS
from arcjepa.tokens import Tokens, tokenise

pytestmark = pytest.mark.usefixtures("seeded")
FRAMES = range(24)
ROOM = 500


@pytest.mark.parametrize("room", [None, ROOM])
def test_packing_and_padding_are_inverse(tokens: Tokens, room: int | None) -> None:
    batch = batch_of(tokens, FRAMES, room)
    packing, there = Packing.of(batch), torch.cat([torch.ones(len(FRAMES), dtype=torch.bool), batch.present])
    packed = torch.randn(len(packing.positions), 5)
    assert packing.pack(packing.pad(packed)).equal(packed * there[:, None])
    assert len(packing.positions[there].unique()) == there.sum()
    assert int((packing.pad(packed) != 0).any(-1).sum()) == there.sum()


def test_gradients_move_back_as_rows_moved_there(tokens: Tokens) -> None:
    packing = Packing.of(batch_of(tokens, FRAMES, ROOM))
    packed = torch.randn(len(packing.positions), 2, dtype=torch.float64, requires_grad=True)
    padded = packing.pad(packed)
    toward = torch.randn_like(padded)
    (gradient,) = torch.autograd.grad((padded * toward).sum(), packed)
    assert gradient.equal(packing.pack(toward))
    again = torch.randn_like(padded).requires_grad_()
    (gradient,) = torch.autograd.grad((packing.pack(again) * packed).sum(), again)
    assert gradient.equal(packing.pad(packed))


def test_attention_is_the_same_packed_and_padded(tokens: Tokens) -> None:
    packing = Packing.of(batch_of(tokens, FRAMES, ROOM))
    packed = torch.randn(len(packing.positions), 3 * 16)
    bias = AttentionBias(2)
    nn.init.normal_(bias.weight)
    padded = attend(packing.pad(packed), 2, addends(packing, bias.weight))
    assert torch.allclose(attend_packed(packed, packing, bias(packing)), packing.pack(padded), atol=1e-5)


def test_boxes_touch_where_they_overlap_or_meet_corners_included() -> None:
    grid = np.zeros((12, 12), np.uint8)
    grid[0:2, 0:2] = 1
    grid[2:4, 2:4] = 2  # meets the first at a corner
    grid[0:2, 5:7] = 3  # one column from the second, two rows up
    grid[9:11, 9:11] = 1  # far from all
    batch = batch_of(tokenise(Grids.from_list([grid]), tiny_params().tokens), [0])
    n = int(batch.valid.sum())
    colour = batch.columns[0, :n, COLUMNS.index("colour")]
    top = batch.columns[0, :n, COLUMNS.index("top")]
    first, second, third, far = (
        int(((colour == c) & (top == t)).nonzero()) for c, t in [(1, 0), (2, 2), (3, 0), (1, 9)]
    )
    touch = boxes_touch(batch)[0]
    assert touch.equal(touch.T)
    assert touch[first, second]
    assert not touch[second, third]
    assert not touch[first, third]
    assert not touch[far, [first, second, third]].any()
    same = same_colour(batch)[0, :n, :n]
    assert same[first, far]
    assert int(same.sum()) == n + 2


def test_bits_of_relations_are_contact_boxes_and_colour(tokens: Tokens) -> None:
    batch = batch_of(tokens, FRAMES)
    bits = Packing.of(batch).relations
    assert not bits[:, 0].any()
    assert not bits[:, :, 0].any()
    for bit, relation in enumerate((batch.contact, boxes_touch(batch), same_colour(batch))):
        assert (bits[:, 1:, 1:] >> bit & 1).bool().equal(relation)


def test_a_relation_adds_its_weight_to_the_logits_of_its_pairs(tokens: Tokens) -> None:
    packing, bias = Packing.of(batch_of(tokens, FRAMES)), AttentionBias(2)
    with torch.no_grad():
        bias.weight[1, 0] = 3.0
    added = bias(packing)
    there = (packing.places < len(packing.positions))[:, None].expand_as(packing.relations)
    boxes = (packing.relations >> 1 & 1).float()
    assert added[:, 0][there].equal(3.0 * boxes[there])
    assert not added[:, 1][there].any()
    assert (added.transpose(0, 1)[:, ~there] == -1e9).all()
