"""What goes by a plan: the learning rate, the queue, the curriculum, the speed."""

import numpy as np
import pytest
from planted_faults import planted
from record_cases import Healthy, thresholds

from arcjepa import schedule
from arcjepa.findings.finding import Finding, Skipped
from arcjepa.findings.schedules import WARM_UP, curriculum, learning_rate, queue, queue_off, slower

LIMITS = thresholds()


def test_the_warm_up_is_that_of_training() -> None:
    assert WARM_UP == schedule.WARM_UP


def test_a_run_within_its_warm_up_may_have_a_small_rate() -> None:
    run = Healthy(2, "phase2", shortest=90)
    for epochs, found in ((8, False), (60, True)):
        table = run.epochs.iloc[:epochs].assign(lr=1e-9)
        assert isinstance(learning_rate(run.record(epochs=table), LIMITS), Finding) == found


def test_a_rate_of_zero_needs_no_settings_and_others_do() -> None:
    run = Healthy(2, "phase2")
    run.settings = {}
    assert isinstance(learning_rate(run.record(), LIMITS), Skipped)
    run.epochs["lr"] = 0.0
    found = learning_rate(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert found.severity == "critical"


def test_no_warm_up_is_a_fault_where_something_blows_up() -> None:
    run = planted("learning rate off its schedule", 0, 1)
    assert isinstance(learning_rate(run.record(), LIMITS), Finding)
    run.epochs["grad_norm_mean"] = 1.0
    assert learning_rate(run.record(), LIMITS) is None


def test_a_queue_that_fills_as_targets_are_pushed_is_healthy_while_it_is_not_full() -> None:
    run = Healthy(1, "phase1")
    size = run.settings["loss"]["infonce"]["queue"] = 10**6
    run.epochs["queue_fill"] = np.minimum(1, run.epochs["step"] * run.batch / size)
    assert queue(run.record(), LIMITS) is None
    run.epochs["queue_fill"] *= 0.5
    assert isinstance(queue(run.record(), LIMITS), Finding)
    run.settings["loss"]["infonce"]["queue"] = 0
    assert queue_off(run.record()) == "there is no queue"


@pytest.mark.parametrize(("last", "admitted", "found"), [(8, 0.2, False), (20, 0.2, True), (45, 0.5, False)])
def test_bands_are_due_in_their_epochs(last: int, admitted: float, found: bool) -> None:
    """[15, 40] of which the second may come late, or in other shares than ours."""
    run = Healthy(3, "phase3", shortest=60)
    run.settings["sequence"]["curriculum"]["epochs"] = [15, 40]
    table = run.epochs.iloc[:last].copy()
    table["admitted_share"] = np.where(
        (table["epoch"] >= 15) & (admitted > 0.2), np.where(table["epoch"] >= 40, 1, 0.5), 0.2
    )
    assert isinstance(curriculum(run.record(epochs=table), LIMITS), Finding) == found


def test_one_slow_epoch_or_a_drift_is_no_fall_of_the_speed() -> None:
    run = Healthy(2, "phase2", shortest=40)
    run.epochs["sequences_per_second"] = 500 * np.linspace(1, 0.9, run.n)
    run.epochs.loc[20, "sequences_per_second"] /= 4
    assert slower(run.record(), LIMITS) is None
    run.epochs.loc[run.n // 2 :, "sequences_per_second"] /= 2.1
    found = slower(run.record(), LIMITS)
    assert isinstance(found, Finding)
    assert found.first == pytest.approx(run.n // 2, abs=3)
    run.epochs["seconds"] = 1e4 / run.epochs.pop("sequences_per_second")
    assert isinstance(slower(run.record(), LIMITS), Finding)


@pytest.mark.parametrize(("at", "found"), [(2, True), (8, False)])
def test_a_blow_up_is_one_of_the_first_epochs(at: int, found: bool) -> None:
    run = planted("learning rate off its schedule", 0, 1)
    run.settings["training"]["epochs"] = run.n
    run.epochs["grad_norm_mean"] = 1.0
    run.epochs.loc[at, "grad_norm_mean"] = 9.0
    assert isinstance(learning_rate(run.record(), LIMITS), Finding) == found


def test_the_error_of_lejepa_may_double_as_embeddings_spread() -> None:
    for phase, found in (("baseline", True), ("phase2", False)):
        run = Healthy(0 if found else 2, phase, shortest=60)
        run.epochs["lr"] = run.settings["optimizer"]["lr"]
        run.epochs["train_total"] = np.where(run.epochs["epoch"] > 2, 3.0, 1.0)
        assert isinstance(learning_rate(run.record(), LIMITS), Finding) == found
