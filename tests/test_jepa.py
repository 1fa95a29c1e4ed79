"""One forward pass for every phase: who sees what, who learns, and that the prediction is about its own target."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_cases import PARAMS, batch_of, steps, tiny_corpus, tiny_params, tiny_phase, weights
from torch import nn

from arcjepa.config import from_mapping
from arcjepa.encoder_files import publish_encoder, save_encoder
from arcjepa.frames import Grids
from arcjepa.jepa import JEPA, FrameEncoder, Projector, Teacher
from arcjepa.params import put, read_params
from arcjepa.settings import Phase
from arcjepa.tokens import Tokens, tokenise
from arcjepa.trainer import Trainer
from arcjepa.views import TokenBatch

pytestmark = pytest.mark.usefixtures("seeded")
SIZE = 6


def model(name: str, changes: dict[str, Any] | None = None) -> JEPA:
    torch.manual_seed(0)
    return JEPA(tiny_phase(name, changes))


def blocks(tokens: Tokens, count: int, start: int = 0) -> TokenBatch:
    """`count` blocks of SIZE frames."""
    return batch_of(tokens, range(start, start + count * SIZE))


TEACHER = {"loss.teacher.enabled": True}
VIEWED = {"loss.invariance.enabled": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes", "own", "apart", "view"),
    [
        ("baseline", {}, 4, True, True),
        ("phase1", {"loss.invariance.enabled": False}, 3, True, False),
        ("baseline", {"loss.teacher.enabled": False}, 5, False, True),
        ("phase2", {}, 4, False, False),
        ("phase2", {"sequence.framing": "query"}, 2, False, False),
        ("phase2", {"sequence.window": 7}, 8, False, False),
        ("phase3", {"quantizer.kind": "fsq"}, 6, False, False),
    ],
)
def test_every_output_has_its_shape_and_place(
    tokens: Tokens, name: str, changes: dict[str, Any], own: int, apart: bool, view: bool
) -> None:
    jepa = model(name, changes)
    batch, target = blocks(tokens, own), blocks(tokens, 1, 100)
    jepa(batch, target if apart else None, view)  # codebooks start here
    jepa.eval()
    out = jepa(batch, target if apart else None, view)
    frames = own - (not apart) - view
    embedded = jepa.encoder(batch).projected.unflatten(0, (own, SIZE))
    assert out.context.shape == (SIZE, frames, 16)
    assert torch.allclose(out.context.transpose(0, 1), embedded[:frames], atol=1e-5)
    assert torch.allclose(out.prediction, jepa.predictor(embedded[:frames].transpose(0, 1)), atol=1e-5)
    if not apart:
        assert torch.allclose(out.target, embedded[frames], atol=1e-5)
    assert (out.view is not None) == view
    if out.view is not None:
        assert torch.allclose(out.view, embedded[-1], atol=1e-5)
    assert out.prediction.dtype == out.context.dtype == torch.float32


@pytest.mark.parametrize("teacher", [False, True])
@pytest.mark.parametrize("view", [False, True])
def test_relations_are_of_context_and_target_whatever_lies_between(tokens: Tokens, teacher: bool, view: bool) -> None:
    changes = {"loss.teacher.enabled": teacher, "loss.invariance.enabled": view, "quantizer.kind": "none"}
    jepa = model("baseline", changes).eval()
    own = 3 + (not teacher) + view
    batch, target = blocks(tokens, own), blocks(tokens, 1, 100)
    relations = jepa(batch, target if teacher else None, view).relations
    assert relations is not None
    slots = batch.valid.shape[1]
    assert relations.objects.shape == (4, SIZE, slots, 16)
    contact = batch.contact.unflatten(0, (own, SIZE))
    expected = torch.cat([contact[:3], target.contact[None] if teacher else contact[3:4]])
    assert (relations.adjacent >= expected).all()
    valid = batch.valid.unflatten(0, (own, SIZE))
    present = torch.cat([valid[:3], target.valid[None] if teacher else valid[3:4]])
    assert relations.objects[~present].abs().sum() == 0
    assert not (relations.adjacent & ~present[..., None]).any()
    assert not relations.adjacent.diagonal(dim1=-2, dim2=-1).any()
    assert relations.adjacent.equal(relations.adjacent.transpose(-1, -2))


def test_relations_are_made_only_where_a_loss_asks(tokens: Tokens) -> None:
    assert model("phase2")(blocks(tokens, 4), None, False).relations is None


def test_the_projector_has_batch_norm_and_no_layer_norm_at_its_end() -> None:
    projector = Projector(16, 8, 32)
    assert any(isinstance(layer, nn.BatchNorm1d) for layer in projector.modules())
    assert not any(isinstance(layer, nn.LayerNorm) for layer in projector.modules())
    x = 0.1 * torch.randn(256, 48) + 5  # narrow, as embeddings start
    spread = projector(x).std(0).mean() / projector.leave.weight.norm(dim=1).mean()
    assert spread > 0.2
    assert torch.allclose(projector(100 * x), projector(x), atol=2e-2)


def frames_with(*places: tuple[int, int]) -> np.ndarray:
    """A frame with an object of its own shape at each of these places."""
    cells = np.zeros((12, 12), np.uint8)
    for row, column in places:
        cells[row, column : column + 1 + row // 4] = 1 + column // 4
    return cells


def test_what_is_added_to_a_frame_moves_the_additive_path_alike_whatever_else_is_there() -> None:
    """The grid's own token apart, which has logarithms and shares."""
    a, b, c = (1, 1), (5, 5), (9, 9)
    grids = [frames_with(*places) for places in ((), (a,), (b,), (a, b), (b, c), (a, b, c))]
    batch = batch_of(tokenise(Grids.from_list(grids), tiny_params().tokens), range(len(grids)))
    encoder = model("phase2", {"model.additive": True}).eval().encoder
    nn.init.zeros_(encoder.projector.leave.weight)
    nn.init.zeros_(encoder.additive.leave.weight[:, : encoder.tokens.norm.weight.numel()])
    nothing, only_a, only_b, a_b, b_c, a_b_c = encoder(batch).projected
    moved = only_a - nothing
    assert moved.abs().max() > 0.01
    for before, after in ((only_b, a_b), (b_c, a_b_c)):
        assert torch.allclose(after - before, moved, atol=1e-5)


