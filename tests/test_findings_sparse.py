"""What a record does not hold is no fault, and what is only assumed of a run is no measure of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from record_cases import Healthy, thresholds, tree

from arcjepa.diagnosis import diagnose
from arcjepa.findings.collapse import dimensional_collapse
from arcjepa.findings.completeness import missing_epochs, non_finite
from arcjepa.findings.finding import Finding, Skipped
from arcjepa.findings.gradients import always_clipped
from arcjepa.findings.objective import chance
from arcjepa.findings.record_files import read_record
from arcjepa.findings.records import Record, make_record
from arcjepa.findings.regulariser import lambda_range, saturated_sigreg
from arcjepa.findings.schedules import curriculum, learning_rate, queue

LIMITS = thresholds()


def unnamed(run: Healthy, **changes: object) -> Record:
    """A record without settings of its own."""
    return run.record(name="somewhere", summary={}, tree=tree(), **changes)


# --- rows and cells that were not recorded


@pytest.mark.parametrize("kept", [[1, *range(10, 201, 10)], [1, *range(5, 81, 5)], list(range(0, 120, 10))])
def test_every_tenth_epoch_beside_the_first_is_whole(kept: list[int]) -> None:
    record = make_record("x", pd.DataFrame({"epoch": kept, "train_total": 1.0}), pd.DataFrame())
    assert missing_epochs(record, LIMITS) is None
    fewer = [epoch for epoch in kept if epoch not in kept[4:5]]
    found = missing_epochs(make_record("x", pd.DataFrame({"epoch": fewer, "lr": 1.0}), pd.DataFrame()), LIMITS)
    assert isinstance(found, Finding)
    assert (found.first, found.numbers["missing"]) == (kept[4], 1)


NANS = {
    "a mechanism that the run has not": ("train_relational", range(30), False),
    "a column printed every fifth epoch": ("val_total", [i for i in range(30) if i % 5], False),
    "one that others outlive": ("val_prediction", [*range(0, 27, 3), 28, 29], False),
    "one epoch": ("train_total", [11], True),
    "from an epoch on": ("train_total", range(20, 30), True),
    "the loss throughout": ("train_total", range(30), True),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NANS)
def test_a_nan_is_a_fault_where_it_is_no_empty_cell(case: str, tmp_path: Path) -> None:
    column, rows, fault = NANS[case]
    table = Healthy(1, "phase1", shortest=40).epochs.iloc[:30].reset_index(drop=True)
    table["train_relational"] = 1.0
    table.loc[list(rows), column] = np.nan
    table.to_csv(tmp_path / "epochs.csv", index=False, na_rep="nan")
    assert isinstance(non_finite(read_record(tmp_path), LIMITS), Finding) == fault


def test_a_sparse_column_that_ends_as_all_others_do_is_a_fault(tmp_path: Path) -> None:
    values = [1.0 if i < 20 and i % 3 == 0 else np.nan for i in range(30)]
    table = pd.DataFrame({"epoch": range(1, 31), "val_total": values})
    for others, fault in ((np.nan, True), (1.0, False)):
        table.assign(train_prediction_error=others).to_csv(tmp_path / "epochs.csv", index=False, na_rep="nan")
        assert isinstance(non_finite(read_record(tmp_path), LIMITS), Finding) == fault


def test_an_infinity_is_never_an_empty_cell(tmp_path: Path) -> None:
    lines = ["epoch,val_total", *(f"{i},{'inf' if i % 5 else 1.0}" for i in range(1, 31))]
    (tmp_path / "epochs.csv").write_text("\n".join(lines) + "\n")
    assert isinstance(non_finite(read_record(tmp_path), LIMITS), Finding)


# --- settings that are assumed


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["baseline", "phase1", "phase2", "phase3"])
def test_a_healthy_run_of_other_settings_is_healthy_without_them(phase: str) -> None:
    """A tenth of the learning rate, a queue eight times as long and not full, bands that are due later."""
    for seed in range(4):
        run = Healthy(40 + seed, phase, shortest=30)
        run.epochs["lr"] /= 10
        if run.contrastive:
            run.epochs["queue_fill"] = np.linspace(0.05, 0.4, run.n)
        if "admitted_share" in run.epochs:
            run.epochs["admitted_share"] = 1 / 3
        assert diagnose(unnamed(run), LIMITS) == [], seed


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "phase"), [(learning_rate, "phase2"), (queue, "baseline"), (curriculum, "phase3")])
def test_plans_are_judged_by_the_run_s_own_alone(rule: object, phase: str) -> None:
    run = Healthy(1, phase, shortest=60)
    run.epochs["lr"] *= 0.1
    run.epochs["queue_fill"] = 0.05
    run.epochs["admitted_share"] = 1 / 3
    run.settings["sequence"]["curriculum"]["epochs"] = [10, 20]
    assert callable(rule)
    assert isinstance(rule(run.record(), LIMITS), Finding)
    assert isinstance(rule(run.record(summary={}, tree=tree()), LIMITS), Skipped)


def test_a_lambda_that_is_assumed_is_not_taken_for_the_run_s() -> None:
    run = Healthy(2, "phase2")
    run.weigh("sigreg", 50.0)
    found = lambda_range(unnamed(run), LIMITS)
    assert isinstance(found, Finding)
    assert found.numbers["lambda_sigreg"] == pytest.approx(50)
    assert (found.axis, found.first, found.last) == ("epoch", 1, run.n)
    # Nor is a batch: the weight is one of N.
    speed = ["seconds", "sequences_per_second"]
    assert isinstance(lambda_range(unnamed(run, epochs=run.epochs.drop(columns=speed)), LIMITS), Skipped)


def test_norms_have_to_be_far_above_a_clip_that_is_assumed() -> None:
    run = Healthy(2, "phase2", shortest=20)
    for factor, found in ((4.0, False), (40.0, True)):
        table = run.epochs[["epoch", "train_sigreg"]].assign(
            grad_norm_mean=factor * tree()["phases"]["phase2"]["optimizer"]["clip"]
        )
        assert isinstance(always_clipped(unnamed(run, epochs=table), LIMITS), Finding) == found


@pytest.mark.slow
def test_a_loss_above_the_chance_that_is_assumed_had_more_candidates() -> None:
    run = Healthy(1, "phase1", shortest=20)
    level = chance_of(unnamed(run), run)
    run.epochs["queue_fill"] = 1.0
    for start, found in ((1.0, True), (1.3, False)):
        run.epochs["train_prediction"] = level * np.linspace(start, 0.99, run.n)
        run.epochs["val_prediction"] = 0.5
        assert isinstance(chance(unnamed(run), LIMITS), Finding) == found


def chance_of(record: Record, run: Healthy) -> float:
    return float(np.log(run.batch + (record.number("loss.infonce.queue") or 0)))


# --- validation alone, and what few columns tell


def test_validation_alone_may_be_at_chance_if_it_never_was_below() -> None:
    run = Healthy(1, "phase1", shortest=30)
    run.epochs["val_prediction"] = np.log(run.batch)
    found = chance(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert "of validation alone" in found.summary
    assert found.severity == "warning"
    run.epochs["val_prediction"] = np.log(run.batch) * np.interp(run.t, [0, 0.3, 1], [1, 0.5, 1])
    assert chance(run.record(), LIMITS) is None


def test_a_validation_loss_beyond_its_batch_was_contrasted_with_a_queue_unless_told() -> None:
    run = Healthy(1, "phase1", shortest=30)
    run.settings["loss"]["infonce"]["queue"] = 8192
    run.epochs["val_prediction"] = np.log(run.batch) * np.linspace(1.3, 0.99, run.n)
    assert chance(run.record(), LIMITS) is None
    told = run.record(summary={"settings": run.settings, "validation_batch": run.batch})
    assert isinstance(chance(told, LIMITS), Finding)


def still(run: Healthy, level: float, learned: float, first: int = 0) -> object:
    """What is said of a SIGReg that stands still, from a row on, in a record without ranks."""
    run.epochs["train_sigreg"] = level
    for name in ("train_prediction", "train_prediction_error"):
        run.epochs[name] = np.linspace(1, learned, run.n)
    return saturated_sigreg(run.record(epochs=run.epochs.iloc[first:], steps=run.steps[["step"]]), LIMITS)


def test_without_ranks_what_is_learned_tells_that_sigreg_should_have_moved() -> None:
    assert isinstance(still(Healthy(0, "baseline", 40), 2.0, 0.7), Finding)
    assert still(Healthy(0, "baseline", 40), 2.0, 0.98) is None
    assert still(Healthy(0, "baseline", 40), 2.0, 0.7, first=8) is None
    assert still(Healthy(2, "phase2", 40), 1.1, 0.7) is None  # that of Gaussian embeddings
    assert isinstance(still(Healthy(2, "phase2", 40), 30.0, 0.7), Finding)


def test_a_rank_falls_from_what_it_was_once_it_had_left_its_start() -> None:
    run, rows = Healthy(0, "phase1", shortest=40), np.arange(60)
    run.settings["model"]["embedding"], run.settings["training"]["batch_size"] = 128, 512
    for untrained, early, late, severity in ((90, 28, 25, None), (60, 60, 16, "warning"), (60, 60, 3, "critical")):
        level = np.where(rows < 4, untrained, np.linspace(early, late, 60))
        sides = {f"effective_rank_{side}": level for side in ("context", "target")}
        found = dimensional_collapse(run.record(steps=pd.DataFrame({"step": 100 * (rows + 1), **sides})), LIMITS)
        assert (found.severity if isinstance(found, Finding) else None) == severity


@pytest.mark.slow
def test_every_finding_says_where_it_holds(tmp_path: Path) -> None:
    run = Healthy(2, "phase2")
    run.settings["loss"]["lambda_sigreg"] = 50.0
    (tmp_path / "run.json").write_text(json.dumps({"settings": run.settings}))
    (alone,) = diagnose(read_record(tmp_path, tree()), LIMITS)
    assert (alone.axis, alone.first) == ("", None)
    (by_steps,) = diagnose(run.record(epochs=run.epochs.iloc[:0]), LIMITS)
    assert (by_steps.axis, by_steps.first) == ("step", int(run.steps["step"].iloc[0]))
