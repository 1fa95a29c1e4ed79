"""The record's numbers against independent computations, and its files against their schema."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_cases import Transfers

from arcjepa.files import read_vouched
from arcjepa.record import (
    EPOCH_COLUMNS,
    LOSS_COLUMNS,
    RUN_KEYS,
    SCHEMA,
    STEP_COLUMNS,
    TERMS,
    Averages,
    Record,
    Table,
    codes,
    loss_values,
    rows,
    schema,
)

pytestmark = pytest.mark.usefixtures("seeded")


def test_codes_are_counted() -> None:
    assert codes(torch.tensor([3, 3, 0, 0])) == pytest.approx({"code_usage": 0.5, "active_codes": 2, "perplexity": 2})


def test_the_schema_says_of_every_column_what_it_is() -> None:
    table = schema()
    assert list(table.columns) == ["file", "name", "unit", "meaning"]
    assert set(table["file"]) == {"losses.csv", "steps.csv", "epochs.csv", "run.json"}
    assert not table.duplicated(["file", "name"]).any()
    assert (table[["unit", "meaning"]].map(lambda text: text == text.strip() != "")).all(axis=None)
    for file, names in zip(SCHEMA, (LOSS_COLUMNS, STEP_COLUMNS, EPOCH_COLUMNS, RUN_KEYS), strict=True):
        assert tuple(table.loc[table["file"] == file, "name"]) == names


def test_the_schema_holds_every_term_raw_and_weighted_and_both_sides() -> None:
    assert set(TERMS) == {"prediction", "sigreg", "invariance", "relational", "hard_negatives", "commitment"}
    for split, wanted in (("train", (LOSS_COLUMNS, EPOCH_COLUMNS)), ("val", (EPOCH_COLUMNS,))):
        terms = {f"{split}_{term}{form}" for term in TERMS for form in ("", "_weighted")}
        assert all(terms | {f"{split}_total", f"{split}_prediction_error"} < set(columns) for columns in wanted)
    for side in ("context", "target"):
        assert {f"effective_rank_{side}", f"rankme_{side}", f"variance_{side}", f"isotropy_{side}"} < set(STEP_COLUMNS)


def row(value: float) -> dict[str, torch.Tensor | float]:
    return loss_values("train", torch.tensor(value), {"sigreg": (torch.tensor(value, requires_grad=True), 0.5)})


@pytest.mark.parametrize("weight", [0.5, torch.tensor(0.5)])
def test_averages_hold_raw_and_weighted_terms(weight: float | torch.Tensor) -> None:
    """GradNorm's weights are tensors, all others are numbers."""
    averages = Averages()
    averages.add(loss_values("train", torch.tensor(2.0), {"sigreg": (torch.tensor(3.0, requires_grad=True), weight)}))
    assert averages.means() == {"train_total": 2, "train_sigreg": 3, "train_sigreg_weighted": 1.5}


def test_averages_give_rows_and_their_means() -> None:
    averages = Averages()
    for value in (1.0, 3.0):
        averages.add(row(value) | {"lr": value / 10})
    assert averages.means() == pytest.approx(
        {"train_total": 2, "train_sigreg": 2, "train_sigreg_weighted": 1, "lr": 0.2}
    )
    assert averages.columns()["train_total"].tolist() == [1, 3]
    assert [found["train_sigreg_weighted"] for found in rows(averages.columns())] == [0.5, 1.5]
    averages.add(row(8.0) | {"lr": 0.0})  # they go on after being asked
    assert averages.means()["train_total"] == 4


def test_averages_are_one_transfer_and_none_before_they_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    averages, moved, cpu = Averages(), [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: (moved.append(tensor.shape), cpu(tensor))[1])
    with Transfers() as transfers:
        for value in (1.0, 3.0):
            averages.add({"total": torch.tensor(value), "error": torch.tensor(value), "lr": value})
    assert transfers.count == 0
    assert averages.means() == {"total": 2, "error": 2, "lr": 2}
    assert [found["lr"] for found in rows(averages.columns())] == [1, 3]
    assert moved == [(2, 2)]


def test_a_table_grows_row_by_row_and_refuses_what_its_schema_lacks(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.csv", ("a", "b", "c"))
    table.append({"a": 1, "c": 0.1234567891})
    table.append({"c": None, "b": "x"}, {"a": 2})
    with pytest.raises(KeyError, match=r"t\.csv.*no column d"):
        table.append({"d": 1})
    with (tmp_path / "t.csv").open() as file:
        assert list(csv.reader(file)) == [["a", "b", "c"], ["1", "", "0.123457"], ["", "x", ""], ["2", "", ""]]
    Table(tmp_path / "t.csv", ("a",))  # a new run starts anew
    assert (tmp_path / "t.csv").read_text() == "a\n"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_table_that_is_deleted_or_emptied_under_a_training_is_whole_with_its_next_row(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    table = Table(tmp_path / "t.csv", ("a", "b"))
    table.append({"a": 1})
    damage(table.path)
    table.append({"a": 2}, {"b": 3})
    assert table.path.read_bytes() == table.content == b"a,b\n1,\n2,\n,3\n"


@pytest.mark.parametrize("damage", [Path.unlink, cut, lambda path: path.write_bytes(b"")])
def test_a_table_that_is_damaged_after_its_last_row_is_whole_in_the_end(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    with Record(tmp_path) as record:
        record.steps.append({"step": 1, "epoch": 1, "perplexity": 0.1})
        damage(tmp_path / "steps.csv")
        record.finish({"steps": 1})
    assert (tmp_path / "steps.csv").read_bytes() == record.steps.content
    assert read_vouched(tmp_path / "steps.csv").count(b"\n") == 2


def test_a_record_begins_anew_and_ends_with_json(tmp_path: Path) -> None:
    (tmp_path / "losses.csv").write_text("old")
    with Record(tmp_path) as record:
        record.finish({"steps": 1, "hyperparameters": ["b", "a"]})
        with pytest.raises(KeyError, match=r"run\.json.*no column stepz"):
            record.finish({"stepz": 1})
    for file in ("losses.csv", "steps.csv", "epochs.csv"):
        assert (tmp_path / file).read_text() == ",".join(column.name for column in SCHEMA[file]) + "\n"
    text = (tmp_path / "run.json").read_text()
    summary = json.loads(text)
    assert set(summary.pop("files")) == {"losses.csv", "steps.csv", "epochs.csv", "run.json"}
    assert summary == {"hyperparameters": ["b", "a"], "steps": 1}
    assert text.index('"hyperparameters"') < text.index('"steps"')


def test_a_record_whose_files_are_gone_is_held_all_the_same(tmp_path: Path) -> None:
    """As where Snakemake cancels a job, which saves its state after its outputs were removed."""
    with Record(tmp_path) as record:
        record.steps.append({"step": 1, "epoch": 1, "perplexity": 0.1})
        written = {name: (tmp_path / name).read_bytes() for name in ("losses.csv", "steps.csv", "epochs.csv")}
        (tmp_path / "steps.csv").unlink()
        assert record.held() == written
    with Record(tmp_path) as other:
        other.take(written)
        other.steps.append({"step": 2, "epoch": 1})
    assert (tmp_path / "steps.csv").read_bytes().startswith(written["steps.csv"])
    assert (tmp_path / "steps.csv").read_text().count("\n") == 3
