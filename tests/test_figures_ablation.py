"""The figure of a set: every member in every panel, differences that are apart, and the lines of a 2 x 2."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from model_cases import tiny_params
from test_figures import assert_texts_apart, gids, words

from arcjepa.ablations import INTERACTION, MEASURES, PAIRED, RECORDED, told_parent
from arcjepa.figures import ablation, style
from arcjepa.figures.ablation import CROSSED, plot_ablation, told_change
from arcjepa.scenarios import changes, describe, is_crossed

SETS = tiny_params().sets
LEVELS = {
    "val_nce": 6.1, "readout_nce": 5.5, "effective_rank_target": 21.0, "code_usage": 0.3, "ranking_a": 0.85,
    "ranking_b": 0.45, "ranking_c": 0.13, "retrieval_rearc": 0.4, "relational_growth": 3.0, "grad_norm_max": 40.0,
}  # fmt: skip


def table(name: str, scale: float = 1.0, seeds: int = 3) -> pd.DataFrame:
    """A set's table with made-up values about LEVELS times `scale`; odd rows are apart from the reference."""
    rng, rows = np.random.default_rng(1), []
    phases = [tiny_params().phase_settings(member) for member in SETS[name]]
    for index, (member, phase) in enumerate(zip(SETS[name], phases, strict=True)):
        row = {"name": member, "changes": describe(changes(phases[0], phase)), "seeds": seeds}
        row["step"] = describe(changes(phases[max(0, index - 1)], phase))
        row["over"] = told_parent(member, tiny_params())
        for quantity, level in LEVELS.items():
            value = scale * level * rng.normal(1, 0.05)
            row |= {quantity: value, f"{quantity}_low": 0.97 * value, f"{quantity}_high": 1.02 * value}
        for measure in PAIRED:
            row |= dict.fromkeys((f"{measure}_change_low", f"{measure}_change_high"), np.nan)
            if index:
                change = 0.3 if index % 2 else 0.1
                row |= {f"{measure}_change": change, f"{measure}_change_low": change - 0.2}
                row[f"{measure}_change_high"] = change + 0.2
        rows.append(row)
    return pd.DataFrame(rows)


def effects(value: float = 0.25) -> pd.DataFrame:
    rows = [(quantity, INTERACTION, value, value - 0.5, value + 0.5, 3) for quantity in CROSSED]
    return pd.DataFrame(rows, columns=["quantity", "effect", "value", "low", "high", "seeds"])


def crossed(name: str) -> bool:
    return is_crossed([tiny_params().phase_settings(member) for member in SETS[name]])


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_no_text_of_any_set_lies_over_another(name):
    figure = plot_ablation(name, table(name), effects() if crossed(name) else None)
    assert_texts_apart(figure)
    assert all(member in words(figure) for member in SETS[name])


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_values_of_any_size_fit(scale):
    assert_texts_apart(plot_ablation("x", table("refresh_by_relational", scale), effects(12345.678)))


def test_names_are_those_of_the_tables():
    assert set(ablation.MEASURES) < set(MEASURES)
    assert set(CROSSED) == {*PAIRED, *RECORDED}
    assert set(LEVELS) == {*ablation.MEASURES, *RECORDED}
    assert ablation.INTERACTION == INTERACTION


@pytest.mark.slow
def test_every_member_has_a_dot_with_whiskers_in_every_panel():
    figure = plot_ablation("phase2_ladder", table("phase2_ladder"))
    assert len(figure.axes) == len(ablation.MEASURES)
    for axes in figure.axes:
        whiskers = sum(len(lines.get_segments()) for lines in axes.findobj(LineCollection))
        assert whiskers == len(SETS["phase2_ladder"])
    assert len(gids(figure, "reference")) == len(ablation.MEASURES)


def test_what_is_not_apart_from_the_reference_is_open_and_only_where_it_is_paired():
    figure = plot_ablation("windows", table("windows"))
    for axes, measure in zip(figure.axes, ablation.MEASURES, strict=True):
        dots = [line for line in axes.lines if line.get_marker() in ("o", style.look("phase2").marker)]
        opened = [line.get_markerfacecolor() == "white" for line in dots]
        assert opened == [False, False, measure in PAIRED]


@pytest.mark.slow
def test_the_untrained_control_stands_last_and_squeezes_no_axis():
    rows = table("windows")
    control = rows.iloc[[0]].assign(
        name="untrained", changes="", step="", val_nce=60.0, val_nce_low=59, val_nce_high=61
    )
    figure = plot_ablation("windows", pd.concat([rows, control], ignore_index=True))
    assert "untrained encoder" in words(figure)
    assert "control" in words(figure)
    without = plot_ablation("windows", rows)
    assert [axes.get_xlim() for axes in figure.axes] == [axes.get_xlim() for axes in without.axes]
    assert [line.get_marker() for line in figure.axes[0].lines].count(">") == 1
    assert_texts_apart(figure)


