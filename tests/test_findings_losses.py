"""Where an explosion starts and ends, what is no explosion, and which opposite changes are hidden."""

import numpy as np
import pandas as pd
import pytest
from planted_faults import planted
from record_cases import Healthy, thresholds, tree

from arcjepa.findings.finding import Finding, Skipped
from arcjepa.findings.losses import hidden_component, rising_loss
from arcjepa.findings.records import Record, make_record
from arcjepa.findings.relational import relational_explosion, relational_share


def record(**columns: object) -> Record:
    table = pd.DataFrame(columns)
    if "epoch" not in table:
        table.insert(0, "epoch", np.arange(1, len(table) + 1))
    return make_record("somewhere", table, pd.DataFrame())


@pytest.mark.parametrize("seed", range(6))
def test_an_explosion_lasts_from_twice_its_minimum_to_its_peak(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, peak, factor = 20, int(rng.integers(35, 55)), rng.uniform(4, 9)
    rise = np.interp(np.arange(60), [0, 10, start, peak, 59], [2, 1, 1, factor, 0.8 * factor])
    found = relational_explosion(record(train_relational_weighted=rise), thresholds())
    assert isinstance(found, Finding)
    doubled = start + (peak - start) / (factor - 1)
    assert found.first == pytest.approx(doubled + 1, abs=2)
    assert found.last == peak + 1


def test_growth_from_a_minimum_that_comes_later_is_no_explosion() -> None:
    assert relational_explosion(record(train_relational_weighted=np.linspace(5, 0.1, 60)), thresholds()) is None


def test_a_term_that_was_larger_at_first_may_explode_later() -> None:
    term = np.interp(np.arange(60), [0, 20, 59], [5.0, 0.5, 2.5])
    found = relational_explosion(record(train_relational_weighted=term), thresholds())
    assert isinstance(found, Finding)
    assert found.last == 60


def test_a_term_of_no_weight_does_not_explode() -> None:
    term = np.linspace(1e-5, 1e-3, 40)
    assert relational_explosion(record(train_relational_weighted=term, train_total=[8.0] * 40), thresholds()) is None
    assert relational_explosion(record(train_relational_weighted=term), thresholds()) is not None


def test_a_share_that_grows_as_the_rest_is_learned_is_healthy() -> None:
    """The term itself falls."""
    term, rest = np.linspace(0.4, 0.35, 30), np.geomspace(9, 0.5, 30)
    columns = {"train_relational_weighted": term, "train_total": term + rest}
    assert relational_share(record(**columns), thresholds()) is None


def test_a_share_needs_both_in_one_epoch() -> None:
    sparse = record(train_relational_weighted=[0.3, np.nan], train_total=[np.nan, 9.0])
    assert isinstance(relational_share(sparse, thresholds()), Skipped)


@pytest.mark.parametrize("change", [-0.5, 0.0, 0.1])
def test_opposite_changes_are_hidden_while_the_total_falls_or_stays(change: float) -> None:
    rise = np.linspace(1, 3, 30)
    columns = {"train_sigreg_weighted": rise, "train_prediction_weighted": 9 - rise + np.linspace(0, change, 30)}
    found = hidden_component(record(**columns), thresholds())
    assert isinstance(found, Finding)
    assert found.numbers["total_change"] == pytest.approx(change / 9, abs=0.02)
    assert "sigreg rises" in found.summary


def test_a_total_that_rises_hides_nothing() -> None:
    rise = np.linspace(1, 3, 30)
    columns = {"train_sigreg_weighted": rise, "train_prediction_weighted": 9 - rise + np.linspace(0, 0.5, 30)}
    assert hidden_component(record(**columns), thresholds()) is None


def test_a_prediction_that_rises_is_not_held_back_but_what_falls_at_its_cost() -> None:
    run = Healthy(0, "phase2")
    rise = np.linspace(0.2, 1.5, run.n)
    run.set_term("prediction", rise)
    weight = (run.epochs["train_sigreg_weighted"] / run.epochs["train_sigreg"]).median()
    run.set_term("sigreg", (2.5 - rise) / weight)
    found = hidden_component(run.record(tree=tree()), thresholds())
    assert isinstance(found, Finding)
    assert "weigh sigreg less" in found.advice
    assert [line.split(" -S ")[-1] for line in found.experiments] == ["lambda_sigreg=0.5"]


def test_harder_tasks_raise_a_term_by_design() -> None:
    term = np.concatenate([np.full(10, 1.0), np.linspace(3, 2.5, 30)])
    columns = {"train_prediction_weighted": term, "train_sigreg_weighted": 9 - term}
    admitted = np.concatenate([np.full(10, 0.4), np.ones(30)])
    assert isinstance(hidden_component(record(**columns), thresholds()), Finding)
    assert hidden_component(record(**columns, admitted_share=admitted), thresholds()) is None


def test_raw_terms_and_their_weights_stand_in_for_weighted_ones() -> None:
    """And their sum for the total."""
    run = planted("relational share", 0)
    whole = run.record()
    run.epochs = run.epochs.drop(columns=[name for name in run.epochs if name.endswith(("_weighted", "_total"))])
    bare = run.record()
    assert bare.total("train").to_numpy() == pytest.approx(whole.total("train").to_numpy(), rel=0.1)
    weight = run.settings["loss"]["relational"]["weight"]
    assert bare.weighted("train", "relational").equals(weight * bare.series("train_relational"))
    run.settings["loss"]["gradnorm"] = {"enabled": True}
    assert run.record().weight("prediction") is None


def test_one_epoch_far_beyond_the_noise_explodes_and_one_within_it_does_not() -> None:
    rng = np.random.default_rng(0)
    for spread, found in ((0.02, True), (0.4, False)):
        term = np.exp(rng.normal(0, spread, 80))
        term[70] = 4.5
        explosion = relational_explosion(record(train_relational_weighted=term), thresholds())
        assert isinstance(explosion, Finding) == found
        if isinstance(explosion, Finding):
            assert (explosion.severity, explosion.last) == ("warning", 71)
            assert explosion.summary.endswith("and falls back.")


def test_a_term_that_rises_is_named() -> None:
    run = planted("rising training loss", 0)
    run.epochs["train_sigreg_weighted"] = 9 * run.t
    found = rising_loss(run.record(), thresholds())
    assert isinstance(found, Finding)
    assert "of its terms sigreg rises most" in found.summary


def test_huge_ratios_are_words_and_negative_totals_no_ratios() -> None:
    total = np.concatenate([np.linspace(3, 1, 28), [1e6, 1e6, 1e6]])
    found = rising_loss(record(train_total=total), thresholds())
    assert isinstance(found, Finding)
    assert "over 1000 times" in found.summary
    assert isinstance(rising_loss(record(train_total=np.linspace(-1, -0.1, 30)), thresholds()), Skipped)


def test_terms_that_move_together_hide_nothing() -> None:
    rise = np.linspace(1, 3, 30)
    columns = {"train_sigreg_weighted": rise, "train_prediction_weighted": 2 * rise}
    assert hidden_component(record(**columns), thresholds()) is None


def test_a_squared_error_that_grows_as_embeddings_spread_is_healthy() -> None:
    """In the first epochs of LeJEPA, while SIGReg falls."""
    t = np.arange(40)
    run = Healthy(0, "phase2")
    run.epochs = pd.DataFrame({"epoch": t + 1, "train_prediction": 0.3 * (1 - np.exp(-(t + 1) / 4))})
    run.epochs["train_prediction_weighted"] = run.epochs["train_prediction"]
    run.epochs["train_sigreg_weighted"] = 0.2 + 2 * np.exp(-t / 4)
    assert hidden_component(run.record(), thresholds()) is None


@pytest.mark.parametrize("column", ["queue_fill", "admitted_share"])
def test_a_loss_may_rise_with_its_negatives_and_its_tasks(column: str) -> None:
    total = np.concatenate([np.full(10, 4.0), np.linspace(7, 6, 30)])
    state = np.concatenate([np.full(10, 0.4), np.ones(30)])
    assert rising_loss(record(train_total=total, **{column: state}), thresholds()) is None
    assert isinstance(rising_loss(record(train_total=total), thresholds()), Finding)


def test_the_squared_error_of_lejepa_alone_says_nothing_of_a_rise() -> None:
    run = Healthy(2, "phase2")
    run.epochs = pd.DataFrame({"epoch": range(1, 31), "train_prediction": np.linspace(0.1, 0.5, 30)})
    assert isinstance(rising_loss(run.record(), thresholds()), Skipped)


def test_a_rise_begins_with_the_last_epoch_that_is_as_low() -> None:
    losses = np.interp(np.arange(60), [0, 10, 40, 59], [2, 1.0, 1.002, 2.0])
    found = rising_loss(record(train_total=losses), thresholds())
    assert isinstance(found, Finding)
    assert found.first == pytest.approx(41, abs=1)


def test_a_squared_error_may_rise_in_the_first_epochs_of_those_that_are_planned() -> None:
    """Of which few are recorded."""
    run = Healthy(2, "phase2", shortest=60)
    run.settings["training"]["epochs"] = run.n
    weight = (run.epochs["train_sigreg_weighted"] / run.epochs["train_sigreg"]).median()
    rise = np.clip(np.arange(run.n) / 5, 0, 1)
    run.set_term("prediction", 0.2 + 0.6 * rise)
    run.set_term("sigreg", (2 - 0.9 * rise) / weight)
    early = run.epochs.iloc[:8]
    assert hidden_component(run.record(epochs=early, summary={"settings": run.settings}), thresholds()) is None
    run.settings["training"]["epochs"] = 8
    assert isinstance(hidden_component(run.record(epochs=early), thresholds()), Finding)
