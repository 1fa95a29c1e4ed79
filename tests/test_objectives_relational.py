"""The relational term is its formula, and grows with the embeddings' scale where it is not normalised."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from model_cases import B, F, S, W, relations, tiny_phase
from torch.nn import functional

from arcjepa.jepa import Relations
from arcjepa.objectives import relational

pytestmark = pytest.mark.usefixtures("seeded")


def relational_settings(**changes: Any) -> Any:
    return tiny_phase("baseline", {f"loss.relational.{k}": v for k, v in changes.items()}).loss.relational


def test_relational_is_the_formula() -> None:
    made, settings = relations(), relational_settings(self_share=0.3)
    x = made.objects.double()
    distances = torch.cdist(x, x) ** 2 / W**0.5 * made.adjacent
    context, target = distances[:-1], distances[-1]
    expected = (context.mean(0) - target).square().mean() + 0.3 * context.var(0, unbiased=False).mean()
    assert relational(made, settings).item() == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(("form", "power"), [("raw", 4), ("normalised", 0)])
def test_relational_grows_with_the_scale_of_embeddings(form: str, power: int) -> None:
    made, settings = relations(), relational_settings(form=form)
    larger = replace(made, objects=3 * made.objects)
    ratio = relational(larger, settings).item() / relational(made, settings).item()
    assert ratio == pytest.approx(3**power, rel=1e-3)


def test_normalising_relational_does_not_see_empty_slots() -> None:
    made, settings = relations(), relational_settings(form="normalised")
    empty = functional.pad(made.objects, (0, 0, 0, 3)), functional.pad(made.adjacent, (0, 3, 0, 3))
    slots = made.objects.shape[-2]
    padded = relational(replace(made, objects=empty[0], adjacent=empty[1]), settings).item()
    # The mean over pairs of slots falls with their number; the divisor must not.
    assert padded * (slots + 3) ** 2 == pytest.approx(relational(made, settings).item() * slots**2, rel=1e-4)


def test_relational_sees_adjacent_objects_only() -> None:
    made, settings = relations(), relational_settings()
    nothing = replace(made, adjacent=torch.zeros_like(made.adjacent))
    assert relational(nothing, settings).item() == 0
    alone = made.adjacent.clone()
    alone[..., 0, :] = alone[..., :, 0] = False
    moved = made.objects.clone()
    moved[..., 0, :] += 100
    before = relational(replace(made, adjacent=alone), settings).item()
    after = relational(Relations(moved, alone), settings).item()
    assert after == pytest.approx(before, rel=1e-4)


def test_relational_is_zero_where_all_frames_are_alike() -> None:
    one = torch.randn(1, B, S, W).expand(F + 1, B, S, W)
    adjacent = torch.ones(F + 1, B, S, S, dtype=torch.bool)
    assert relational(Relations(one, adjacent), relational_settings()).item() == pytest.approx(0, abs=1e-8)


def test_self_share_weighs_the_variance_over_context_frames() -> None:
    made = relations()
    values = [relational(made, relational_settings(self_share=share)).item() for share in (0.0, 1.0, 2.0)]
    assert values[2] - values[1] == pytest.approx(values[1] - values[0], rel=1e-4)
    assert values[1] > values[0]
