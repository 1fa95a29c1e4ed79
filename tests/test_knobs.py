"""Every knob is read: a changed leaf changes the first steps, or where a run stops; a hidden one changes nothing."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from model_cases import (
    PARAMS,
    budget,
    differs,
    run_in,
    steps,
    tiny_corpus,
    tiny_params,
    tiny_phase,
    trace,
    weights,
)

from arcjepa.config import from_mapping, resolved
from arcjepa.params import leaves, put, read_params
from arcjepa.runs import train
from arcjepa.scenarios import changes
from arcjepa.settings import Phase
from arcjepa.trainer import Trainer

GUMBEL = {"quantizer.kind": "gumbel"}
SQUARE = {"quantizer.kind": "fsq"}
# With a weight that brings the two gradients near each other: where one is far larger, its weight falls whatever alpha.
GRADNORM = {"loss.gradnorm.enabled": True, "loss.sigreg.form": "published", "loss.sigreg.weight": 1.0}
# Where a refresh replaces codes within the first steps, and only that tells: without dropout no one else draws from the
# generator that it draws from.
REFRESHED = {"quantizer.refresh.threshold": 0.5, "model.dropout": 0.0}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("baseline", {}),
    "phase1": ("phase1", {}),
    "phase2": ("phase2", {}),
    "phase3": ("phase3", {}),
    "fsq": ("phase2", SQUARE),
    "gradnorm": ("baseline", GRADNORM),
    "uncertainty": ("baseline", GRADNORM | {"loss.gradnorm.rule": "uncertainty"}),
    "hard": ("phase2", {"loss.hard_negatives.enabled": True}),
    "refreshed": ("baseline", REFRESHED),
    "query": ("phase2", {"sequence.framing": "query"}),
    "none": ("phase2", {"quantizer.kind": "none"}),
    "impatient": ("baseline", {"stopping.patience": 2, "stopping.min_delta": 100.0, "optimizer.lr": 2e-4}),
}
CHANGES: dict[str, Any] = {
    "sequence.framing": "repeat",
    "sequence.window": 7,
    "sequence.synthetic_share": 0.1,
    "sequence.curriculum.enabled": None,
    "sequence.curriculum.epochs": [2, 3],
    "model.width": 24,
    "model.layers": 2,
    "model.heads": 4,
    "model.embedding": 24,
    "model.predictor_layers": 2,
    "model.additive": None,
    "model.sketch": 8,
    "model.frame_attention": None,
    "model.analogy": None,
    "model.dropout": 0.3,
    "quantizer.kind": "none",
    "quantizer.codes": 24,
    "quantizer.decay": 0.5,
    "quantizer.commitment.enabled": None,
    "quantizer.commitment.weight": 0.3,
    "quantizer.refresh.enabled": None,
    "quantizer.refresh.interval": 2,
    "quantizer.refresh.threshold": 1.0,
    "quantizer.temperature": 0.5,
    "quantizer.levels": [5, 5, 5],
    "loss.prediction": "infonce",
    "loss.lambda_sigreg": 0.5,
    "loss.infonce.queue": 16,
    "loss.infonce.temperature": 0.1,
    "loss.infonce.temperature_min": 0.06,
    "loss.infonce.temperature_max": 0.1,
    "loss.teacher.enabled": None,
    "loss.teacher.decay": 0.5,
    "loss.sigreg.enabled": None,
    "loss.sigreg.weight": 0.2,
    "loss.sigreg.form": "published",
    "loss.invariance.enabled": None,
    "loss.invariance.colour": 0.2,
    "loss.invariance.translation": 0.2,
    "loss.invariance.symmetry": 0.2,
    "loss.relational.enabled": None,
    "loss.relational.weight": 0.05,
    "loss.relational.self_share": 0.8,
    "loss.relational.form": "normalised",
    "loss.hard_negatives.enabled": None,
    "loss.hard_negatives.weight": 0.6,
    "loss.hard_negatives.temperature": 0.1,
    "loss.gradnorm.enabled": None,
    "loss.gradnorm.rule": "uncertainty",
    "loss.gradnorm.alpha": 30.0,
    "optimizer.lr": 1e-3,
    "optimizer.weight_decay": 0.5,
    "optimizer.clip": 0.01,
    "stopping.enabled": None,
    "stopping.patience": 1,
    "stopping.min_delta": 0.0,
}
"""Another value for every leaf; None turns a switch."""
EXTREME = {"loss.infonce.temperature_min": -9.0, "loss.infonce.temperature_max": 9.0}
"""Where the learned log temperature is put, so that its bound is what counts."""
STEPS = {"quantizer.refresh": 6, "loss.gradnorm.alpha": 16}


def settings_of(variant: str, changes: dict[str, Any] | None = None) -> Phase:
    name, differences = VARIANTS[variant]
    changes = {**differences, **(changes or {})}
    strength = changes.pop("loss.lambda_sigreg", None)
    if strength is None:
        return tiny_phase(name, changes)
    tree = {**read_params(PARAMS), "scale": "tiny", "lambda_sigreg": strength}
    tree["phases"]["changed"] = {"parent": name, **put({}, changes)}
    return from_mapping(tree).phase_settings("changed")


@cache
def plain_trace(variant: str, count: int) -> tuple[list[float], torch.Tensor]:
    """The first steps with nothing changed."""
    return trace(settings_of(variant), count)


def read_leaves(variant: str) -> dict[str, Any]:
    tree = resolved(settings_of(variant))
    del tree["training"]
    return {".".join(path): value for path, value in leaves(tree)}


def read_once() -> list[tuple[str, str]]:
    """Every leaf that some variant reads, with the first that does and can be changed."""
    chosen = dict.fromkeys(["loss.prediction"], "phase2") | dict.fromkeys(
        [leaf for leaf in read_leaves("impatient") if leaf.startswith("stopping")], "impatient"
    )
    chosen |= dict.fromkeys([leaf for leaf in read_leaves("refreshed") if ".refresh." in leaf], "refreshed")
    for variant in ("baseline", "phase2", "phase3", "fsq", "gradnorm", "hard"):
        chosen = dict.fromkeys(read_leaves(variant), variant) | chosen
    return sorted(chosen.items())


def test_every_leaf_that_is_read_has_a_changed_value_here() -> None:
    assert {leaf for leaf, _ in read_once()} == set(CHANGES)


@pytest.mark.slow
@pytest.mark.parametrize(("leaf", "variant"), read_once(), ids=lambda value: value)
def test_every_leaf_changes_something(leaf: str, variant: str, tmp_path: Path) -> None:
    value = CHANGES[leaf]
    before = read_leaves(variant)[leaf]
    changed = settings_of(variant, {leaf: (not before) if value is None else value})
    assert read_leaves(variant)[leaf] != (not before if value is None else value)
    count = next((n for name, n in STEPS.items() if leaf.startswith(name)), 3)
    if leaf.startswith("stopping"):
        assert epochs_run(settings_of(variant), tmp_path) != epochs_run(changed, tmp_path)
    elif leaf in EXTREME:
        assert differs(bounded_trace(settings_of(variant), leaf), bounded_trace(changed, leaf))
    elif variant == "refreshed":  # not by the counts of use, which are kept for it
        assert plain_trace(variant, count)[0] != trace(changed, count)[0]
    else:
        assert differs(plain_trace(variant, count), trace(changed, count))


def epochs_run(phase: Phase, folder: Path) -> int:
    """How many of at most five epochs of four steps run."""
    train(budget(phase, epochs=5, sequences=128), tiny_corpus(), run_in(folder), str)
    return int(json.loads((folder / "run.json").read_text())["epochs"])


def bounded_trace(phase: Phase, leaf: str) -> tuple[list[float], torch.Tensor]:
    trainer = Trainer(phase, tiny_corpus(), 0, "cpu")
    assert trainer.objective.contrast is not None
    trainer.objective.contrast.log_temperature.data.fill_(EXTREME[leaf])
    return steps(trainer, 2), weights(trainer.jepa)


def test_the_leaves_of_the_budget_are_these() -> None:
    """Which every test of a run changes; what no result depends on has tests in test_events and test_resumption."""
    plain = settings_of("baseline")
    assert set(resolved(plain)["training"]) == {"epochs", "sequences", "batch_size"}
    unread = set(type(plain.training).model_fields) - set(resolved(plain)["training"])
    assert unread == {"tensorboard", "checkpoint_seconds"}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_leaf_that_is_hidden_changes_nothing(variant: str) -> None:
    plain = settings_of(variant)
    read = read_leaves(variant)
    everything = {".".join(path): value for path, value in leaves(plain.model_dump(exclude={"training"}))}
    unread = everything.keys() - read.keys() - {"loss.lambda_sigreg"}
    hidden = {leaf: (not everything[leaf]) if CHANGES[leaf] is None else CHANGES[leaf] for leaf in unread}
    assert hidden
    same = settings_of(variant, hidden)
    assert resolved(same) == resolved(plain)
    assert not differs(plain_trace(variant, 3), trace(same, 3))


# --- the scenarios, and alternatives of other phases that are a leaf or two away


@cache
def overlay_trace(name: str, count: int) -> tuple[list[float], torch.Tensor]:
    """The first steps of a phase or scenario of params.yaml."""
    return trace(tiny_params().phase_settings(name), count)


@pytest.mark.slow
@pytest.mark.parametrize("name", tiny_params().scenarios)
def test_every_scenario_trains_otherwise_than_its_parent(name: str, tmp_path: Path) -> None:
    params = tiny_params()
    parent = params.scenarios[name]["parent"]
    pair = [params.phase_settings(one) for one in (parent, name)]
    changed = changes(*pair)
    if all(leaf.startswith("stopping.") for leaf in changed):
        assert len({still_epochs(phase, tmp_path) for phase in pair}) == 2
        return
    if all(leaf.startswith("quantizer.refresh.") for leaf in changed):
        before, after = (trace(refreshed(phase), 6)[0] for phase in pair)
        assert before[:4] == after[:4]
        assert before[4:] != after[4:]
        return
    count = 4 if all(leaf.startswith("training.") for leaf in changed) else 2  # the schedule shows after its warm-up
    losses, values = overlay_trace(name, count)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert torch.isfinite(values).all()
    assert differs((losses, values), overlay_trace(parent, count))


def refreshed(phase: Phase) -> Phase:
    """With refreshes that replace something in the first steps, where they come."""
    return Phase.model_validate(put(phase.model_dump(), REFRESHED))


def still_epochs(phase: Phase, folder: Path) -> int:
    """How many of at most 60 epochs of two steps run where nothing is learned, BatchNorm's averages apart."""
    slow = phase.model_copy(update={"optimizer": phase.optimizer.model_copy(update={"lr": 1e-9})})
    train(budget(slow, epochs=60, sequences=64), tiny_corpus(), run_in(folder), str)
    return int(json.loads((folder / "run.json").read_text())["epochs"])


ALTERNATIVES: list[tuple[str, dict[str, Any]]] = [
    ("baseline", {"quantizer.codes": 256}),
    ("baseline", {"quantizer.codes": 384}),
    ("baseline", {"loss.teacher.enabled": False}),
    ("phase3", {"quantizer.kind": "vq"}),
    ("phase3", {"quantizer.kind": "fsq"}),
    ("phase1", {"loss.gradnorm.enabled": True}),
    ("phase2", {"loss.gradnorm.enabled": True}),
    ("phase3", {"sequence.window": 7}),
    ("phase3", {"model.frame_attention": False}),
    ("phase3", {"sequence.framing": "query"}),
    ("phase1", {"quantizer.refresh.enabled": True}),
    ("phase1", {"loss.relational.enabled": True}),
    ("baseline", {"loss.hard_negatives.enabled": True}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changes"), ALTERNATIVES, ids=lambda value: str(value))
def test_every_alternative_trains_and_differs(name: str, changes: dict[str, Any]) -> None:
    count = 5 if "quantizer.refresh.enabled" in changes else 2
    losses, values = trace(tiny_phase(name, changes), count)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert torch.isfinite(values).all()
    assert differs((losses, values), plain_trace(name, count))