@pytest.mark.slow
def test_a_2_x_2_is_of_its_four_members_alone():
    rows = table("refresh_by_relational")
    control = rows.iloc[[0]].assign(
        name="untrained", changes="", step="", relational_growth=np.nan, grad_norm_max=np.nan
    )
    figure = plot_ablation("x", pd.concat([rows, control], ignore_index=True), effects())
    assert "not recorded in all four" not in words(figure)


def test_the_smaller_of_the_two_changes_is_told():
    rows = [row for _, row in table("phase2_ladder").iterrows()]
    assert told_change(rows[0], 0) == "reference"
    assert told_change(rows[1], 1) == "loss.teacher.enabled on → off"
    assert told_change(rows[2], 2) == "then loss.sigreg.enabled on → off"
    sweep = [row for _, row in table("lambda_sweep").iterrows()]
    assert told_change(sweep[3], 3) == "loss.lambda_sigreg 1 → 3"
    mixed = table("mitigations").set_index("name", drop=False)
    assert told_change(mixed.loc["phase1_normalised"], 5).startswith("phase1: loss.relational.enabled off → on; ")
    assert (
        told_change(mixed.loc["phase2_teacher"], 10)
        == "phase2: loss.teacher.enabled off → on; loss.teacher.decay = 0.99"
    )


def test_of_equal_changes_the_one_with_fewest_values_is_told():
    brings = "loss.teacher.enabled off → on; x = 0.5"
    step = "loss.hard_negatives.temperature 0.14 → 0.5"
    member = pd.Series({"name": "soft", "changes": brings, "step": step, "over": "hard: optimizer.clip 0.5 → 1"})
    assert told_change(member, 2) == f"then {step}"
    assert told_change(member.replace({step: brings}), 2, ["hard"]) == "hard: optimizer.clip 0.5 → 1"
    assert told_change(member.replace({step: brings}), 2, ["other"]) == brings


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        ("sequence.window 3 → 7; training.epochs 80 → 12", ["sequence.window 3 → 7; training.epochs 80 → 12"]),
        (
            "loss.sigreg.enabled on → off; sequence.window 3 → 7",
            ["loss.sigreg.enabled on → off;", "sequence.window 3 → 7"],
        ),
        ("then loss.hard_negatives.temperature 0.14 → 0.5", ["then loss.hard_negatives.temperature", "0.14 → 0.5"]),
    ],
)
def test_changes_are_broken_between_them_and_before_a_value(told, lines):
    assert [line.replace(ablation.NO_BREAK, " ") for line in ablation._wrapped(told)] == lines


@pytest.mark.parametrize(("value", "shown"), [(0.0694, "0.069"), (0.9996, "1.000"), (1.2346, "1.23"), (59.39, "59.4")])
def test_values_have_three_decimals_below_one_and_three_digits_above(value, shown):
    assert ablation._digits(value) == shown


@pytest.mark.slow
def test_a_2_x_2_has_a_line_without_and_one_with_the_second_change():
    figure = plot_ablation("refresh_by_relational", table("refresh_by_relational"), effects())
    values = table("refresh_by_relational").set_index("name")
    for axes, quantity in zip(figure.axes[8:], CROSSED, strict=True):
        lines = {line.get_gid(): line.get_ydata() for line in axes.lines if line.get_gid() in ("changed", "unchanged")}
        assert lines["unchanged"] == pytest.approx(values.loc[["baseline", "refresh_off"], quantity].to_numpy())
        assert lines["changed"] == pytest.approx(values.loc[["relational_off", "both_off"], quantity].to_numpy())
        assert axes.get_xlabel() == "interaction +0.25\n[-0.25, +0.75]"
    assert "quantizer.refresh.enabled on → off" in words(figure)


@pytest.mark.slow
def test_what_was_not_run_or_not_recorded_is_said():
    rows = table("refresh_by_relational")
    rows.loc[1, "seeds"] = 0
    rows.loc[1, list(LEVELS)] = np.nan
    figure = plot_ablation("refresh_by_relational", rows, effects()[:0])
    assert "not run: refresh_off" in words(figure)
    assert words(figure).count("not recorded in all four") == len(CROSSED)
    assert_texts_apart(figure)


@pytest.mark.slow
def test_a_single_seed_has_no_whiskers_on_the_record():
    rows = table("refresh_by_relational", seeds=1)
    rows[[f"{quantity}_{end}" for quantity in RECORDED for end in ("low", "high")]] = np.nan
    single = effects().assign(low=np.nan, high=np.nan)
    figure = plot_ablation("refresh_by_relational", rows, single)
    assert [len(axes.findobj(LineCollection)) for axes in figure.axes[8:]] == [2, 2, 0, 0]
    assert figure.axes[-1].get_xlabel() == "interaction +0.25"


@pytest.mark.slow
def test_saving_twice_gives_identical_bytes(tmp_path):
    paths = [
        style.save(plot_ablation("windows", table("windows")), tmp_path / folder / "windows.svg", "stamp")
        for folder in ("a", "b")
    ]
    for one, other in zip(*paths, strict=True):
        assert one.read_bytes() == other.read_bytes()
