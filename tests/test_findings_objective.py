"""SIGReg, lambda, chance, temperature, collapse, and what validation says beside training."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from planted_faults import planted
from record_cases import Healthy, thresholds

from arcjepa.findings.collapse import complete_collapse, dimensional_collapse
from arcjepa.findings.completeness import missing_epochs
from arcjepa.findings.finding import Finding, Skipped
from arcjepa.findings.generalisation import broken_relation, error_pairs, memorisation
from arcjepa.findings.objective import chance, chance_levels
from arcjepa.findings.plateau import plateau
from arcjepa.findings.records import make_record
from arcjepa.findings.regulariser import epps_pulley, lambda_range, saturated_sigreg

LIMITS = thresholds()


# --- SIGReg and lambda


def test_a_flat_sigreg_of_healthy_height_with_flat_ranks_is_not_saturated() -> None:
    """It needs the band of the normalised form, or ranks that moved without it."""
    run = Healthy(0, "phase2")
    run.epochs["train_sigreg"] = 1.1
    for side in ("context", "target"):
        run.steps[f"effective_rank_{side}"] = 20.0
    assert saturated_sigreg(run.record(), LIMITS) is None
    run.epochs["train_sigreg"] = 0.402
    assert isinstance(saturated_sigreg(run.record(), LIMITS), Finding)


@pytest.mark.parametrize(("strength", "found"), [(0.0, True), (0.09, True), (0.1, False), (10.0, False), (10.1, True)])
def test_lambda_is_judged_at_its_bounds(strength: float, found: bool) -> None:
    run = Healthy(0, "phase2")
    run.settings["loss"]["lambda_sigreg"] = strength
    assert isinstance(lambda_range(run.record(), LIMITS), Finding) == found


def test_lambda_is_known_from_the_weighted_term_too() -> None:
    run = Healthy(2, "phase2")
    del run.settings["loss"]["lambda_sigreg"]
    assert lambda_range(run.record(), LIMITS) is None
    run.epochs["train_sigreg_weighted"] *= 50
    found = lambda_range(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert found.numbers["lambda_sigreg"] == pytest.approx(50)


def test_the_published_lambda_is_said_beside_ours() -> None:
    run = Healthy(0, "phase2")
    run.settings["loss"]["lambda_sigreg"] = 50.0
    found = lambda_range(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert found.numbers["published_lambda"] == pytest.approx(640 / (run.batch + 640))


@pytest.mark.parametrize(("batch", "healthy"), [(128, 3.2), (512, 6.4)])
def test_epps_pulley_is_judged_by_the_batch(batch: int, healthy: float) -> None:
    """What good runs of this project end at; the statistic grows with N for the same distance from a Gaussian."""
    run = Healthy(2, "phase2")
    run.settings["training"]["batch_size"] = batch
    for factor, found in ((1.0, False), (6.0, True)):
        run.steps["epps_pulley_context"] = run.steps["epps_pulley_target"] = healthy * factor
        assert isinstance(epps_pulley(run.record(), LIMITS), Finding) == found


def test_a_batch_of_few_tells_little_of_epps_pulley() -> None:
    run = Healthy(2, "phase2")
    run.settings["training"]["batch_size"] = 32
    run.steps["epps_pulley_context"] = run.steps["epps_pulley_target"] = 2.5
    assert epps_pulley(run.record(), LIMITS) is None


# --- contrastive


def test_chance_counts_batch_and_filled_queue() -> None:
    """ln(8192 + 512) = 9.07 for the analysed run, less while the queue fills, ln(512) in validation."""
    run = Healthy(0, "baseline")
    run.settings["training"] |= {"batch_size": 512, "epochs": 4}
    run.settings["loss"]["infonce"]["queue"] = 8192
    for columns, level in (
        ({"train_prediction": 9.04}, math.log(8704)),
        ({"train_prediction": 8.4, "queue_fill": 0.5}, math.log(512 + 4096)),
        ({"val_prediction": 6.2}, math.log(512)),
    ):
        found = chance(run.record(epochs=pd.DataFrame({"epoch": [1, 2, 3, 4], **columns})), LIMITS)
        assert isinstance(found, Finding)
        assert found.numbers["chance"] == pytest.approx(level)
    assert chance(run.record(epochs=pd.DataFrame({"epoch": [1, 2, 3], "train_prediction": 7.6})), LIMITS) is None


def test_a_loss_that_was_learned_and_lost_is_told_from_one_that_never_was() -> None:
    run = Healthy(1, "phase1")
    top = math.log(run.batch + run.settings["loss"]["infonce"]["queue"])
    run.epochs["train_prediction"], run.epochs["queue_fill"] = np.where(run.t < 0.5, 0.5 * top, 0.995 * top), 1.0
    found = chance(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert found.first == int(run.epochs["epoch"][run.t >= 0.5].iloc[0])
    assert found.cause.startswith("It had learned and lost it")


# --- collapse


def test_embeddings_that_start_near_zero_and_spread_have_not_collapsed() -> None:
    run = Healthy(2, "phase2")
    run.steps.loc[:3, ["variance_context", "variance_target"]] = 1e-6
    run.steps.loc[:3, ["effective_rank_context", "effective_rank_target"]] = 1.0
    assert complete_collapse(run.record(), LIMITS) is None
    assert dimensional_collapse(run.record(), LIMITS) is None


def test_under_sigreg_a_hundredth_of_unit_variance_is_collapse() -> None:
    for phase, found in (("phase2", True), ("phase1", False)):
        run = Healthy(3, phase)
        run.steps["variance_context"] = 1e-3
        run.steps["epps_pulley_context"] = 0.4 * run.batch
        collapse = complete_collapse(run.record(), LIMITS)
        assert isinstance(collapse, Finding) == found
        if isinstance(collapse, Finding):
            assert (collapse.threshold, collapse.limit) == ("shrunk_variance", LIMITS.shrunk_variance)
            assert collapse.numbers["limit"] == LIMITS.shrunk_variance


def test_a_small_variance_that_epps_pulley_contradicts_is_in_another_unit() -> None:
    run = Healthy(3, "phase2")
    run.steps["variance_context"] = 1e-3
    assert complete_collapse(run.record(), LIMITS) is None


def test_embeddings_that_shrink_but_differ_are_not_said_to_be_one_output() -> None:
    run = planted("complete collapse", 1)
    found = complete_collapse(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert "directions differ" in found.summary
    run.steps[[f"effective_rank_{side}" for side in ("context", "target")]] = 1.0
    found = complete_collapse(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert "all inputs give one output" in found.summary


@pytest.mark.slow
@pytest.mark.parametrize("rule", [dimensional_collapse, complete_collapse, broken_relation, chance, epps_pulley])
def test_what_takes_a_while_is_not_judged_in_a_young_run(rule: Callable[..., object]) -> None:
    """6 of 80 epochs, unless the run ended there."""
    run = Healthy(1, "phase2" if rule in (epps_pulley, complete_collapse) else "phase1")
    run.n = 6
    run.epochs, run.steps = run.epochs.iloc[:6], run.steps.iloc[:6]
    run.settings["training"]["epochs"] = 80
    run.epochs[["train_prediction_error", "val_prediction_error"]] = 1.2
    run.epochs[["train_prediction", "queue_fill"]] = math.log(run.batch), 0.0
    run.steps[[f"effective_rank_{side}" for side in ("context", "target")]] = 1.2
    run.steps[[f"variance_{side}" for side in ("context", "target")]] = 1e-6
    run.steps[[f"epps_pulley_{side}" for side in ("context", "target")]] = 0.4 * run.batch
    running = rule(run.record(summary={"settings": run.settings}), LIMITS)
    assert isinstance(running, Skipped)
    assert "young" in running.reason
    assert isinstance(rule(run.record(), LIMITS), Finding)


def test_validation_has_chance_by_its_own_batch() -> None:
    run = Healthy(1, "phase1")
    record = run.record(summary={"settings": run.settings, "validation_batch": 32})
    assert chance_levels(record, "val").iloc[-1] == pytest.approx(math.log(32))
    assert chance_levels(run.record(), "val").iloc[-1] == pytest.approx(math.log(run.batch))


def test_sigreg_that_settles_is_saturated_from_there_on() -> None:
    run = Healthy(0, "baseline")
    values = np.full(run.n, 0.4012)
    values[0] = 0.47
    run.set_term("sigreg", values)
    found = saturated_sigreg(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert (found.first or 0) > 1
    assert "0.395" not in found.cause


def test_an_error_of_zero_was_not_computed() -> None:
    run = Healthy(2, "phase2")
    run.epochs["val_prediction_error"] = run.epochs["val_prediction"] = 0.0
    assert isinstance(broken_relation(run.record(), LIMITS), Skipped)


def test_a_rank_that_falls_to_a_quarter_has_collapsed() -> None:
    run = Healthy(0, "phase1")
    run.settings["model"]["embedding"] = 128
    fall = np.linspace(40, 8, len(run.steps))
    run.steps["effective_rank_context"] = run.steps["effective_rank_target"] = fall
    assert isinstance(dimensional_collapse(run.record(), LIMITS), Finding)
    run.steps["effective_rank_context"] = run.steps["effective_rank_target"] = fall[::-1]
    assert dimensional_collapse(run.record(), LIMITS) is None


def test_a_rank_is_judged_by_what_the_batch_allows() -> None:
    run = Healthy(0, "phase1")
    run.settings["model"]["embedding"] = 256
    run.steps["effective_rank_context"] = run.steps["effective_rank_target"] = 9.0
    for batch, found in ((512, True), (64, False)):
        run.settings["training"]["batch_size"] = batch
        assert isinstance(dimensional_collapse(run.record(), LIMITS), Finding) == found


# --- training beside validation


def test_a_gap_that_was_there_from_the_start_is_no_memory() -> None:
    run = Healthy(2, "phase2")
    run.epochs["val_prediction_error"] = 6 * run.epochs["train_prediction_error"]
    assert memorisation(run.record(), LIMITS) is None


def test_a_gap_may_be_wider_while_validation_improves() -> None:
    """2.5 at the end, from 0.9."""
    run = Healthy(2, "phase2")
    train = np.geomspace(1.0, 0.1, run.n)
    run.epochs["train_prediction_error"] = train
    for val, found in ((np.geomspace(0.9, 0.25, run.n), False), (np.maximum(0.9 * train, 0.25), True)):
        run.epochs["val_prediction_error"] = val
        assert isinstance(memorisation(run.record(), LIMITS), Finding) == found


def test_contrastive_losses_are_compared_by_their_share_of_chance() -> None:
    """Training has a queue and validation has none: the same skill gives different nats."""
    run = Healthy(1, "phase1")
    pair = error_pairs(run.record())["share_of_chance"]
    assert (pair["train"] / pair["val"]).median() == pytest.approx(1, rel=0.05)
    run.epochs["val_prediction"] /= 2.5
    found = broken_relation(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert found.numbers["measure"] == "share_of_chance"


def test_an_error_above_the_mean_s_is_no_fault_of_a_contrastive_loss_that_learned() -> None:
    run = Healthy(1, "phase1")
    run.epochs["train_prediction_error"] = run.epochs["val_prediction_error"] = 2.0
    for share, found in ((0.3, False), (0.9, True)):
        for split, levels in (("train", run.batch + run.settings["loss"]["infonce"]["queue"]), ("val", run.batch)):
            run.epochs[f"{split}_prediction"] = share * math.log(levels)
        assert isinstance(broken_relation(run.record(), LIMITS), Finding) == found


def test_without_validation_nothing_is_said_of_generalisation() -> None:
    run = Healthy(2, "phase2")
    record = run.record(epochs=run.epochs[[name for name in run.epochs if not name.startswith("val_")]])
    assert all(isinstance(rule(record, LIMITS), Skipped) for rule in (plateau, memorisation, broken_relation))


# --- completeness


def test_sparse_records_miss_no_epochs() -> None:
    for epochs in ([1, 10, 20, 30, 34, 35, 37, 38, 41, 42, 70, 80], [5, 10, 15, 20], [80], [1, 80]):
        record = make_record("x", pd.DataFrame({"epoch": epochs, "train_total": 1.0}), pd.DataFrame())
        assert missing_epochs(record, LIMITS) is None


@pytest.mark.parametrize(("kept", "missing"), [([1, 2, 3, 5, 6, 7, 8], 1), ([5, 10, 15, 25, 30, 35], 1)])
def test_a_row_that_breaks_the_rhythm_is_missing(kept: list[int], missing: int) -> None:
    found = missing_epochs(make_record("x", pd.DataFrame({"epoch": kept, "lr": 1.0}), pd.DataFrame()), LIMITS)
    assert isinstance(found, Finding)
    assert found.numbers["missing"] == missing


def test_a_loss_that_ends_before_the_others_is_missed() -> None:
    run = Healthy(2, "phase2")
    run.epochs.loc[run.n - 3 :, "train_total"] = np.nan
    found = missing_epochs(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert (found.first, found.last, found.numbers["empty"]) == (run.n - 2, run.n, 3)
    run.epochs["val_total"] = np.where(run.epochs["epoch"] % 5 == 0, 1.0, np.nan)
    run.epochs["train_total"] = 1.0
    assert missing_epochs(run.record(), LIMITS) is None


def test_epochs_that_only_run_json_knows_are_missed() -> None:
    run = Healthy(2, "phase2")
    found = missing_epochs(run.record(epochs=run.epochs.iloc[:-2]), LIMITS)
    assert isinstance(found, Finding)
    assert (found.first, found.last) == (run.n - 1, run.n)
