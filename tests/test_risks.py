"""Every risk of the analysis can occur and not occur in our runs, with what its mitigation did where runs tell."""

import shutil
from pathlib import Path

import pytest
from evidence_cases import ANALYSIS, evidence, params, trained
from test_gates import BASELINE, CASES, PHASE1, PHASE2, PHASE3, Key, Runs, found

from arcjepa.claims import Tables
from arcjepa.errors import UserError
from arcjepa.risks import COLUMNS, RISKS, risks_table

# By risk: the gate with the same condition, whose cases these are too.
GATES: dict[str, Key] = {
    "Removing relational degrades performance": ("phase1", "performance degrades without relational"),
    "Early stopping too aggressive": ("phase1", "early stopping too aggressive"),
    "SIGReg-primary underperforms": ("phase2", "SIGReg-primary underperforms"),
    "Removing target encoder causes instability": ("phase2", "unstable without target encoder"),
    "Hyperparameter reduction breaks training": ("phase2", "hyperparameter reduction breaks training"),
    "Gumbel-Softmax VQ fails": ("phase3", "Gumbel-softmax codes fail"),
    "Longer context window doesn't help": ("phase3", "longer context does not help"),
    "Combined changes interact poorly": ("phase3", "combined changes interact poorly"),
}
COLLAPSE: tuple[Runs, Runs, Runs] = (
    (trained("phase1", usage=[0.3, 0.04]),),
    (PHASE1,),
    (trained("phase1", {"quantizer.refresh.enabled": True}),),
)
NORMALISED = {"loss.relational.enabled": True, "loss.relational.form": "normalised"}
OFF = {"loss.relational.weight": 0.0}
FALLBACK = {"loss.sigreg.weight": 1.0, "loss.sigreg.form": "published"}
# By risk: runs that show its mitigation, and what is then said.
MITIGATED: dict[str, tuple[Runs, str]] = {
    "Removing relational degrades performance": (
        (trained("off", OFF, of="baseline"), trained("better", {"loss.relational.form": "normalised"}, of="baseline")),
        "better on off: val_nce -0.50",
    ),
    "VQ collapse without refresh": (
        (PHASE1, trained("better", {"quantizer.codes": 384}, of="phase1", usage=[0.36])),
        "better on phase1: val_nce -0.50 [-0.50, -0.50], 18 to 36 % of the codes in use",
    ),
    "Early stopping too aggressive": (
        (PHASE1, trained("better", {"stopping.patience": 30, "stopping.min_delta": 0.003}, of="phase1")),
        "better on phase1: val_nce -0.50",
    ),
    "SIGReg-primary underperforms": (
        (PHASE1, PHASE2, trained("better", FALLBACK, of="phase1")),
        "phase1 on phase2: val_nce +0.00 [+0.00, +0.00], 18 to 18 % of the codes in use; better on phase2",
    ),
    "Removing target encoder causes instability": (
        (PHASE2, trained("better", {"loss.teacher.enabled": True}, of="phase2")),
        "better on phase2: val_nce -0.50",
    ),
    "Hyperparameter reduction breaks training": (
        (PHASE1, PHASE2, trained("better", {"loss.teacher.enabled": False}, of="phase1")),
        "better on phase1: val_nce -0.50",
    ),
    "Gumbel-Softmax VQ fails": (
        (PHASE3, trained("better", {"quantizer.kind": "fsq"}, of="phase3")),
        "better on phase3: val_nce -0.50",
    ),
    "Longer context window doesn't help": (
        (PHASE3, trained("better", {"sequence.window": 3}, of="phase3")),
        "better on phase3: val_nce -0.50",
    ),
    "Combined changes interact poorly": (
        (PHASE2, PHASE3, trained("better", {"sequence.window": 5}, of="phase2")),
        "better on phase2: val_nce -0.50",
    ),
}


def row(risk: str, runs: Runs) -> dict[str, str]:
    table = risks_table(found(runs))
    (chosen,) = table[table["risk"] == risk].to_dict("records")
    return chosen


