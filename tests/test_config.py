"""Settings are validated before anything runs; what is off has no settings; what is on is read."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from model_cases import PARAMS, tiny_params, tiny_phase

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
    """params.yaml with one leaf set, which need not exist."""
    tree = committed()
    *parents, last = path.split(".")
    inner = tree
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = value
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


# --- what is refused


HIDDEN_AT_LAPTOP = ("base.optimizer.lr", "base.optimizer", "base.model.heads")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("base.optimizer.lr", "1e-4", ["optimizer.lr", "'1e-4'", "1.0e-04"]),
        ("lambda_sigreg", "5e-1", ["lambda_sigreg", "5.0e-01"]),
        ("lambda_sigreg", float("nan"), ["lambda_sigreg", "nan", "finite"]),
        ("lambda_sigreg", float("inf"), ["lambda_sigreg", "inf", "finite"]),
        ("base.loss.sigreg.weight", float("nan"), ["loss.sigreg.weight", "nan", "finite"]),
        ("base.optimizer.clip", float("inf"), ["optimizer.clip", "inf", "finite"]),
        ("lambda_sigreg", -0.1, ["lambda_sigreg", "-0.1", "greater than or equal to 0"]),
        ("lambda_sigreg", True, ["lambda_sigreg", "True", "number"]),
        ("lambda_sigreg", None, ["lambda_sigreg", "None", "number"]),
        ("base.quantizer.codes", True, ["quantizer.codes", "True", "integer"]),
        ("base.quantizer.codes", 1.5, ["quantizer.codes", "1.5", "integer"]),
        ("base.loss.teacher.enabled", 1, ["loss.teacher.enabled", "1", "boolean"]),
        ("base.loss.teacher.enabled", "off", ["loss.teacher.enabled", "'off'", "boolean"]),
        ("base.loss.teacher.decay", 1.0, ["loss.teacher.decay", "1.0", "less than 1"]),
        ("base.loss.infonce.temperature", 0.3, ["loss.infonce", "temperature = 0.3", "temperature_max = 0.2"]),
        ("base.sequence.window", 4, ["sequence.window", "4", "3, 5 or 7"]),
        ("base.sequence.synthetic_share", 1.5, ["sequence.synthetic_share", "1.5", "less than or equal to 1"]),
        ("base.sequence.curriculum.epochs", [5, 2], ["sequence.curriculum", "[5, 2]", "ascend"]),
        ("base.sequence.curriculum.epochs", [], ["sequence.curriculum.epochs", "at least 1 item"]),
        ("base.sequence.curriculum.epochs", [True], ["sequence.curriculum.epochs", "True", "integer"]),
        ("base.model.heads", 5, ["model", "heads = 5", "width = 384"]),
        ("base.quantizer.levels", [2], ["quantizer.levels", "greater than or equal to 3"]),
        ("base.loss.prediction", "infonc", ["loss.prediction", "'infonc'", "'infonce' or 'lejepa'"]),
        ("base.loss.prediction", None, ["loss.prediction", "None"]),
        ("phases.phase2.loss.sigreg.enabled", True, ["phase2", "sigreg.enabled", "must be false"]),
        ("base.training.sequences", 1, ["training", "sequences = 1", "batch_size"]),
        ("data.synthetic.min_side", 20, ["data.synthetic", "min_side = 20", "max_side = 14"]),
        ("data.validation_share", 1, ["data.validation_share", "1", "less than or equal to 0.9"]),
        ("tokens.max_objects", 63, ["tokens.max_objects", "63", "62"]),
        ("seeds", [], ["seeds", "at least 1 item"]),
        ("seeds", [-1], ["seeds", "-1"]),
        ("seeds", [0, 1, 0], ["seeds", "0 is given twice"]),
        ("data.user_training", ["mine", "mine"], ["user_training", "'mine' is given twice"]),
        ("device", "gpu", ["device", "'gpu'", "'cuda'"]),
        ("scale", "huge", ["scale", "'huge'", "laptop"]),
        ("scale", "lapto", ["scale", "did you mean laptop?"]),
        ("scale", ["tiny"], ["scale", "['tiny']", "did you mean tiny?"]),
        ("phase", "phse2", ["phase", "'phse2'", "did you mean phase2?"]),
        ("phases.phase2.parent", "phase7", ["phases.phase2.parent", "'phase7'"]),
        ("phases.phase2.parent", ["phase1"], ["phases.phase2.parent", "['phase1']"]),
        ("phases.phase2.parent", "phase3", ["cycle", "phase2", "phase3"]),
        ("phases.phase2.parent", "phase2", ["cycle", "phase2 -> phase2"]),
        ("phases.phase2", None, ["phases.phase2", "dictionary"]),
        ("base.optimizer", 3, ["optimizer", "3"]),
        ("scales", {}, ["scales"]),
        ("scales", {"laptop": None, "tiny": 3}, ["scales.tiny", "3", "mapping"]),
        ("scales.laptop", 3, ["scales.laptop", "3"]),
        ("scales.laptop.data", 3, ["scales.laptop.data", "3", "mapping"]),
    ],
)
def test_a_bad_value_is_an_error_naming_the_leaf_the_value_and_what_is_allowed(
    path: str, value: Any, named: list[str]
) -> None:
    tree = with_leaf(path, value)
    if path in HIDDEN_AT_LAPTOP:
        tree["scale"] = "production"
    message = message_of(tree)
    assert all(part in message for part in named), message


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("devise", "device"),
        ("data.validation_shar", "validation_share"),
        ("data.synthetic.task", "tasks"),
        ("tokens.max_object", "max_objects"),
        ("evaluation.pol", "pool"),
        ("base.sequnce", "sequence"),
        ("base.sequence.windw", "window"),
        ("base.sequence.curriculum.epoch", "epochs"),
        ("base.loss.infonce.quee", "queue"),
        ("base.quantizer.refresh.intervall", "interval"),
        ("phases.phase2.optimiser", "optimizer"),
        ("phases.phase2.loss.relational.wieght", "weight"),
        ("phases.phase2.quantizer.code", "codes"),
        ("scales.laptop.bas", "base"),
        ("scales.laptop.base.model.widht", "width"),
        ("scales.production.evaluation.poool", "pool"),
    ],
)
def test_an_unknown_key_is_an_error_at_every_level_and_the_nearest_is_offered(path: str, nearest: str) -> None:
    message = message_of(with_leaf(path, 3))
    assert path.removeprefix("base.") in message
    assert f"did you mean {nearest}?" in message


@pytest.mark.parametrize("section", ["sequence", "model", "quantizer", "loss", "optimizer", "stopping", "training"])
def test_a_section_that_is_missing_is_named(section: str) -> None:
    tree = committed()
    del tree["base"][section]
    assert section in message_of(tree)


@pytest.mark.parametrize("path", ["base.loss.infonce.queue", "base.optimizer.clip", "data.rearc_pairs", "device"])
def test_a_leaf_that_is_missing_is_named(path: str) -> None:
    tree = committed(scale="production")
    *parents, last = path.split(".")
    inner = tree
    for parent in parents:
        inner = inner[parent]
    del inner[last]
    assert last in message_of(tree)


@pytest.mark.parametrize("path", ["base", "phases.phase2", "phases.baseline", "scales.laptop.base"])
def test_lambda_sigreg_is_set_at_the_top_and_nowhere_else(path: str) -> None:
    assert "lambda_sigreg" in message_of(with_leaf(f"{path}.loss.lambda_sigreg", 3.0))


def test_an_error_at_another_scale_is_found_at_this_one() -> None:
    message = message_of(with_leaf("scales.production", {"base": {"model": {"heads": 7}}}))
    assert "production" in message
    assert "heads = 7" in message


def test_an_unknown_phase_is_an_error_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean phase2"):
        tiny_params().phase_settings("phse2")


def test_load_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text())
    assert config.load(path) == from_mapping(committed())
