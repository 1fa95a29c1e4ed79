"""What a changed setting makes to do: what depends on it, and nothing else."""

import pytest
from conftest import NOTHING, Project

PHASES = {"baseline", "phase1", "phase2", "phase3"}
FIGURES = {
    "judgements": {"draw_alignment", "draw_gates", "draw_risks", "draw_targets"},
    "scores": {"plot_yardstick", "plot_ranking", "plot_map", "draw_ranking"},
    "runs": {"plot_losses", "plot_gradients", "plot_codebook", "plot_geometry"},
    "tokens": {"draw_tokens"},
}


def test_one_value_for_all_scales_counts_at_this_one(finished: Project) -> None:
    assert finished.retrained("--config", "base={training: {epochs: 2}}") == PHASES


def test_a_value_for_one_scale_counts_there_alone(finished: Project) -> None:
    assert finished.retrained("--config", "base={optimizer: {lr: {tiny: 0.003}}}") == PHASES
    assert NOTHING in finished.run("snakemake", "-n", "--config", "base={optimizer: {lr: {laptop: 0.003}}}")


@pytest.mark.parametrize(
    ("setting", "kinds"),
    [
        ("diagnosis={plateau: 0.03}", ["judgements"]),
        ("success={settled: 0.3}", ["judgements"]),
        ("evaluation={bootstrap: 60}", ["judgements", "scores"]),
        ("lambda_sigreg=2", ["judgements", "scores", "runs"]),
        ("tokens={connectivity: 4}", ["judgements", "scores", "runs", "tokens"]),
        ("base={training: {tensorboard: true}}", []),
    ],
)
def test_figures_are_drawn_anew_for_what_they_show(finished: Project, setting: str, kinds: list[str]) -> None:
    plan = finished.plan("--config", setting)
    assert {rule for figures in FIGURES.values() for rule in figures if plan[rule]} == {
        rule for kind in kinds for rule in FIGURES[kind]
    }
