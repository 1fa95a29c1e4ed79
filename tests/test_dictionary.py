"""Every column that is written is told, every column that is told is written, and values lie where it says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_comparison import EVALUATION, write_run

from arcjepa import record
from arcjepa.cli import main
from arcjepa.comparison import load_runs, metrics_table
from arcjepa.dictionary import METRICS, RANGES, as_text, dictionary
from arcjepa.errors import UserError

COMMITTED = sorted((Path(__file__).parents[1] / "results/comparison").glob("*/metrics.csv"))
TABLES = {"losses.csv": record.LOSS_COLUMNS, "steps.csv": record.STEP_COLUMNS, "epochs.csv": record.EPOCH_COLUMNS}
TABLES |= {"run.json": record.RUN_KEYS}


def told(file: str) -> list[str]:
    return dictionary(file)["name"].tolist()


def test_every_column_of_the_metrics_is_told_in_its_order(tmp_path: Path) -> None:
    written = metrics_table([load_runs("phase2", [write_run(tmp_path / "phase2" / "seed0")])], EVALUATION)
    assert told("metrics.csv") == list(written)


@pytest.mark.parametrize("file", TABLES)
def test_every_column_that_a_run_writes_is_told(file: str) -> None:
    """`record.Table` refuses any other."""
    assert tuple(told(file)) == TABLES[file]


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_the_committed_metrics_are_told_and_lie_in_their_ranges(path: Path) -> None:
    table = pd.read_csv(path)
    assert list(table) == told("metrics.csv")
    ends = [column for column in METRICS if not column.name.endswith(("_low", "_high"))]
    for column in ends:
        values = table[column.name].dropna()
        if RANGES[column.unit] in ("0 to 1", "0 or more"):
            assert values.min() >= 0, column
            assert RANGES[column.unit] != "0 to 1" or values.max() <= 1, column


def test_each_has_a_unit_a_range_and_a_meaning_of_its_own() -> None:
    table = dictionary()
    assert not table.duplicated(["file", "name"]).any()
    texts = table[["unit", "range", "meaning"]]
    assert texts.map(lambda text: isinstance(text, str) and text == text.strip() != "").all(axis=None)
    assert set(table["unit"]) == set(RANGES)
    measures = table[(table["file"] == "metrics.csv") & ~table["name"].str.endswith(("_low", "_high"))]
    assert not measures["meaning"].duplicated().any()


def test_a_file_that_is_not_told_is_named_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"probes.csv: its columns are not told; of losses.csv, steps.csv"):
        dictionary("probes.csv")


def test_the_command_prints_one_file_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["columns", "metrics.csv"]) == 0
    one = capsys.readouterr().out
    assert one.startswith("metrics.csv\n")
    assert all(any(line.startswith(f"{name} ") for line in one.splitlines()) for name in told("metrics.csv"))
    assert main(["columns"]) == 0
    assert one in capsys.readouterr().out
    assert main(["columns", "x.csv"]) == 2
    assert len(as_text(dictionary("run.json")).splitlines()) == 1 + len(record.RUN_KEYS)


@pytest.mark.slow
def test_values_of_a_run_lie_in_their_ranges(tmp_path: Path) -> None:
    from model_cases import tiny_corpus, tiny_phase

    from arcjepa.runs import Run, train

    train(
        tiny_phase("baseline", {"training.epochs": 1}), tiny_corpus(), Run(0, "cpu", tmp_path, tmp_path), lambda _: None
    )
    for file in ("losses.csv", "steps.csv", "epochs.csv"):
        table, told_of = pd.read_csv(tmp_path / file), dictionary(file).set_index("name")
        assert list(table) == list(told_of.index)
        for name, column in table.items():
            low, high = {"0 to 1": (0, 1), "0 or more": (0, np.inf)}[told_of.loc[name, "range"]]
            assert column.dropna().between(low, high).all(), name
