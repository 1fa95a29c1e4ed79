"""Every gate is fired by some runs and not by others, says what it cannot judge, and offers a line that works."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from dvc.utils.hydra import apply_overrides
from evidence_cases import ANALYSIS, CANDIDATES, PARAMS, evidence, params, trained

from arcjepa.config import from_mapping, load, resolved
from arcjepa.evidence import Evidence, Trained
from arcjepa.gates import COLUMNS, GATES, gates_table
from arcjepa.params import leaf, read_params

START = "dvc exp run -S "
CRITICAL = [("complete collapse", "critical")]
MANY = {"training.batch_size": CANDIDATES}
OFF = {"loss.relational.enabled": False}
NORMALISED = {"loss.relational.enabled": True, "loss.relational.form": "normalised"}
SHORT = {"training.epochs": 30, "sequence.curriculum.epochs": [8, 19]}
TINY = {"training.epochs": 8, "sequence.curriculum.epochs": [2, 4]}
VQ = {"quantizer.kind": "vq", "quantizer.codes": 256}
Runs = tuple[Trained, ...]
Key = tuple[str, str]

BASELINE, PHASE1, PHASE2, PHASE3 = (trained(name) for name in ("baseline", "phase1", "phase2", "phase3"))
# By phase and condition: runs that fire it, runs that do not, runs by which it cannot be judged.
CASES: dict[Key, tuple[Runs, Runs, Runs]] = {
    ("phase1", "val loss above the roadmap's limit"): (
        (trained("phase1", MANY, val_total=7.4),),
        (trained("phase1", MANY, val_total=7.2),),
        (PHASE1,),
    ),
    ("phase1", "codebook unstable"): (
        (trained("phase1", usage=[*[0.3] * 10, 0.2]),),
        (trained("phase1", usage=np.linspace(0.1, 0.9, 40)),),
        (trained("phase1", {"quantizer.kind": "none"}, usage=[np.nan]),),
    ),
    ("phase1", "performance degrades without relational"): (
        (BASELINE, trained("phase1", findings=[("worse", "")])),
        (BASELINE, PHASE1),
        (PHASE1,),
    ),
    ("phase1", "early stopping too aggressive"): (
        (trained("baseline", val_prediction=[*[7.0] * 60, 6.8]), trained("phase1", length=40)),
        (BASELINE, trained("phase1", length=40)),
        (BASELINE, trained("phase1", TINY, length=8)),
    ),
    ("phase2", "diagnostics pass"): (
        (trained("phase2", SHORT, length=30),),
        (trained("phase2", SHORT, length=30, findings=CRITICAL),),
        (trained("phase2", TINY, length=8),),
    ),
    ("phase2", "SIGReg-primary underperforms"): (
        (PHASE1, trained("phase2", findings=[("worse", "")])),
        (PHASE1, PHASE2),
        (PHASE1, trained("phase2", of="phase1")),
    ),
    ("phase2", "unstable without target encoder"): (
        (trained("phase2", val_prediction_error=[*[0.2] * 79, 0.21]),),
        (PHASE2,),
        (trained("phase2", {"loss.teacher.enabled": True}),),
    ),
    ("phase2", "hyperparameter reduction breaks training"): (
        (PHASE1, trained("phase2", findings=CRITICAL)),
        (PHASE1, PHASE2),
        (PHASE1, trained("phase2", of="baseline")),
    ),
    ("phase3", "Gumbel-softmax codes fail"): (
        (trained("phase3", findings=[("codebook collapse", "warning")]),),
        (PHASE3,),
        (trained("phase3", VQ),),
    ),
    ("phase3", "FSQ fails too"): (
        (PHASE2, trained("worse", {"quantizer.kind": "fsq"}, of="phase2")),
        (PHASE2, trained("quantizer_fsq", {"quantizer.kind": "fsq"}, of="phase2")),
        (PHASE2, PHASE3),
    ),
    ("phase3", "longer context does not help"): (
        (PHASE2, PHASE3, trained("window_5", {"sequence.window": 5}, of="phase2")),
        (PHASE2, PHASE3, trained("better", {"sequence.window": 5}, of="phase2")),
        (PHASE2, PHASE3),
    ),
    ("phase3", "combined changes interact poorly"): (
        (PHASE2, trained("phase3", findings=[("worse", "")])),
        (PHASE2, PHASE3),
        (PHASE3,),
    ),
    ("phase3", "InfoNCE and SIGReg kept together"): (
        (trained("phase3", {"loss.prediction": "infonce", "loss.sigreg.enabled": True}),),
        (PHASE3,),
        (),
    ),
    ("phase3", "diagnostics pass"): (
        (PHASE3,),
        (trained("phase3", findings=CRITICAL),),
        (trained("phase3", TINY, length=8),),
    ),
}
EXPECTED: dict[Key, tuple[str, dict[str, object]]] = {
    ("phase1", "val loss above the roadmap's limit"): ("phase1", NORMALISED),
    ("phase1", "codebook unstable"): ("phase1", {"quantizer.codes": 384}),
    ("phase1", "performance degrades without relational"): ("phase1", NORMALISED),
    ("phase1", "early stopping too aggressive"): ("phase1", {"stopping.patience": 30}),
    ("phase2", "diagnostics pass"): ("phase2", {"training.epochs": 80, "training.sequences": 50000}),
    ("phase2", "SIGReg-primary underperforms"): (
        "phase1",
        {"loss.prediction": "infonce", "loss.sigreg.weight": 1.0, "loss.sigreg.form": "published"},
    ),
    ("phase2", "unstable without target encoder"): ("phase2", {"loss.teacher.enabled": True}),
    ("phase2", "hyperparameter reduction breaks training"): ("phase1", {"loss.teacher.enabled": False}),
    ("phase3", "Gumbel-softmax codes fail"): ("phase3", {"quantizer.kind": "fsq"}),
    ("phase3", "FSQ fails too"): ("phase3", {"quantizer.kind": "vq", "quantizer.codes": 768}),
    ("phase3", "longer context does not help"): ("phase3", {"sequence.window": 3}),
    ("phase3", "combined changes interact poorly"): (
        "phase3",
        {"sequence.window": 5, "model.frame_attention": False, "quantizer.kind": "vq"},
    ),
    ("phase3", "InfoNCE and SIGReg kept together"): ("phase3", {"loss.gradnorm.enabled": True}),
    ("phase3", "diagnostics pass"): ("phase3", {"training.epochs": 100, "training.sequences": 50000}),
}
"""The phase that a line changes, and some of its leaves then."""


def found(runs: Runs, **given: object) -> Evidence:
    """Evidence in which a run that is called worse, or has that for a finding, is half a nat worse."""
    worse = [run.name for run in runs if run.name == "worse" or run.found("worse")]
    return evidence(*runs, levels=dict.fromkeys(worse, 3.5) | {"better": 2.5}, **given)


def row(key: Key, seen: Evidence) -> dict[str, str]:
    table = gates_table(seen)
    (chosen,) = table[(table["phase"] == key[0]) & (table["condition"] == key[1])].to_dict("records")
    return chosen


def test_every_gate_has_cases_and_a_line() -> None:
    keys = {(gate.phase, gate.condition) for gate in GATES}
    assert keys == set(CASES) == set(EXPECTED)
    assert len(keys) == len(GATES)
    assert list(gates_table(evidence())) == list(COLUMNS)


@pytest.mark.slow
@pytest.mark.parametrize("key", CASES, ids=": ".join)
def test_every_gate_is_fired_or_not_or_says_why_it_cannot_be_judged(key: Key) -> None:
    rows = [row(key, found(runs)) for runs in CASES[key]]
    assert [one["outcome"] for one in rows] == ["fired", "not fired", "cannot be judged"]
    assert all(one["numbers"] for one in rows[:2])
    assert rows[2]["why"]


@cache
def lines() -> dict[Key, str]:
    """The line of every gate for runs of the committed scale, those of production for diagnostics that were run."""
    diagnostics = tuple(trained(name, SHORT, length=30) for name in ("baseline", "phase1", "phase2", "phase3"))
    table = gates_table(found(diagnostics, scale="laptop"))
    return {(one["phase"], one["condition"]): one["next"] for one in table.to_dict("records")}


@pytest.mark.slow
@pytest.mark.parametrize("key", EXPECTED, ids=": ".join)
def test_every_line_is_accepted_and_does_what_the_gate_says(key: Key, tmp_path: Path) -> None:
    line, path = lines()[key], Path(shutil.copy(PARAMS, tmp_path / "params.yaml"))
    assert line.startswith(START)
    apply_overrides(path, line.removeprefix(START).split(" -S "))
    phase, expected = EXPECTED[key]
    after, before = load(path), from_mapping(read_params(PARAMS))
    assert after.phase == phase
    settings = resolved(after.phase_settings(phase))
    assert {name: leaf(settings, name) for name in expected} == expected
    assert settings != resolved(before.phase_settings(phase))
    if after.scale == before.scale:
        assert after.phase_settings("baseline") == before.phase_settings("baseline")


def test_short_runs_are_sent_to_a_diagnostic_first() -> None:
    runs = (trained("phase2", TINY, length=8), trained("phase3", TINY, length=8))
    for phase in ("phase2", "phase3"):
        judged = row((phase, "diagnostics pass"), found(runs))
        assert judged["next"] == f"dvc exp run -S scale=diagnostic -S phase={phase}"
        assert judged["why"] == "a diagnostic has 30 epochs, these runs 8"


@pytest.mark.slow
def test_diagnostics_that_are_not_stable_do_not_pass_and_production_runs_are_done() -> None:
    rising = trained("phase2", SHORT, length=30, val_prediction_error=[*[0.2] * 29, 0.21])
    assert row(("phase2", "diagnostics pass"), found((rising,)))["outcome"] == "not fired"
    done = row(("phase2", "diagnostics pass"), found((PHASE2,)))
    assert (done["outcome"], done["why"]) == ("not fired", "these runs have 80 epochs already")


def test_nothing_that_was_not_run_is_judged() -> None:
    table = gates_table(evidence())
    assert set(table["outcome"]) == {"cannot be judged"}
    assert table["why"].str.contains("not run").all()


@pytest.mark.slow
def test_the_mechanism_alone_is_asked_where_runs_tell_it() -> None:
    key = ("phase1", "performance degrades without relational")
    joint = row(key, found((BASELINE, PHASE1)))
    assert "changed too: quantizer.refresh, stopping.patience" in joint["why"]
    alone = row(key, found((BASELINE, PHASE1, trained("worse", OFF, of="baseline"))))
    assert (alone["outcome"], alone["why"]) == ("fired", "")
    assert alone["numbers"] == "worse on baseline: val_nce +0.50 [+0.50, +0.50]"


def test_removing_a_normalised_relational_loss_is_not_what_is_asked() -> None:
    key = ("phase1", "performance degrades without relational")
    runs = (BASELINE, PHASE1, trained("better", NORMALISED, of="phase1"))
    judged = row(key, found(runs))
    assert (judged["outcome"], judged["numbers"]) == ("not fired", "phase1 on baseline: val_nce +0.00 [+0.00, +0.00]")


def test_gumbel_codes_alone_can_fail() -> None:
    pair = (trained("codes", VQ, of="phase3"), trained("phase3", findings=[("worse", "")]))
    judged = row(("phase3", "Gumbel-softmax codes fail"), found(pair))
    assert (judged["outcome"], judged["why"]) == ("fired", "")


def test_losses_that_gradnorm_balances_need_no_gradnorm() -> None:
    kept = {"loss.prediction": "infonce", "loss.sigreg.enabled": True, "loss.gradnorm.enabled": True}
    judged = row(("phase3", "InfoNCE and SIGReg kept together"), found((trained("phase3", kept),)))
    assert (judged["outcome"], judged["numbers"]) == ("not fired", "infonce: prediction, SIGReg, under GradNorm")


@pytest.mark.slow
def test_findings_of_the_codebook_fire_its_gate() -> None:
    key = ("phase1", "codebook unstable")
    run = trained("phase1", findings=[("codebook discontinuity", "warning")])
    assert row(key, found((run,)))["outcome"] == "fired"
    steep = CASES[key][0]
    assert row(key, found(steep, usage_fall=0.11))["outcome"] == "not fired"


@pytest.mark.parametrize(
    ("name", "findings", "columns"),
    [("phase2", [("gradient spikes", "warning")], {}), ("phase2", [("dimensional collapse", "critical")], {})],
)
def test_a_collapse_or_spikes_are_instability(name: str, findings: list, columns: dict) -> None:
    run = trained(name, findings=findings, **columns)
    assert row((name, "unstable without target encoder"), found((run,)))["outcome"] == "fired"


@pytest.mark.slow
def test_stopping_is_not_judged_where_it_cannot_act_or_nothing_trained_longer() -> None:
    key = ("phase1", "early stopping too aggressive")
    off = row(key, found((BASELINE, trained("phase1", {"stopping.enabled": False}))))
    assert (off["outcome"], off["why"]) == ("cannot be judged", "early stopping is off")
    whole = row(key, found((BASELINE, PHASE1)))
    assert (whole["outcome"], whole["numbers"]) == ("not fired", "all 80 epochs run, patience 15")
    little = trained("baseline", val_prediction=[*[7.0] * 60, 6.95])
    assert row(key, found((little, trained("phase1", length=40))))["outcome"] == "not fired"
    rising = trained("baseline", val_prediction=[*[7.0] * 40, 7.7])
    judged = row(key, found((rising, trained("phase1", length=40))))
    assert judged["numbers"] == "stopped after epoch 40; baseline worsens by 10.0 % after it; allowed: 1 %"
    short = row(key, found((trained("baseline", length=40), trained("phase1", length=40))))
    assert short["why"] == "nothing comparable trained for longer"
    late = trained("stopping_late", {"stopping.patience": 30}, of="phase1", val_prediction=[*[7.0] * 60, 6.8])
    assert (
        "stopping_late improves by 2.9 %" in row(key, found((BASELINE, trained("phase1", length=40), late)))["numbers"]
    )


@pytest.mark.slow
def test_values_come_from_the_roadmap(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ANALYSIS, tmp_path / "analysis"))
    path = folder / "roadmap.csv"
    path.write_text(path.read_text().replace("codes,=,384", "codes,=,320").replace("val loss,>,8.1", "val loss,>,8.5"))
    changed = found(CASES["phase1", "val loss above the roadmap's limit"][0], analysis=folder)
    assert row(("phase1", "val loss above the roadmap's limit"), changed)["outcome"] == "not fired"
    assert "codes=320" in row(("phase1", "codebook unstable"), changed)["next"]


def test_a_phase_that_params_do_not_have_gets_no_line() -> None:
    seen = found((PHASE2,))
    fewer = params().model_copy(update={"phases": {name: params().phases[name] for name in ("baseline", "phase1")}})
    bare = Evidence(fewer, seen.tree, seen.tables, {}, {}, seen.metrics)
    table = gates_table(bare).set_index("phase")
    assert set(table.loc["phase3", "next"]) == {""}
    assert table.loc["phase1", "next"].str.startswith(START).all()


def test_an_interval_that_holds_zero_shows_no_help() -> None:
    seen = found(CASES["phase3", "longer context does not help"][1])
    table = seen.runs["better"].scores["seed0"]
    table["total"] += np.where(np.arange(len(table)) % 2, 3.0, -3.0)
    judged = row(("phase3", "longer context does not help"), seen)
    assert judged["outcome"] == "fired"
    assert "val_nce -0.5" in judged["numbers"]