def test_a_change_of_one_cell_is_whole_in_the_additive_path_in_reduced_precision() -> None:
    shapes = np.random.default_rng(0).integers(0, 2, (2, 24, 24)).astype(np.uint8)
    grids = [cells for shape in shapes for cells in (shape, shape.copy())]
    for cells in grids[1::2]:
        cells[tuple(np.argwhere(cells)[7])] = 0
    batch = batch_of(tokenise(Grids.from_list(grids), tiny_params().tokens), range(len(grids)))
    encoder = model("phase2", {"model.additive": True}).eval().encoder
    nn.init.zeros_(encoder.projector.leave.weight)
    full = encoder(batch).projected
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = encoder(batch).projected
    changes, in_reduced = full[1::2] - full[::2], reduced[1::2] - reduced[::2]
    assert changes.abs().amax(1).min() > 1e-3
    assert torch.allclose(in_reduced, changes, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("additive", [False, True])
def test_without_its_last_weights_an_encoder_tells_no_frames_apart(tokens: Tokens, additive: bool) -> None:
    encoder = model("phase2", {"model.additive": additive}).eval().encoder
    apart = [encoder(blocks(tokens, 4)).projected.std(0).max()]
    for weight in encoder.last_weights():
        nn.init.zeros_(weight)
        apart.append(encoder(blocks(tokens, 4)).projected.std(0).max())
    assert min(apart[:-1]) > 1e-3
    assert apart[-1] < 1e-6


def test_a_cell_that_moves_is_seen_by_the_sketch_alone() -> None:
    """Two objects that trade a place in each other's rows: sums over objects, and over cells by themselves, stay."""
    grids = [np.zeros((8, 8), np.uint8) for _ in range(2)]
    for cells, colours in zip(grids, ((1, 2), (2, 1)), strict=True):
        cells[2, 2], cells[5, 5] = colours
    batch = batch_of(tokenise(Grids.from_list(grids), tiny_params().tokens), range(2))
    moved = []
    for sketch in (0, 32):
        encoder = model("phase2", {"model.additive": True, "model.sketch": sketch}).eval().encoder
        nn.init.zeros_(encoder.projector.leave.weight)
        a, b = encoder(batch).projected
        moved.append((a - b).abs().max())
    assert moved[0] < 1e-5
    assert moved[1] > 0.1


def test_the_additive_path_takes_its_weights_from_the_projector() -> None:
    """Whatever the width, an encoder is as large with it as without, and with a sketch."""
    for width, embedding in ((16, 16), (64, 64), (64, 256), (384, 256), (512, 64)):
        sizes = []
        for additive, sketch in ((False, 0), (True, 0), (True, width // 2)):
            changes = {"model.width": width, "model.embedding": embedding, "model.additive": additive}
            changes["model.sketch"] = sketch
            sizes.append(sum(p.numel() for p in model("phase2", changes).encoder.parameters()))
        assert sizes[1:] == pytest.approx([sizes[0]] * 2, rel=0.03)


def production(name: str, **model: int) -> Phase:
    tree = put({**read_params(PARAMS), "scale": "production"}, {f"base.model.{key}": on for key, on in model.items()})
    return from_mapping(tree).phase_settings(name)


@pytest.mark.parametrize("path", [{"additive": False}, {"additive": True}, {"additive": True, "sketch": 512}])
@pytest.mark.parametrize("name", ["baseline", "phase1", "phase2", "phase3"])
def test_an_encoder_of_production_scale_is_published_within_10_mb(
    name: str, path: dict[str, int], tmp_path: Path
) -> None:
    phase = production(name, **path)
    save_encoder(tmp_path / "whole", JEPA(phase), phase, tiny_params().tokens)
    publish_encoder(tmp_path / "whole", tmp_path / "published")
    assert 9_000_000 < (tmp_path / "published").stat().st_size < 10_000_000


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("name", ["phase1", "phase2", "phase3"])
def test_the_encoder_at_production_scale_is_as_large_as_the_analysis_says(name: str, additive: bool) -> None:
    phase = production(name, additive=additive)
    with torch.device("meta"):
        encoder = FrameEncoder(phase)
    assert 4e6 < sum(p.numel() for p in encoder.parameters()) < 5e6


@pytest.mark.parametrize("name", ["baseline", "phase2", "phase3"])
def test_room_that_is_left_over_changes_neither_embeddings_nor_codebook(tokens: Tokens, name: str) -> None:
    made = []
    for room in (None, 600):
        encoder = model(name).encoder
        torch.manual_seed(1)
        encoder(batch_of(tokens, range(30), room))  # in training: the codebook starts here
        encoder.eval()
        made.append((encoder(batch_of(tokens, range(30), room)).projected, weights(encoder)))
    if name != "phase3":  # whose Gumbel noise is drawn for other rows too
        assert torch.allclose(made[0][0], made[1][0], atol=1e-4)
        assert torch.allclose(made[0][1], made[1][1], atol=1e-4)
    assert all(torch.isfinite(projected).all() for projected, _ in made)


@pytest.mark.parametrize("name", ["baseline", "phase2", "phase3"])
def test_reduced_precision_stays_near_full_precision(tokens: Tokens, name: str) -> None:
    jepa = model(name, {"model.dropout": 0.0, "sequence.window": 3} if name == "phase3" else {"model.dropout": 0.0})
    apart, view = (blocks(tokens, 1, 100), True) if name == "baseline" else (None, False)
    batch = blocks(tokens, 3 + (apart is None) + view)
    jepa(batch, apart, view)
    jepa.eval()
    full = jepa(batch, apart, view)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = jepa(batch, apart, view)
    for z in ("context", "prediction", "target"):
        one, other = getattr(full, z), getattr(half, z)
        assert other.dtype == torch.float32
        assert (one - other).norm() < 0.2 * one.norm()
    (half.prediction - half.target).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in jepa.parameters() if p.grad is not None)


# --- the teacher


def test_the_teacher_starts_as_the_encoder_and_follows_its_closed_form() -> None:
    """Against an encoder that jumps once and stays: distance * decay^t."""
    encoder = FrameEncoder(tiny_phase("baseline"))
    teacher = Teacher(encoder, 0.9)
    names = [name for name, _ in teacher.encoder.named_parameters()]
    start = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    assert all(torch.equal(p, start[name]) for name, p in teacher.encoder.named_parameters())
    with torch.no_grad():
        for p in encoder.parameters():
            p.add_(torch.randn_like(p))
    for t in range(1, 6):
        teacher.update(encoder)
        for name, mine in teacher.encoder.named_parameters():
            theirs = dict(encoder.named_parameters())[name]
            expected = 0.9**t * start[name] + (1 - 0.9**t) * theirs
            assert torch.allclose(mine, expected, atol=1e-5)
    assert len(names) > 10


def test_the_teacher_follows_a_moving_encoder_in_training() -> None:
    trainer = Trainer(tiny_phase("phase1", {"loss.teacher.decay": 0.8}), tiny_corpus(), 0, "cpu")
    teacher = trainer.jepa.teacher
    assert teacher is not None
    name = "tokens.grid_features.scalars.weight"
    expected = teacher.encoder.get_parameter(name).clone()
    for _ in range(3):
        steps(trainer, 1)
        expected = 0.8 * expected + 0.2 * trainer.jepa.encoder.get_parameter(name).detach()
        assert torch.allclose(teacher.encoder.get_parameter(name), expected, atol=1e-6)
    assert not torch.allclose(expected, trainer.jepa.encoder.get_parameter(name), atol=1e-5)


def test_the_teacher_gets_no_gradient_and_its_target_is_detached(tokens: Tokens) -> None:
    jepa = model("phase1")
    out = jepa(blocks(tokens, 4), blocks(tokens, 1, 100), True)
    assert not out.target.requires_grad
    (out.prediction - out.target).square().mean().backward()
    assert all(p.grad is None and not p.requires_grad for p in jepa.teacher.parameters())
    assert any(p.grad is not None for p in jepa.encoder.parameters())


def test_without_a_teacher_the_target_has_a_gradient(tokens: Tokens) -> None:
    out = model("phase2")(blocks(tokens, 4), None, False)
    assert out.target.requires_grad


def test_the_teacher_s_pass_leaves_the_codebook_alone_and_uses_it(tokens: Tokens) -> None:
    jepa = model("phase1")
    jepa(blocks(tokens, 4), blocks(tokens, 1, 100), True)
    quantizer, target = jepa.encoder.quantizer, blocks(tokens, 1, 100)
    before = weights(quantizer)
    taught = jepa.teacher(target, quantizer)
    assert weights(quantizer).equal(before)
    assert quantizer.training
    used = taught.quantized.codes
    assert torch.allclose(taught.quantized.embeddings[used >= 0], quantizer.codebook[used[used >= 0]], atol=1e-5)
    assert not [name for name in jepa.teacher.state_dict() if "quantizer" in name]


def test_the_encoder_s_own_pass_does_move_the_codebook(tokens: Tokens) -> None:
    jepa = model("phase1")
    for _ in range(2):
        before = weights(jepa.encoder.quantizer)
        jepa(blocks(tokens, 4), blocks(tokens, 1, 100), True)
        assert not weights(jepa.encoder.quantizer).equal(before)


@pytest.mark.parametrize("name", ["baseline", "phase2", "phase3"])
def test_evaluation_changes_nothing_at_all(tokens: Tokens, name: str) -> None:
    jepa = model(name, {"sequence.window": 3} if name == "phase3" else {})
    apart = blocks(tokens, 1, 100) if jepa.teacher is not None else None
    jepa(blocks(tokens, 4), apart, name == "baseline")
    jepa.eval()
    before = weights(jepa)
    one, two = (jepa(blocks(tokens, 4), apart, name == "baseline") for _ in range(2))
    assert weights(jepa).equal(before)
    assert one.prediction.equal(two.prediction)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "phase2", "phase3"])
def test_gradients_reach_every_parameter_that_learns(name: str) -> None:
    trainer = Trainer(tiny_phase(name), tiny_corpus(), 0, "cpu")
    before = {n: p.detach().clone() for n, p in trainer.jepa.named_parameters() if p.requires_grad}
    steps(trainer, 2)
    still = [n for n, p in trainer.jepa.named_parameters() if n in before and torch.equal(p, before[n])]
    assert still == []


# --- does it predict its own target?