def test_the_rows_are_the_nine_of_the_analysis_with_what_it_expected() -> None:
    table = risks_table(evidence())
    assert list(table) == list(COLUMNS)
    printed = Tables(ANALYSIS).table("risks")
    assert len(table) == len(RISKS) == 9
    assert table["risk"].tolist() == printed["risk"].tolist()
    for column in ("phase", "probability", "impact", "mitigation"):
        assert table[column].tolist() == printed[column].tolist()
    assert set(table["occurred"]) == {"cannot be judged"}
    assert {*GATES, "VQ collapse without refresh"} == set(RISKS) == set(MITIGATED)


@pytest.mark.slow
@pytest.mark.parametrize("risk", RISKS)
def test_every_risk_can_occur_or_not_or_says_why_it_cannot_be_judged(risk: str) -> None:
    cases = CASES[GATES[risk]] if risk in GATES else COLLAPSE
    rows = [row(risk, runs) for runs in cases]
    assert [one["occurred"] for one in rows] == ["yes", "no", "cannot be judged"]
    assert all(one["evidence"] for one in rows[:2])
    assert rows[2]["why"]


@pytest.mark.slow
@pytest.mark.parametrize("risk", MITIGATED)
def test_what_the_mitigation_did_is_told_where_runs_tell(risk: str) -> None:
    runs, told = MITIGATED[risk]
    assert told in row(risk, runs)["mitigated"]
    line = row(risk, (BASELINE,))["mitigated"]
    assert line.startswith("not tried: dvc exp run -S ")


@pytest.mark.slow
def test_every_mitigation_is_told_by_the_set_of_them() -> None:
    runs = tuple(trained(name) for name in params().sets["mitigations"])
    table = risks_table(found(runs)).set_index("risk")
    assert not table["mitigated"].str.startswith("not tried").any(), table["mitigated"].to_dict()
    told = table.loc["Removing relational degrades performance"]
    assert told["evidence"].startswith("relational_off on baseline")
    assert told["mitigated"].startswith("phase1_normalised on phase1")


def test_a_collapsed_codebook_is_shown_beside_that_with_refresh() -> None:
    still = trained("refresh_off", {"quantizer.refresh.enabled": False}, of="baseline", usage=[0.1])
    numbers = row("VQ collapse without refresh", (BASELINE, PHASE1, still))["evidence"]
    assert "refresh on against off alone: 18 % against 10 %" in numbers
    finding = trained("phase1", findings=[("codebook collapse", "warning")])
    assert row("VQ collapse without refresh", (finding,))["occurred"] == "yes"


def on_the_way(count: int) -> Runs:
    changes = [{"loss.teacher.enabled": False}, {"loss.invariance.enabled": False}, {"optimizer.clip": 1.0}]
    changes += [{"stopping.enabled": False}]
    return tuple(trained(f"step{n}", change, of="phase1") for n, change in enumerate(changes[:count]))


def test_many_steps_are_cut_short_and_detours_are_no_steps() -> None:
    risk = "Hyperparameter reduction breaks training"
    steps = {"loss.teacher.enabled": False, "loss.invariance.enabled": False, "optimizer.clip": 1.0}
    detour = trained("detour", steps | {"optimizer.lr": 0.001}, of="phase1")
    told = row(risk, (PHASE1, PHASE2, detour, *on_the_way(4)))["mitigated"]
    assert told.endswith("; and 1 more")
    assert "detour" not in told
    assert "more" not in row(risk, (PHASE1, PHASE2, *on_the_way(3)))["mitigated"]


def test_runs_that_were_not_measured_are_not_compared() -> None:
    seen = found((PHASE1, PHASE2))
    seen.runs["phase2"].scores.clear()
    table = risks_table(seen).set_index("risk")
    judged = table.loc["SIGReg-primary underperforms"]
    assert (judged["occurred"], judged["why"]) == ("cannot be judged", "phase2 on phase1: val_nce was not measured")


def test_a_new_risk_without_condition_is_an_error(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ANALYSIS, tmp_path / "analysis"))
    path = folder / "risks.csv"
    path.write_text(path.read_text() + "phase3,Medium-High,The moon falls,1,High,Hold it\n")
    with pytest.raises(UserError, match=r"risks\.csv: risk: 'The moon falls' has no condition; allowed: Removing"):
        risks_table(evidence(analysis=folder))
