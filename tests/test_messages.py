"""Settings that cannot be meant are refused before anything runs, by their key as it was written."""

from typing import Any

import pytest
from model_cases import tiny_params
from test_config import committed, message_of, with_leaf

from arcjepa.config import from_mapping
from arcjepa.errors import UserError
from arcjepa.params import check_arguments, typed


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("base.optimizer.lr", "1e-4", ["optimizer.lr", "'1e-4'", "1e-4 without quotes"]),
        ("ranks", 9, ["ranks: is 9, should be a whole number from 1 to 8, or auto"]),
        ("ranks", True, ["ranks: is True, should be a whole number from 1 to 8, or auto"]),
        ("lambda_sigreg", "5e-1", ["lambda_sigreg", "5e-1 without quotes"]),
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
        ("base.model.heads", 5, ["model", "heads = 5", "width = 64"]),
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
        ("phases.phase2", None, ["phases.phase2", "None", "a mapping of settings"]),
        ("phases.phase2.parent", KeyError, ["phases.phase2.parent: is missing", "base and phases"]),
        ("base.optimizer", 3, ["base.optimizer: is 3, should be a mapping of settings"]),
        ("lambda_sigreg", {"x": 1}, ["lambda_sigreg: is {'x': 1}, should be a valid number"]),
        ("base.quantizer.levels", [64] * 8, ["base.quantizer", "levels = [64", "281474976710656 codes", "65536"]),
        ("base.sequence.curriculum.epochs", [2, 9], ["phases.phase3 at scale laptop", "[2, 9]", "training.epochs = 6"]),
        ("base.training.epochs", 3, ["phases.phase3 at scale laptop", "[2, 4]", "training.epochs = 3"]),
        ("scenarios.curriculum_on.training", {"epochs": 3}, ["scenarios.curriculum_on at scale laptop", "[2, 4]"]),
        ("evaluation.pool", 20_000, ["evaluation.pool: is 20000", "at most 9099", "data.synthetic.held_out.laptop"]),
        ("evaluation.pool.laptop", 10_000, ["evaluation.pool.laptop: is 10000", "at most 9099"]),
        ("data.synthetic.held_out.laptop", 100, ["evaluation.pool.laptop: is 8192", "at most 579"]),
        ("data.synthetic.held_out", 19, ["data.synthetic.held_out: is 19", "20"]),
        ("data.synthetic.tasks", 1, ["data.synthetic at scale laptop", "shards = 2", "tasks = 1"]),
        ("data.synthetic.styles", ["boxs"], ["data.synthetic.styles: is ['boxs'], 'boxs' is no style", "mean boxes?"]),
        ("data.synthetic.styles", ["boxes", "boxes"], ["data.synthetic.styles: ", "'boxes' is given twice"]),
        ("data.synthetic.styles", "boxes", ["data.synthetic.styles: is 'boxes', should be all, or a list of objects"]),
        ("data.synthetic.styles", [], ["data.synthetic.styles: is [], should be all, or a list of objects"]),
        ("data.synthetic.styles", True, ["data.synthetic.styles: is True, should be all"]),
        ("tokens.connectivity", True, ["tokens.connectivity: is True, should be 4 or 8"]),
    ],
)
def test_a_bad_value_is_an_error_naming_the_leaf_the_value_and_what_is_allowed(
    path: str, value: Any, named: list[str]
) -> None:
    message = message_of(with_leaf(path, value))
    assert all(part in message for part in named), message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("lamda_sigreg=0.5", ["lamda_sigreg", "unknown key", "did you mean lambda_sigreg"]),
        ("lambda_sigreg=-1", ["lambda_sigreg", "-1", "greater than or equal to 0"]),
        ("lambda_sigreg=yes", ["lambda_sigreg", "valid number"]),
        ("scale=tinny", ["scale", "'tinny'", "did you mean tiny"]),
        ("phase=phase9", ["phase", "'phase9'", "did you mean phase"]),
        ("device=gpu", ["device", "'gpu'", "'auto', 'cpu' or 'cuda'"]),
        ("seeds=[]", ["seeds", "at least 1"]),
        ("base={training: {epoch: 3}}", ["base.training.epoch: unknown key", "did you mean epochs"]),
        ("base={training: {epochs: {tiny: 0}}}", ["base.training.epochs.tiny: is 0", "greater than or equal to 1"]),
        ("scales={tiny: {base: {training: {epochs: 3}}}}", ["scales.tiny.base", "base.training.epochs.tiny"]),
        ("data={synthetic: {styles: [boxs]}}", ["data.synthetic.styles", "'boxs' is no style", "did you mean boxes"]),
        ("evaluation={pool: 9000}", ["evaluation.pool: is 9000", "at most"]),
        ("base={quantizer: {levels: [64, 64, 64]}}", ["base.quantizer", "262144 codes", "65536"]),
    ],
)
def test_a_setting_of_the_command_line_is_refused_by_the_key_that_was_typed(setting: str, named: list[str]) -> None:
    """By the steps of workflow/rules/common.smk; tests/workflow has a few of them from the command to the line."""
    from snakemake.cli import parse_config
    from snakemake.utils import update_config

    check_arguments([setting])
    tree = committed(scale="tiny")
    update_config(tree, typed(parse_config([setting])))
    message = message_of(tree)
    assert all(part in message for part in named), message


