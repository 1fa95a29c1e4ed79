"""The end of `make run`: what it shows, and what it shows of older tables."""

import runpy
from pathlib import Path

import pandas as pd

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "workflow" / "print_summary.py"))
VALUE = {"val_nce": 2.7571, "val_nce_low": 2.567, "val_nce_high": 2.972}


def metrics(**columns: list[object]) -> pd.DataFrame:
    table = pd.DataFrame({name: [value, value] for name, value in VALUE.items()} | columns)
    return table.set_axis(pd.Index(["phase1", "tokens"], name="name"))


def test_every_measure_has_its_interval_and_phases_are_told_from_no_training() -> None:
    names = [*SCRIPT["NATS"], *SCRIPT["SHARES"]]
    columns = {f"{name}{end}": [i + 0.5, i + 0.5] for i, name in enumerate(names) for end in ("", "_low", "_high")}
    text = SCRIPT["summary"](metrics(**columns, apart_from_untrained=["yes", None]))
    assert all(text.count(f"{i}.50 [{i}.50, {i}.50]") == 2 for i in range(len(names)))
    assert {"query_only_nce", "val_nce_validation"} < set(names)
    lines = text.splitlines()
    assert lines[1].endswith("apart from untrained")
    assert lines[2].startswith("phase1")
    assert lines[2].endswith("yes")
    assert lines[3].endswith("-")
    assert lines[4].startswith("chance")


def test_chance_is_the_last_row_where_it_is_known() -> None:
    chance = {"nce_chance": [9.011, 9.011], "ranking_b_chance": [0.193, None]}
    nats, shares = SCRIPT["summary"](metrics(**chance)).split("\n\n")
    assert nats.splitlines()[-1].split() == ["chance", "9.01", "9.01", "9.01", "9.01", "-"]
    assert shares.splitlines()[-1].split() == ["chance", "-", "0.19", "-", "-", "-"]


def test_a_table_without_a_column_shows_a_dash() -> None:
    text = SCRIPT["summary"](metrics())
    assert "2.76 [2.57, 2.97]" in text
    assert text.splitlines()[2].endswith("-")


def test_phases_are_set_against_those_before_them() -> None:
    rows = [
        ("phase2", "phase1", "val_nce", -0.061, -0.14, 0.02),
        ("phase2", "phase1", "ranking_b", float("nan"), float("nan"), float("nan")),
        ("phase2", "phase1", "ranking_a", 0.7, 0.7, 0.7),
        ("phase2", "copy", "val_nce", -3.0, -3.0, -3.0),
    ]
    table = pd.DataFrame(rows, columns=["name", "other", "measure", "value", "low", "high"])
    lines = SCRIPT["paired"](table, ["copy"]).splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("phase2 on phase1  -0.06 [-0.14, 0.02]")
    assert "-" in lines[3].split()
    assert "0.70" not in lines[3]
    assert SCRIPT["paired"](table, ["copy", "phase1"]) == ""
