"""The checklist computed: every row can score 1, 1/2 and 0, and the printed ticks give what the claims say."""

import math
import shutil
import sys
from pathlib import Path

import pytest
from evidence_cases import ANALYSIS, context, evidence, params, trained
from model_cases import tiny_trainer

from arcjepa import plan_claims
from arcjepa.alignment import (
    COLUMNS,
    OVERALL,
    PRINCIPLES,
    STAGES,
    alignment,
    alignment_table,
    letter,
    limits_of,
    percent,
    printed_scores,
    scores,
)
from arcjepa.claims import Tables
from arcjepa.core import CORE, PACKAGE, core_files, core_lines
from arcjepa.record import Averages

TABLES = Tables(ANALYSIS)
LEJEPA = {"loss.teacher.enabled": False, "loss.prediction": "lejepa", "loss.sigreg.enabled": False}
PUBLISHED = {"loss.sigreg.form": "published"}
GPU = ["NVIDIA H100"]


def score(principle, run, **given):
    return scores(run, context(run, **given).limits)[principle][0]


def weak(strength):
    """Phase 2 with another lambda_sigreg."""
    run = trained("phase2")
    run.settings["loss"]["lambda_sigreg"] = strength
    return run


# By principle: runs that score 1, 1/2 and 0.
CASES = {
    "Heuristic-free": (
        trained("phase2", {"quantizer.kind": "none"}),
        trained("phase3"),
        trained("phase3", {"loss.teacher.enabled": True}),
    ),
    "Provable optimal": (
        trained("phase2"),
        trained("phase2", {"quantizer.commitment.enabled": True}),
        trained("phase1"),
    ),
    "Single hyperparameter": (trained("phase2"), trained("phase1", LEJEPA), trained("phase1")),
    "No teacher-student": (
        trained("phase2"),
        trained("phase1", {"loss.teacher.decay": 0.0}),
        trained("phase1"),
    ),
    "SIGReg primary": (trained("phase2"), weak(0.01), weak(0.0)),
    "No stop-gradient": (trained("phase3"), trained("phase2"), trained("phase1")),
    "BF16 mixed precision": (
        trained("phase2", devices=GPU * 2),
        trained("phase2", devices=[*GPU, "cpu"]),
        trained("phase2", devices=["cpu", ""]),
    ),
}


def test_the_rows_are_those_of_the_analysis():
    names = [principle.name for principle in PRINCIPLES]
    assert names == TABLES.table("alignment_production")["principle"].tolist()
    assert {*CASES, "Minimal core"} == set(names)


@pytest.mark.parametrize("principle", CASES)
def test_every_row_can_score_one_a_half_and_nothing(principle):
    assert [score(principle, run) for run in CASES[principle]] == [1, 0.5, 0]


def test_the_core_scores_by_its_lines():
    lines = (1000, 1001, 3999, 4000)
    assert [score("Minimal core", trained("phase2"), lines=count) for count in lines] == [1, 0.5, 0.5, 0]
    assert score("Minimal core", trained("phase2"), lines=1200, core_lines=1200) == 1


@pytest.mark.parametrize(
    ("principle", "run", "expected"),
    [
        ("Provable optimal", trained("phase1", PUBLISHED), 0.5),
        ("Provable optimal", trained("phase2", {"loss.gradnorm.enabled": True}), 0.5),
        ("Provable optimal", weak(0.0), 0),
        ("SIGReg primary", trained("phase1", PUBLISHED), 0),
        ("SIGReg primary", trained("phase1", PUBLISHED | {"loss.sigreg.weight": 1.0}), 0.5),
        ("SIGReg primary", trained("phase1", {"loss.sigreg.weight": 1.0}), 0),
        ("SIGReg primary", trained("phase1", {"loss.sigreg.enabled": False}), 0),
        ("No stop-gradient", trained("phase2", {"quantizer.kind": "fsq"}), 0.5),
        ("No stop-gradient", trained("phase2", {"quantizer.kind": "none"}), 1),
        ("No stop-gradient", trained("phase3", {"loss.prediction": "infonce"}), 0.5),
        ("Single hyperparameter", trained("phase2", {"quantizer.commitment.enabled": True}), 0.5),
        ("Heuristic-free", trained("phase2"), 0.5),
    ],
)
def test_what_else_decides(principle, run, expected):
    assert score(principle, run) == expected


