"""The analysed run stands beside ours where the quantity is the same, and nowhere else."""

import figure_data as data
import numpy as np
import pandas as pd
import pytest
from analysis_cases import ANALYSIS
from record_cases import Healthy
from test_figures import assert_texts_apart, gids, words

from arcjepa import analysed_run
from arcjepa.figures import style
from arcjepa.figures.analysed import PANELS, by_share, plot_analysed, printed_record, relational_share
from arcjepa.figures.codebook import plot_codebook
from arcjepa.figures.geometry import COMPARABLE, plot_geometry
from arcjepa.figures.gradients import plot_gradients

CURVE = f"curve-{style.ANALYSED}"


def ours(phase: str = "baseline", seeds: int = 2) -> list:
    return [Healthy(seed, phase).record() for seed in range(seeds)]


def comparable(answer: str) -> set[str]:
    table = analysed_run.comparable()
    return set(table.loc[table["comparable"] == answer, "quantity"])


@pytest.mark.slow
def test_every_panel_shows_both_runs() -> None:
    figure = plot_analysed(ours(), printed_record(ANALYSIS), "baseline")
    assert_texts_apart(figure)
    for axes in figure.axes:
        assert gids(axes, CURVE)
        assert gids(axes, "curve-baseline")
    assert len(figure.axes) == len(PANELS)


def test_no_line_ends_outside_of_its_panel() -> None:
    """As where validation ends far above its best."""
    record = ours(seeds=1)[0]
    record.epochs.loc[record.epochs.index[-1], "val_total"] = 3 * record.epochs["val_total"].min()
    for axes in plot_analysed([record], printed_record(ANALYSIS), "baseline").axes:
        for line in (*gids(axes, CURVE), *gids(axes, "curve-baseline")):
            low, high = axes.get_ylim()
            assert low <= line.get_ydata()[-1] <= high, axes.get_title(loc="left")


@pytest.mark.slow
@pytest.mark.parametrize("records", [[], ours("phase2", 1)])
def test_what_a_run_lacks_leaves_the_analysed_run_alone(records: list) -> None:
    figure = plot_analysed(records, printed_record(ANALYSIS), "baseline")
    assert_texts_apart(figure)
    assert all(gids(axes, CURVE) for axes in figure.axes)
    assert ("not run: baseline" in words(figure)) == (not records)


def test_the_axis_is_the_share_of_training() -> None:
    record = printed_record(ANALYSIS)
    shares = by_share(record, relational_share)
    assert shares["share"].iloc[[0, -1]].tolist() == [1 / 80, 1.0]
    assert shares["value"].max() == pytest.approx(1.101 / 8.667, rel=1e-4)
    steps = by_share(record, lambda run: run.series("code_usage"))
    assert steps["share"].iloc[-1] == 1.0
    assert steps.loc[steps["value"] == 0.302, "share"].tolist() == [pytest.approx(3000 / 7600)]


def test_a_run_that_stopped_early_ends_before_the_others() -> None:
    record = ours(seeds=1)[0]
    record.settings["training"]["epochs"] = 2 * len(record.epochs)
    assert by_share(record, relational_share)["share"].max() == pytest.approx(0.5)


@pytest.mark.slow
def test_training_figures_draw_it_where_it_compares() -> None:
    epochs, steps = analysed_run.epochs(ANALYSIS), analysed_run.steps(ANALYSIS)
    codebook = plot_codebook(data.steps(), analysed=steps)
    assert [len(gids(axes, CURVE)) for axes in codebook.axes] == [1, 0]
    geometry = plot_geometry(data.steps(), analysed=steps)
    assert len(gids(geometry, CURVE)) == 2 * len(COMPARABLE)
    gradients = plot_gradients(data.epochs(), data.CLIPS, (epochs, 0.5))
    assert [len(gids(axes, CURVE)) for axes in gradients.axes] == [2, *[0] * 7]
    other = plot_gradients(data.epochs(), data.CLIPS, (epochs, 0.7))
    assert not gids(other, CURVE)
    for figure in (codebook, geometry, gradients):
        assert_texts_apart(figure)
        assert "analysed run" in words(figure)


def test_nothing_that_does_not_compare_is_drawn() -> None:
    assert {f"{name}_{side}" for name in COMPARABLE for side in ("context", "target")} <= comparable("yes")
    assert {"variance_context", "isotropy_target"} <= comparable("no")
    table = analysed_run.steps(ANALYSIS).assign(perplexity=np.nan)
    axes = plot_codebook(data.steps(), analysed=table).axes[0]
    (line,) = gids(axes, CURVE)
    assert line.get_xdata()[-1] == pytest.approx(data.steps()["step"].max())
    assert line.get_ydata().max() == pytest.approx(0.336)


def test_without_runs_of_ours_it_is_not_drawn() -> None:
    empty: pd.DataFrame = data.steps(())
    assert not gids(plot_codebook(empty, analysed=analysed_run.steps(ANALYSIS)), CURVE)
