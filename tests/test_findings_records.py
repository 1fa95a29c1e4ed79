"""Records are read strictly where something is written, and gaps are never zeros."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_cases import tiny_corpus, tiny_phase
from record_cases import PHASES, Healthy, thresholds, tree

from arcjepa import record as schema
from arcjepa.diagnosis import examine
from arcjepa.errors import UserError
from arcjepa.findings.record_files import LOSS_COLUMNS, read_record
from arcjepa.findings.records import EPOCH_COLUMNS, STEP_COLUMNS, TERMS, guess_objective, make_record
from arcjepa.runs import Run, train
from arcjepa.vouchers import write_voucher


def write(folder: Path, **texts: str) -> Path:
    """Files by stem; .json for run, .csv for the others."""
    for name, text in texts.items():
        (folder / f"{name}.{'json' if name == 'run' else 'csv'}").write_text(text)
    return folder


def message(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        read_record(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_columns_are_those_of_our_record() -> None:
    assert TERMS == schema.TERMS
    assert set(EPOCH_COLUMNS) <= set(schema.EPOCH_COLUMNS)
    assert set(STEP_COLUMNS) <= set(schema.STEP_COLUMNS)
    assert set(LOSS_COLUMNS) <= set(schema.LOSS_COLUMNS)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["baseline", "phase3"])
def test_a_run_of_our_own_is_read_whole(phase: str, tmp_path: Path) -> None:
    """Nothing that its mechanisms record is missed, and it is judged by its own settings."""
    settings = tiny_phase(phase, {"training.epochs": 8, "training.sequences": 64, "optimizer.lr": 5e-4})
    folder = tmp_path / f"tiny/{phase}/seed0"
    folder.mkdir(parents=True)
    train(settings, tiny_corpus(), Run(0, "cpu", folder, tmp_path), lambda line: None)
    record = read_record(folder, tree())
    assert record.name == f"tiny/{phase}/seed0"
    assert (record.assumed, record.objective) == ("", settings.loss.prediction)
    assert record.setting("optimizer.clip") == settings.optimizer.clip
    assert record.batch == settings.training.batch_size
    report = examine(record, thresholds())
    assert report.not_judged == {}


def test_any_file_will_do(tmp_path: Path) -> None:
    write(tmp_path, steps="step,code_usage\n100,0.2\n")
    assert list(read_record(tmp_path).series("code_usage").items()) == [(100, 0.2)]


def test_gaps_are_not_zeros(tmp_path: Path) -> None:
    write(tmp_path, epochs="epoch,train_total,val_total\n3,,7\n1,9.5, \n2,,\n")
    record = read_record(tmp_path)
    assert list(record.epochs.index) == [1, 2, 3]
    assert record.series("train_total").to_dict() == {1: 9.5}
    assert record.series("val_total").to_dict() == {3: 7.0}
    assert record.broken == ()


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "NaN"])
def test_what_is_written_but_not_finite_is_kept_apart(text: str, tmp_path: Path) -> None:
    write(tmp_path, epochs=f"epoch,train_total\n1,2.0\n2,{text}\n")
    record = read_record(tmp_path)
    assert record.series("train_total").to_dict() == {1: 2.0}
    (cell,) = record.broken
    assert (cell.file, cell.row, cell.column, cell.text) == ("epochs.csv", 2, "train_total", text)


def test_of_rows_that_come_twice_the_last_counts(tmp_path: Path) -> None:
    write(tmp_path, epochs="epoch,train_total\n1,5\n2,4\n1,3\n")
    record = read_record(tmp_path)
    assert record.series("train_total").to_dict() == {1: 3.0, 2: 4.0}
    assert [(cell.row, cell.column) for cell in record.broken] == [(1, "")]


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ({}, "holds none of epochs.csv, steps.csv, losses.csv, run.json"),
        ({"epochs": "step,train_total\n1,2\n"}, "epochs.csv: column 'epoch' is missing, it has step, train_total"),
        ({"epochs": "epoch,train_total\n1,much\n"}, "epochs.csv: line 2: train_total: is 'much', must be a number"),
        ({"epochs": "epoch,train_total\n1,2\n2\n"}, "line 3: 1 cell, the header has 2"),
        ({"epochs": "epoch,train_total\n1.5,2\n"}, "epochs.csv: line 2: epoch: is '1.5', must be a whole number"),
        ({"epochs": "epoch,train_total\n,2\n"}, "line 2: epoch: is '', must be a whole number"),
        ({"run": "{"}, "run.json: is not JSON"),
        ({"run": "[1]"}, "run.json: must be a JSON object, is a list"),
        ({"run": '{"settings": 3}'}, "settings: is 3, must be a mapping"),
    ],
)
def test_bad_files_are_refused_in_one_line(texts: dict[str, str], complaint: str, tmp_path: Path) -> None:
    assert complaint in message(write(tmp_path, **texts))


def test_bytes_that_are_no_text_and_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "epochs.csv").write_bytes(b"epoch,train_total\n\xff\xfe,2\n")
    assert "is not a CSV table in UTF-8" in message(tmp_path)
    assert "is not a folder" in message(tmp_path / "epochs.csv")


DAMAGE = [
    ("epochs", "epoch,train_total\n1,2\n2,much\n", "epochs.csv: line 3: train_total: is 'much', must be a number", 2),
    ("epochs", "epoch,train_total\n1,2\n2\n", "epochs.csv: line 3: 1 cell, the header has 2", 1),
    ("epochs", "epoch,train_total\n1,2\n2,12.", "line 3: the last one, which no line break ends, may be cut", 1),
    ("epochs", "epoch,train_total\n1,2\nx,3\n", "epochs.csv: line 3: epoch: is 'x', must be a whole number", 1),
    ("losses", "step;epoch\n1;2\n", "losses.csv: column 'step' is missing", 1),
    ("run", '{"epochs": 1, ', "run.json: is not JSON", 1),
    ("run", '{"epochs": 1, "settings": [1]}', "settings: is a list of 1, must be a mapping", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text", "problem", "rows"), DAMAGE)
def test_what_is_damaged_is_said_and_the_rest_judged(
    name: str, text: str, problem: str, rows: int, tmp_path: Path
) -> None:
    write(tmp_path, epochs="epoch,train_total\n1,2\n", **({name: text} if name != "epochs" else {}))
    write(tmp_path, **{name: text})
    assert problem in message(tmp_path)
    record = read_record(tmp_path, tree(), lenient=True)
    assert len(record.epochs) == rows
    (told,) = record.damaged
    assert problem in told
    (found,) = [f for f in examine(record, thresholds()).findings if f.name == "incomplete record"]
    assert told in found.summary


def test_bytes_that_are_no_text_leave_the_other_tables(tmp_path: Path) -> None:
    (tmp_path / "steps.csv").write_bytes(b"\x00\xff\x80" * 300)
    record = read_record(write(tmp_path, epochs="epoch,train_total\n1,2\n"), lenient=True)
    assert (len(record.epochs), len(record.damaged)) == (1, 1)


@pytest.mark.parametrize("name", ["steps.csv", "losses.csv", "run.json"])
def test_a_pipe_in_place_of_a_file_leaves_the_others(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    record = read_record(write(tmp_path, epochs="epoch,train_total\n1,2\n"), lenient=True)
    assert len(record.epochs) == 1
    assert record.damaged == (f"{name}: cannot be read: is a pipe or a device, not a file",)


def test_a_table_that_run_json_does_not_vouch_for_is_judged_and_said(tmp_path: Path) -> None:
    write(tmp_path, epochs="epoch,train_total\n1,2\n", run=json.dumps({"files": {"epochs.csv": "0" * 64}}))
    assert "make it again with `snakemake --force" in message(tmp_path)
    record = read_record(tmp_path, lenient=True)
    assert len(record.epochs) == 1
    assert "are not those that run.json recorded" in record.damaged[0]


def test_columns_of_another_kind_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path, epochs="epoch,remark,train_total\n1,fine,2\n")
    assert read_record(tmp_path).series("train_total").to_dict() == {1: 2.0}


def test_losses_of_steps_fill_what_epochs_lack(tmp_path: Path) -> None:
    losses = "step,epoch,train_total,grad_norm,clip_factor,temperature\n"
    losses += "1,1,4,1,1,0.07\n2,1,2,3,0.5,0.06\n3,2,1,2,0.25,0.05\n"
    write(tmp_path, losses=losses, epochs="epoch,train_total,val_total\n1,9,8\n2,7,6\n")
    record = read_record(tmp_path)
    assert record.series("train_total").to_list() == [9, 7]
    assert record.series("grad_norm_mean").to_list() == [2, 2]
    assert record.series("grad_norm_max").to_list() == [3, 2]
    assert record.series("clipped_share").to_list() == [0.5, 1]
    assert record.series("temperature").to_list() == [0.06, 0.05]
    (tmp_path / "epochs.csv").unlink()
    assert read_record(tmp_path).series("train_total").to_list() == [3, 1]


# --- settings


@pytest.mark.parametrize("phase", PHASES)
def test_settings_are_assumed_where_the_run_names_none(phase: str, tmp_path: Path) -> None:
    run = Healthy(PHASES.index(phase), phase)
    named = run.record(summary={}, tree=tree())
    assert named.assumed == f"phase {phase} of params.yaml at scale {run.scale}"
    assert named.setting("loss.prediction") == run.settings["loss"]["prediction"]
    unnamed = run.record(name="somewhere", summary={}, tree=tree())
    assert unnamed.objective == run.settings["loss"]["prediction"]
    assert unnamed.assumed.startswith("phase baseline" if run.contrastive else "phase phase2")


def test_nothing_is_assumed_of_a_run_that_shows_no_objective() -> None:
    epochs = pd.DataFrame({"epoch": [1, 2], "train_total": [2.0, 1.0]})
    record = make_record("somewhere", epochs, pd.DataFrame(), {}, tree())
    assert (record.objective, record.assumed, record.settings) == ("", "", {})


@pytest.mark.parametrize("phase", PHASES)
def test_the_objective_is_guessed_from_what_was_recorded(phase: str) -> None:
    run = Healthy(4 + PHASES.index(phase), phase)
    assert guess_objective(run.epochs) == run.settings["loss"]["prediction"]
    assert guess_objective(run.epochs[["epoch", "train_total"]]) == ""


def test_the_batch_is_known_from_the_speed_of_a_run_without_settings() -> None:
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "step": [36, 72, 108], "seconds": [6.0, 5.0, 4.0]})
    epochs["sequences_per_second"] = 36 * 128 / epochs["seconds"]
    assert make_record("somewhere", epochs, pd.DataFrame()).batch == 128
    settings = {"settings": {"training": {"batch_size": 64}}}
    assert make_record("somewhere", epochs, pd.DataFrame(), settings).batch == 64


def test_infinite_values_of_a_table_are_no_levels() -> None:
    table = pd.DataFrame({"epoch": [1, 2, 3], "train_total": [3.0, np.inf, 2.0]})
    record = make_record("somewhere", table, pd.DataFrame())
    assert record.series("train_total").to_dict() == {1: 3.0, 3: 2.0}
    assert [cell.row for cell in record.broken] == [2]


def test_a_run_json_with_another_number_is_judged_and_said(tmp_path: Path) -> None:
    for name in ("losses.csv", "steps.csv", "epochs.csv"):
        (tmp_path / name).write_text("epoch,step\n")
    path = tmp_path / "run.json"
    write_voucher(path, {"epochs": 3, "settings": {}})
    assert read_record(tmp_path).damaged == ()
    path.write_text(path.read_text().replace('"epochs": 3', '"epochs": 4'))
    assert "is not what was written there" in read_record(tmp_path, lenient=True).damaged[0]
    with pytest.raises(UserError, match=r"make it again with `snakemake --force .*run\.json`"):
        read_record(tmp_path)


def test_run_json_alone_is_a_record(tmp_path: Path) -> None:
    write(tmp_path, run=json.dumps({"settings": {"loss": {"prediction": "lejepa", "lambda_sigreg": 50.0}}}))
    report = examine(read_record(tmp_path, tree()), thresholds())
    assert [finding.name for finding in report.findings] == ["lambda out of range"]