@pytest.mark.parametrize(("stage", "expected"), [("production", 31.25), ("phase1", 43.75), ("phase2", 87.5)])
def test_the_printed_ticks_give_the_alignment_of_the_claims(stage, expected):
    assert percent(printed_scores(TABLES, stage)) == plan_claims.alignment_score(TABLES, stage) == expected


def test_the_letters_agree_with_those_of_the_analysis():
    printed = TABLES.table("alignment_overall")
    for name, low, high in zip(printed["letter"], printed["low"], printed["high"], strict=True):
        assert {letter(low, TABLES), letter((low + high) / 2, TABLES), letter(high - 0.01, TABLES)} == {name}
    assert [letter(value, TABLES) for value in (0, 10, 20, 31.25, 43.75, 50, 74.9, 87.5, 95, 100)] == [
        *("F", "D-", "D+", "C-", "C+", "B-", "B-", "A-", "A+", "A+")
    ]


def test_letters_follow_the_table(tmp_path):
    folder = Path(shutil.copytree(ANALYSIS, tmp_path / "analysis"))
    path = folder / "alignment_overall.csv"
    path.write_text(path.read_text().replace("phase2,B+,75,85", "phase2,B+,60,85"))
    assert (letter(68.75, TABLES), letter(68.75, Tables(folder))) == ("B-", "B+")


@pytest.mark.parametrize(
    ("name", "on_cpu", "on_gpu"),
    [("baseline", 6.25, 18.75), ("phase1", 6.25, 18.75), ("phase2", 68.75, 81.25), ("phase3", 75.0, 87.5)],
)
def test_our_phases_score_as_counted_by_hand(name, on_cpu, on_gpu):
    for devices, expected in ((["cpu"], on_cpu), (GPU, on_gpu)):
        run = trained(name, devices=devices)
        assert alignment(run, context(run).limits)[0] == expected


def test_the_table_has_every_phase_with_the_printed_ticks_beside():
    found = evidence(trained("phase2"), trained("baseline"))
    table = alignment_table(found, limits_of(found, 2000))
    assert list(table) == list(COLUMNS)
    assert len(table) == len(params().names) * (len(PRINCIPLES) + 1)
    overall = table[table["principle"] == OVERALL].set_index("phase")
    assert overall["printed"].tolist()[:3] == [0.3125, 0.4375, 0.875]
    assert overall.loc["phase2", ["score", "evidence"]].tolist() == [0.6875, "B-"]
    assert math.isnan(overall.loc["phase1", "score"])
    assert table["score"].dropna().between(0, 1).all()
    assert not table["rule"].str.contains("[{}]").any()
    assert set(STAGES) <= set(params().names)


# --- the training core


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["baseline", "phase1", "phase2", "phase3"])
def test_the_core_is_what_a_training_step_executes(phase):
    trainer, averages, executed = tiny_trainer(phase), Averages(), set()
    trainer.train_step(averages)

    def note(frame, event, _):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.parent == PACKAGE:
            executed.add(path.stem)

    sys.setprofile(note)
    try:
        trainer.train_step(averages)
    finally:
        sys.setprofile(None)
    # The schedule is laid out before the first step, and a GPU executes the kernels.
    assert executed | {"schedule", "kernels", "sigreg_kernels"} == set(CORE)


@pytest.mark.slow
def test_the_lines_are_those_of_the_files(tmp_path):
    for name in CORE:
        (tmp_path / f"{name}.py").write_text(
            '"""Doc."""\n\n# Why.\nx = """a\nb"""  # how\n\n\ndef f():\n    """Doc\n    again."""\n'
        )
    assert core_lines(tmp_path) == 3 * len(CORE)
    assert 1000 < core_lines() < sum(len(path.read_text().splitlines()) for path in core_files())
