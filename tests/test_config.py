"""Settings are validated before anything runs; what is off has no settings; what is on is read."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from model_cases import PARAMS, tiny_phase

from arcjepa import config
from arcjepa.config import from_mapping, hyperparameters, resolved
from arcjepa.errors import UserError
from arcjepa.params import leaves, read_params
from arcjepa.settings import Phase

SCALES = ("tiny", "laptop", "diagnostic", "production")
PHASES = ("baseline", "phase1", "phase2", "phase3")


def committed(**top: Any) -> dict[str, Any]:
    """The committed params.yaml as plain values; `top` replaces top-level keys."""
    return {**copy.deepcopy(_read()), **top}


@cache
def _read() -> dict[str, Any]:
    return read_params(PARAMS)


def with_leaf(path: str, value: Any) -> dict[str, Any]:
    """params.yaml with one leaf set, which need not exist; KeyError: without it."""
    tree = committed()
    *parents, last = path.split(".")
    inner = tree
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = value
    if value is KeyError:
        del inner[last]
    return tree


def message_of(tree: dict[str, Any]) -> str:
    """The one line that refuses these params."""
    with pytest.raises(UserError) as error:
        from_mapping(tree)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("params.yaml: ")
    return str(error.value)


# --- the committed file


@pytest.mark.parametrize("scale", SCALES)
def test_every_phase_resolves_at_every_scale(scale: str) -> None:
    params = from_mapping(committed(scale=scale))
    assert params.names == list(PHASES)
    assert all(isinstance(params.phase_settings(name), Phase) for name in params.names)


@pytest.mark.parametrize("scale", SCALES)
def test_no_leaf_of_a_phase_repeats_its_parent(scale: str) -> None:
    assert from_mapping(committed(scale=scale)).repetitions() == []


def test_a_leaf_that_repeats_its_parent_is_found() -> None:
    tree = with_leaf("phases.phase1.optimizer.clip", 0.5)
    assert from_mapping(tree).repetitions() == ["phases.phase1.optimizer.clip"]


@pytest.mark.parametrize("name", PHASES)
def test_a_phase_is_a_diff_of_at_most_eight_leaves(name: str) -> None:
    overlay = {key: value for key, value in committed()["phases"][name].items() if key != "parent"}
    assert len(list(leaves(overlay))) <= 8


@pytest.mark.parametrize("scale", SCALES)
def test_hyperparameters_are_few_where_the_analysis_wants_them_few(scale: str) -> None:
    params = from_mapping(committed(scale=scale))
    counts = {name: len(hyperparameters(params.phase_settings(name))) for name in PHASES}
    assert counts["phase2"] < 10
    assert counts["phase3"] < 10
    assert counts["baseline"] > 20
    assert counts["baseline"] > counts["phase1"] > counts["phase2"]


def test_hyperparameters_are_numbers_and_choices_but_no_switches() -> None:
    names = hyperparameters(tiny_phase("phase2"))
    assert {"loss.lambda_sigreg", "loss.prediction", "quantizer.codes", "optimizer.lr"} <= set(names)
    assert not any(name.endswith("enabled") or name.startswith(("model", "training", "sequence")) for name in names)


@pytest.mark.parametrize(
    ("switch", "off", "hidden"),
    [
        ("loss.teacher.enabled", False, ["loss.teacher.decay"]),
        ("loss.invariance.enabled", False, ["loss.invariance.colour", "loss.invariance.symmetry"]),
        ("loss.relational.enabled", False, ["loss.relational.weight", "loss.relational.form"]),
        ("loss.sigreg.enabled", False, ["loss.sigreg.weight", "loss.sigreg.form"]),
        ("quantizer.refresh.enabled", False, ["quantizer.refresh.interval", "quantizer.refresh.threshold"]),
        ("quantizer.kind", "none", ["quantizer.codes", "quantizer.commitment.weight", "quantizer.refresh.interval"]),
        ("stopping.enabled", False, ["stopping.patience", "stopping.min_delta"]),
    ],
)
def test_a_mechanism_that_is_off_hides_its_leaves(switch: str, off: Any, hidden: list[str]) -> None:
    on, without = hyperparameters(tiny_phase("baseline")), hyperparameters(tiny_phase("baseline", {switch: off}))
    assert set(hidden) <= set(on)
    assert not set(hidden) & set(without)
    assert set(without) < set(on)


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("none", set()),
        ("vq", {"codes", "decay", "commitment", "refresh"}),
        ("gumbel", {"codes", "temperature"}),
        ("fsq", {"levels"}),
    ],
)
def test_each_quantiser_has_its_own_settings(kind: str, read: set[str]) -> None:
    assert set(resolved(tiny_phase("phase2", {"quantizer.kind": kind}).quantizer)) == {"kind"} | read


def test_the_window_is_no_setting_where_only_the_query_is_shown() -> None:
    assert "window" in resolved(tiny_phase("phase2").sequence)
    assert "window" not in resolved(tiny_phase("phase2", {"sequence.framing": "query"}).sequence)


@pytest.mark.parametrize("name", PHASES)
def test_lambda_sigreg_reaches_lejepa_phases_only(name: str) -> None:
    texts = {
        config.canonical(resolved(from_mapping(committed(lambda_sigreg=value)).phase_settings(name)))
        for value in (1.0, 0.5)
    }
    assert len(texts) == (2 if name in ("phase2", "phase3") else 1)


def test_canonical_text_reads_back_and_does_not_depend_on_order() -> None:
    tree = resolved(tiny_phase("phase3"))
    assert json.loads(config.canonical(tree)) == tree
    assert config.canonical({"a": 1, "b": 2}) == config.canonical({"b": 2, "a": 1})


def test_a_scale_changes_only_its_own_values() -> None:
    tiny, laptop = (from_mapping(committed(scale=scale)) for scale in ("tiny", "laptop"))
    assert tiny.phase_settings("baseline").model.width == 16
    assert laptop.phase_settings("baseline").model.width == 64
    assert tiny.phase_settings("baseline").loss.teacher == laptop.phase_settings("baseline").loss.teacher


def test_a_phase_s_overlay_goes_over_the_scale_s() -> None:
    tree = with_leaf("phases.phase2.quantizer", {"codes": 24})
    assert from_mapping({**tree, "scale": "tiny"}).phase_settings("phase3").quantizer.codes == 256
    assert from_mapping({**tree, "scale": "tiny"}).phase_settings("phase2").quantizer.codes == 24
    assert from_mapping({**tree, "scale": "tiny"}).phase_settings("phase1").quantizer.codes == 32


def test_load_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text())
    assert config.load(path) == from_mapping(committed())