@pytest.mark.parametrize("value", [1e26, 1e308, 1e-320, 1e-13, 10**26, 2**64, -(10**30), True, "x", None, [1.0]])
@pytest.mark.parametrize(
    "path",
    [
        "lambda_sigreg", "base.optimizer.lr", "base.optimizer.clip", "base.loss.sigreg.weight", "base.model.dropout",
        "base.loss.teacher.decay", "base.training.sequences", "base.training.epochs", "base.training.batch_size",
        "base.model.heads", "base.quantizer.refresh.interval", "data.synthetic.tasks", "data.synthetic.held_out",
        "data.validation_share", "evaluation.pool", "evaluation.readout_sequences", "evaluation.bootstrap",
        "evaluation.seed", "diagnosis.explosion", "diagnosis.collapse_variance", "success.core_lines",
    ],
)  # fmt: skip
def test_a_number_that_would_only_overflow_later_is_refused_where_it_stands(path: str, value: Any) -> None:
    message = message_of(with_leaf(path, value))
    assert f"{path}: is " in message
    assert len(message) < 200


@pytest.mark.parametrize("value", [0, 0.0, 1e-12, 1e9])
def test_numbers_of_any_use_are_allowed(value: float) -> None:
    assert from_mapping(committed(lambda_sigreg=value)).lambda_sigreg == value


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("base.optimizer.lr", 2.0, "base.optimizer.lr: "),
        ("base.optimizer.lr.laptop", 2.0, "base.optimizer.lr.laptop: "),
        ("base.sequence.curriculum.epochs.laptop", [2, True], "base.sequence.curriculum.epochs.laptop[1]: "),
        ("phases.phase1.stopping.patience", 0, "phases.phase1.stopping.patience: "),
        (
            "phases.phase2.loss",
            {"prediction": "lejepa", "infonce": {"queue": -1}},
            "phases.phase2.loss.infonce.queue: ",
        ),
        ("phases.phase1.loss.prediction", "lejepa", "phases.phase1.loss at scale laptop: "),
        ("base.loss.prediction", "lejepa", "base.loss at scale laptop: "),
        ("base.trainng", {"epochs": 3}, "base.trainng: unknown key; did you mean training?"),
        ("seeds.laptop", [0, 0], "seeds.laptop: is [0, 0], 0 is given twice"),
    ],
)
def test_an_error_names_the_key_where_it_was_written(path: str, value: Any, key: str) -> None:
    """Not the phase in which it was found first."""
    assert message_of(with_leaf(path, value)).startswith(f"params.yaml: {key}")


@pytest.mark.parametrize(
    ("key", "named"),
    [
        (3, ["key 3 is not text"]),
        ("a\nb", [r"key 'a\nb' is not text"]),
    ],
)
def test_a_key_that_only_a_command_line_can_give_is_an_error(key: Any, named: list[str]) -> None:
    message = message_of({**committed(), key: 3})
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


@pytest.mark.parametrize("path", ["base", "phases.phase2", "phases.baseline"])
def test_lambda_sigreg_is_set_at_the_top_and_nowhere_else(path: str) -> None:
    assert "lambda_sigreg" in message_of(with_leaf(f"{path}.loss.lambda_sigreg", 3.0))


def test_an_unknown_phase_is_an_error_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean phase2"):
        tiny_params().phase_settings("phse2")
