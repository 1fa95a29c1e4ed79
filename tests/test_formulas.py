"""Formulas on the analysed run's numbers, on made-up series, and on what params.yaml switches on and off."""

import math

import numpy as np
import pandas as pd
import pytest
from evidence_cases import ANALYSIS, params, trained
from model_cases import tiny_phase

from arcjepa import analysed_run, formulas
from arcjepa.config import resolved
from arcjepa.figures import losses
from arcjepa.record import TERMS

SUCCESS = params().success


def record(**columns):
    """A table of as many epochs as there are values, 100 steps each."""
    rows = max(len(values) for values in columns.values() if isinstance(values, list | np.ndarray))
    return pd.DataFrame({"epoch": range(1, rows + 1), "step": range(100, 100 * rows + 1, 100), **columns})


@pytest.mark.parametrize(
    ("phase", "changes", "terms"),
    [
        ("baseline", {}, ["prediction", "SIGReg", "invariance", "relational", "commitment"]),
        ("baseline", {"loss.relational.weight": 0.0}, ["prediction", "SIGReg", "invariance", "commitment"]),
        ("phase1", {}, ["prediction", "SIGReg", "invariance", "commitment"]),
        ("phase2", {}, ["prediction", "SIGReg"]),
        ("phase2", {"quantizer.commitment.enabled": True}, ["prediction", "SIGReg", "commitment"]),
        ("phase3", {"quantizer.commitment.enabled": True}, ["prediction", "SIGReg"]),
    ],
)
def test_the_terms_of_a_loss_are_those_that_weigh_something(phase, changes, terms):
    assert list(formulas.loss_terms(trained(phase, changes).settings)) == terms


def test_a_lambda_of_zero_is_no_sigreg():
    phase = params().model_copy(update={"lambda_sigreg": 0.0}).phase_settings("phase2")
    assert list(formulas.loss_terms(resolved(phase))) == ["prediction"]


@pytest.mark.parametrize(
    ("phase", "changes", "found"),
    [
        ("baseline", {}, ["temperature clamp", "queue", "codebook refresh", "EMA codebook", "EMA teacher"]),
        ("baseline", {"quantizer.refresh.interval": 100000, "loss.infonce.queue": 0},
         ["temperature clamp", "EMA codebook", "EMA teacher"]),
        ("phase1", {"loss.teacher.enabled": False}, ["temperature clamp", "queue", "EMA codebook"]),
        ("phase2", {"loss.gradnorm.enabled": True}, ["EMA codebook", "GradNorm"]),
        ("phase2", {"loss.gradnorm.enabled": True, "loss.gradnorm.rule": "uncertainty"},
         ["EMA codebook", "uncertainty weighting"]),
        ("phase3", {}, ["curriculum", "annealing of codes"]),
        ("phase2", {"quantizer.kind": "none"}, []),
    ],
)  # fmt: skip
def test_heuristics_are_counted_where_they_act(phase, changes, found):
    assert formulas.heuristics(trained(phase, changes).settings) == found


def test_the_analysed_run_degrades_by_the_printed_share_and_its_relational_loss_explodes():
    epochs = analysed_run.epochs(ANALYSIS)
    assert formulas.rise(epochs, "val_total") == pytest.approx(0.032, abs=1e-4)
    assert formulas.rise(epochs, "val_total") > SUCCESS.stable - 1
    assert formulas.relational_growth(epochs, SUCCESS) == pytest.approx(1.101 / 0.182)
    drift = formulas.term_growths(epochs, SUCCESS)
    assert list(drift.index) == ["relational"]
    assert drift.min(axis=1)["relational"] > SUCCESS.balance


def test_the_growth_of_the_relational_loss_is_that_before_its_weight():
    raw = record(train_relational=[9.0, 2.0, 2.0, 5.0], train_relational_weighted=0.0)
    weighted = record(train_relational_weighted=[0.9, 0.2, 0.2, 0.5])
    assert formulas.relational_growth(raw, SUCCESS) == formulas.relational_growth(weighted, SUCCESS) == 2.5
    assert math.isnan(formulas.relational_growth(record(train_total=[1.0]), SUCCESS))


