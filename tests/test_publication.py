"""The encoder that is published is the median one by what is never reported."""

import json
from math import log
from pathlib import Path

import pandas as pd
import pytest

from arcjepa.errors import UserError
from arcjepa.publication import MEASURES, median_run, model_card


def run(folder: Path, nats: float, reported: float = 0.0) -> Path:
    """An evaluated run of two tasks with unequal weights."""
    folder.mkdir(parents=True)
    rows = [("selection_nce", nats, 1), ("selection_nce", 3 * nats, 3), ("val_nce", reported, 1)]
    pd.DataFrame(rows, columns=["measure", "total", "weight"]).to_csv(folder / "scores.csv", index=False)
    settings = {"model": {"embedding": 8, "width": 4, "layers": 2}, "quantizer": {"kind": "fsq"}}
    record = {"settings": settings, "seed": 4, "epochs": 9, "steps": 90, "best_epoch": 7, "device": "cpu", "torch": "2"}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize(
    ("values", "chosen"), [([3.0, 1.0, 2.0], 2), ([1.0], 0), ([4.0, 1.0, 2.0, 3.0], 2), ([2.0, 2.0, 2.0], 1)]
)
def test_the_median_of_validation_is_chosen_whatever_is_reported(
    tmp_path: Path, values: list[float], chosen: int
) -> None:
    folders = [run(tmp_path / f"seed{i}", value, reported=-value) for i, value in enumerate(values)]
    assert median_run(folders) == folders[chosen]


def test_a_run_without_the_measure_is_named(tmp_path: Path) -> None:
    folder = run(tmp_path / "seed0", 1.0)
    (folder / "scores.csv").write_text("measure,total,weight\nval_nce,1,1\n")
    with pytest.raises(UserError, match=r"seed0/scores\.csv: has no selection_nce"):
        median_run([folder])


def test_a_card_says_what_was_trained_and_measured(tmp_path: Path) -> None:
    row = pd.Series({"seeds": 3} | {name + end: 0.25 for name in MEASURES for end in ("", "_low", "_high")})
    row["ranking_c"], row["nce_chance"] = float("nan"), log(128)
    own = row.replace(0.25, 0.375)
    card = model_card("phase2", "tiny", run(tmp_path / "seed4", 1.0), own, row)
    for text in (
        "phase2",
        "seed 4",
        "9 epochs",
        "epoch 7",
        "quantiser fsq",
        "encoders/tiny/phase2.safetensors",
    ):
        assert text in card
    assert "| 0.375 | 0.250 [0.250, 0.250] |" in card
    assert "| read-out, nats among 128 targets (chance 4.85) |" in card
    assert "| ranking C" not in card
    assert "without an additive path" in card


def test_a_card_says_whether_there_is_an_additive_path(tmp_path: Path) -> None:
    row = pd.Series(
        {"seeds": 3, "nce_chance": 1.0} | {name + end: 0.25 for name in MEASURES for end in ("", "_low", "_high")}
    )
    folder = run(tmp_path / "seed4", 1.0)
    record = json.loads((folder / "run.json").read_text())
    record["settings"]["model"]["additive"] = True
    (folder / "run.json").write_text(json.dumps(record))
    assert "with the additive path" in model_card("phase2", "tiny", folder, row, row)
    assert "sketch" not in model_card("phase2", "tiny", folder, row, row)
    record["settings"]["model"]["sketch"] = 16
    (folder / "run.json").write_text(json.dumps(record))
    assert "with the additive path and a sketch of 16 sums" in model_card("phase2", "tiny", folder, row, row)
