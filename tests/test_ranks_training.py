"""Ranks that train together do what one process does on the same batches, and stay alike."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from model_cases import tiny_corpus, tiny_phase
from rank_cases import on_ranks

from arcjepa.record import Averages
from arcjepa.trainer import Trainer

pytestmark = pytest.mark.slow

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("baseline", {"quantizer.refresh.interval": 2, "quantizer.refresh.threshold": 1.0}),
    "relational normalised": ("baseline", {"loss.relational.form": "normalised"}),
    "no teacher": ("baseline", {"loss.teacher.enabled": False}),
    "gradnorm": ("baseline", {"loss.gradnorm.enabled": True, "loss.sigreg.form": "published"}),
    "near misses": ("phase1", {"loss.hard_negatives.enabled": True}),
    "phase2": ("phase2", {}),
    "phase3": ("phase3", {"quantizer.kind": "fsq"}),
}
"""With and without queue, teacher, codebook, refresh, statistics over objects, balanced terms, curriculum."""


Found = dict[str, torch.Tensor]
MEASURED = ("losses.", "row.", "epps_pulley", "products")


def after_steps(count: int, name: str, changes: dict[str, Any]) -> Found:
    """All that is learned and all that is recorded, of this rank."""
    trainer = Trainer(tiny_phase(name, {"model.dropout": 0.0, **changes}), tiny_corpus(), 0, "cpu")
    trained, validated = Averages(), Averages()
    trainer.admitted.fill_(0.5)
    for _ in range(count):
        step = trainer.train_step(trained)
    trainer.check(trained)
    trainer.validate(validated)
    row, moments = trainer.step_row(step.outputs, 1)
    found = {f"losses.{name}": values for table in (trained, validated) for name, values in table.columns().items()}
    found |= {f"row.{name}": torch.tensor(float(value)) for name, value in row.items()}
    found |= {"products": moments.products, "epps_pulley": moments.epps_pulley}
    found |= {f"gradient.{number}": p.grad for number, p in enumerate(trainer.parameters) if p.grad is not None}
    return found | {**trainer.jepa.state_dict(), **trainer.objective.state_dict()}


def all_variants() -> dict[str, list[Found]]:
    """After one step, and after two."""
    return {variant: [after_steps(count, *what) for count in (1, 2)] for variant, what in VARIANTS.items()}


@pytest.fixture(scope="module")
def one() -> Iterator[dict[str, list[Found]]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield all_variants()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[Found]]]:
    return on_ranks(tmp_path_factory.mktemp("two"), 2, all_variants)


def errors(found: Found, expected: Found) -> dict[str, float]:
    """Largest difference of each tensor, relative to the largest value in it."""
    pairs = {name: (found[name].double(), value.double()) for name, value in expected.items()}
    return {name: float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)) for name, (a, b) in pairs.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_ranks_are_one_process_on_the_same_batches(variant: str, one: dict, two: list[dict]) -> None:
    after_one, after_two = (errors(*pair) for pair in zip(two[0][variant], one[variant], strict=True))
    # Adam makes gradients that are zero but for rounding as large as any other: gradients say more than weights.
    first = {name: error for name, error in after_one.items() if name.startswith(("gradient.", *MEASURED))}
    assert len(first) > 50
    assert {name: error for name, error in first.items() if error > 1e-4} == {}
    # Rounding decides what is the largest of nearly equal objects: what is measured is as good as equal still.
    measured = {name: error for name, error in after_two.items() if name.startswith(MEASURED)}
    assert len(measured) > 15
    assert {name: error for name, error in measured.items() if error > 1e-2} == {}
    buffers = ("queue", "codebook", "counts", "sums", "usage", "pushed")
    assert {name: error for name, error in after_two.items() if name.endswith(buffers) and error > 1e-2} == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_have_the_same_to_the_bit(variant: str, two: list[dict]) -> None:
    first, second = (rank[variant][1] for rank in two)
    assert first.keys() == second.keys()
    assert [name for name in first if not first[name].equal(second[name])] == []