def test_the_analysed_codebook_falls_by_the_printed_points():
    steps = analysed_run.steps(ANALYSIS)
    assert formulas.usage_fall(steps, SUCCESS) == pytest.approx(0.302 - 0.13)


def test_terms_of_the_record_are_those_that_may_grow():
    names = {f"train_{term}_weighted": [0.4, 0.4, 0.8] for term in TERMS}
    grown = formulas.term_growths(record(train_total=1.0, **names), SUCCESS)
    assert set(grown.index) == set(TERMS) - {"prediction"}
    assert (grown == 2).all(axis=None)


def test_a_share_that_grows_because_others_fall_is_no_growth_of_its_value():
    epochs = record(train_total=[4.0, 4.0, 1.0], train_invariance_weighted=0.2)
    grown = formulas.term_growths(epochs, SUCCESS)
    assert (grown["value"].item(), grown["share"].item()) == (1, 4)


def test_small_terms_do_not_count():
    epochs = record(train_total=1.0, train_invariance_weighted=[0.001, 0.001, 0.04])
    assert not len(formulas.term_growths(epochs, SUCCESS))


def test_warm_up_is_left_out_of_sparse_records_too_and_a_row_always_stays():
    table = record(x=list(range(20)))
    assert formulas.after_warm_up(table, "epoch", SUCCESS)["x"].tolist() == list(range(2, 20))
    assert formulas.after_warm_up(table, "step", SUCCESS)["x"].tolist() == list(range(2, 20))
    sparse = pd.DataFrame({"epoch": [1, 10, 80]})
    assert formulas.after_warm_up(sparse, "epoch", SUCCESS)["epoch"].tolist() == [10, 80]
    assert len(formulas.after_warm_up(table.head(1), "epoch", SUCCESS)) == 1
    assert len(formulas.after_warm_up(table, "epoch", SUCCESS.model_copy(update={"warm_up": 1.0}))) == 1


def test_growth_is_over_the_smallest_value_before():
    assert formulas.growth(pd.Series([8.0, 2.0, 3.0, 1.0])) == 1.5
    assert formulas.growth(pd.Series([3.0, 2.0, 1.0])) == 1
    assert math.isnan(formulas.growth(pd.Series([np.nan])))


def test_a_run_that_ends_in_nothing_is_not_stable():
    assert formulas.rise(pd.DataFrame({"v": [1.0, np.nan]}), "v") == math.inf
    assert formulas.rise(pd.DataFrame({"v": [2.0, 1.0, 1.5]}), "v") == 0.5
    assert math.isnan(formulas.rise(pd.DataFrame({"v": [np.nan]}), "v"))


def test_codes_that_are_taken_up_are_stable_and_codes_that_are_left_are_not():
    rising, falling = (record(code_usage=np.linspace(*ends, 40)) for ends in ((0.2, 0.9), (0.9, 0.2)))
    assert formulas.usage_fall(rising, SUCCESS) == 0
    assert formulas.usage_fall(falling, SUCCESS) == pytest.approx(0.7 * 35 / 39)
    assert formulas.usage_range(rising, SUCCESS)[1] == pytest.approx(0.9)
    assert formulas.settled_usage(rising, SUCCESS) == pytest.approx(np.linspace(0.2, 0.9, 40)[32:].mean())
    none = record(code_usage=[np.nan])
    assert all(map(math.isnan, (*formulas.usage_range(none, SUCCESS), formulas.settled_usage(none, SUCCESS))))
    assert math.isnan(formulas.usage_fall(none, SUCCESS))


def test_every_term_of_the_record_is_known_to_verdicts_and_figures() -> None:
    """Else a new term would be in the total, and in no verdict and no figure."""
    weighed = formulas.loss_terms(resolved(tiny_phase("baseline", {"loss.hard_negatives.enabled": True})))
    assert {name.lower().replace(" ", "_") for name in weighed} == set(TERMS)
    assert ("prediction", *formulas.BALANCED) == TERMS
    assert set(losses.TERMS) - {"total"} == set(TERMS)
