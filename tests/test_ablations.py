"""The tables of a set: what each member changes, differences paired by task, and the effects in a 2 x 2."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_cases import tiny_params

from arcjepa.ablations import (
    COMPARED,
    INTERACTION,
    MEASURES,
    PAIRED,
    RECORDED,
    Member,
    ablation_table,
    effects_table,
    load_members,
)
from arcjepa.comparison import load_runs
from arcjepa.data_settings import Evaluation
from arcjepa.errors import UserError
from arcjepa.scenarios import changes, describe
from arcjepa.scores import Scores, save_scores

EVALUATION = Evaluation(pool=128, max_tasks=24, readout_sequences=200, bootstrap=200, seed=7)
CROSSED = ("baseline", "refresh_off", "relational_off", "both_off")
REFRESH, RELATIONAL = "quantizer.refresh.enabled on → off", "loss.relational.weight 0.025 → 0"
TASKS = 40
DIFFICULTY = np.random.default_rng(3).normal(5.0, 1.5, TASKS)
"""Of tasks, in nats, far from one another: alike for every member."""


def write_run(folder: Path, nats: float, growth: float = 2.0, norm: float = 10.0) -> Path:
    """A run whose predictions cost `nats` beyond the difficulty of each task, and are first among B so much oftener."""
    seed = int(folder.name.removeprefix("seed"))
    rng, scores = np.random.default_rng([seed, int(1000 * nats) + 5000]), Scores(record={"pool": {"size": 128}})
    ids, tasks = [f"t{i}" for i in range(TASKS)], np.arange(TASKS)
    for measure in PAIRED:
        scores.add_means(measure, "heldout", ids, tasks, [DIFFICULTY + nats + rng.normal(0, 0.05, TASKS)])
    scores.add_means("selection_nce", "heldout", ids, tasks, [DIFFICULTY + 2 * nats])
    for measure in ("ranking_a", "ranking_c"):
        scores.add_means(measure, "arc1", ids, tasks, [(rng.random(TASKS) < 0.5).astype(float)])
    scores.add_means("ranking_b", "arc1", ids, tasks, [(tasks < TASKS * (0.5 + nats)).astype(float)])
    scores.add_scalar("effective_rank_target", "pool", (20.0, 0.5))
    save_scores(folder, scores)
    (folder / "run.json").write_text(json.dumps({"hyperparameters": ["a", "b", "c"]}))
    relational = np.array([1.0, 0.5, 0.5 * growth, 0.6]) + 0.01 * seed
    norms = np.array([1.0, norm + seed, 2.0, 2.0])
    epochs = {"epoch": range(1, 5), "train_relational": relational, "grad_norm_max": norms}
    pd.DataFrame(epochs).to_csv(folder / "epochs.csv", index=False)
    return folder


def load(root: Path, names: tuple[str, ...], seeds: int) -> list[Member]:
    paths = [root / name / f"seed{seed}" / "scores.csv" for name in names for seed in range(seeds)]
    return load_members(paths, tiny_params())


def made(root: Path, nats: dict[str, float], seeds: int = 3) -> list[Member]:
    for name, value in nats.items():
        for seed in range(seeds):
            write_run(root / name / f"seed{seed}", value)
    return load(root, tuple(nats), seeds)


def row(table: pd.DataFrame, name: str) -> pd.Series:
    return table.set_index("name").loc[name]


# --- the table


def test_the_columns_are_those_that_are_read(tmp_path):
    table = ablation_table(made(tmp_path, dict.fromkeys(CROSSED, 0.0), 1), EVALUATION)
    differences = [f"{measure}_{other}" for other in ("change", "step") for measure in COMPARED]
    quantities = [*MEASURES, *RECORDED, *differences]
    named = [column for name in quantities for column in (name, f"{name}_low", f"{name}_high")]
    assert list(table) == ["name", "changes", "step", "over", "seeds", "hyperparameters", *named, "missing"]
    assert set(MEASURES) == {
        "val_nce", "readout_nce", "selection_nce", "val_nce_validation", "readout_nce_validation", "ranking_a",
        "ranking_b", "ranking_c", "retrieval_rearc", "retrieval_augmented", "effective_rank_target", "code_usage",
    }  # fmt: skip


@pytest.mark.slow
def test_the_untrained_control_is_the_last_row_with_its_difference_from_the_reference(tmp_path):
    members = made(tmp_path, {"phase1": 0.0, "no_teacher": 0.4})
    folders = [write_run(tmp_path / "untrained" / f"seed{seed}", 2.0) for seed in range(3)]
    table = ablation_table(members, EVALUATION, load_runs("untrained", folders))
    assert table["name"].tolist() == ["phase1", "no_teacher", "untrained"]
    control = row(table, "untrained")
    assert control["val_nce_change"] == pytest.approx(2.0, abs=0.05)
    assert control[["val_nce_step", "grad_norm_max"]].isna().all()
    assert list(table) == list(ablation_table(members, EVALUATION))


@pytest.mark.slow
def test_what_changes_is_told_from_the_settings(tmp_path):
    table = ablation_table(made(tmp_path, dict.fromkeys(CROSSED, 0.0), 1), EVALUATION)
    assert table["changes"].tolist() == ["", REFRESH, RELATIONAL, f"{REFRESH}; {RELATIONAL}"]
    assert row(table, "both_off")["step"] == REFRESH
    assert row(table, "refresh_off")["step"] == REFRESH
    assert table["over"].tolist() == [
        "",
        f"baseline: {REFRESH}",
        f"baseline: {RELATIONAL}",
        f"refresh_off: {RELATIONAL}",
    ]


@pytest.mark.slow
def test_differences_are_from_the_reference_and_from_the_row_above(tmp_path):
    nats = {"phase1": 0.0, "no_teacher": 0.4, "no_sigreg": 0.1}
    table = ablation_table(made(tmp_path, nats), EVALUATION)
    differences = [f"{measure}_{other}" for measure in COMPARED for other in ("change", "step")]
    assert row(table, "phase1")[differences].isna().all()
    for measure in PAIRED:
        assert row(table, "no_teacher")[f"{measure}_change"] == pytest.approx(0.4, abs=0.03)
        assert row(table, "no_sigreg")[f"{measure}_change"] == pytest.approx(0.1, abs=0.03)
        assert row(table, "no_sigreg")[f"{measure}_step"] == pytest.approx(-0.3, abs=0.03)
        assert row(table, "no_sigreg")[f"{measure}_step_high"] < 0
    assert row(table, "no_teacher")["selection_nce_change"] == pytest.approx(0.8)
    assert row(table, "no_sigreg")["selection_nce_step"] == pytest.approx(-0.6)
    assert row(table, "no_teacher")["ranking_b_change"] == pytest.approx(0.4)
    assert row(table, "no_sigreg")["ranking_b_step_high"] < 0
    assert row(table, "no_sigreg")["val_nce"] - row(table, "phase1")["val_nce"] == pytest.approx(
        row(table, "no_sigreg")["val_nce_change"]
    )


@pytest.mark.slow
def test_a_difference_is_paired_by_task(tmp_path):
    """Tasks differ far more from one another than members do: intervals overlap, and the difference is clear."""
    table = ablation_table(made(tmp_path, {"phase1": 0.0, "no_teacher": 0.2}), EVALUATION)
    first, other = row(table, "phase1"), row(table, "no_teacher")
    assert other["val_nce_low"] < first["val_nce"] < other["val_nce_high"]
    assert 0.1 < other["val_nce_change_low"] < other["val_nce_change_high"] < 0.3


def test_quantities_of_the_record_span_the_seeds(tmp_path):
    three = row(ablation_table(made(tmp_path, {"phase1": 0.0}), EVALUATION), "phase1")
    assert three["grad_norm_max"] == 11
    assert three["grad_norm_max_low"] < 11 < three["grad_norm_max_high"]
    one = row(ablation_table(load(tmp_path, ("phase1",), 1), EVALUATION), "phase1")
    assert one["grad_norm_max"] == 10
    assert one[["grad_norm_max_low", "relational_growth_high"]].isna().all()


def test_growth_is_what_the_targets_judge_by(tmp_path):
    """Of the raw loss, as it may weigh nothing, and after warm-up, by the one formula."""
    member = made(tmp_path, {"phase1": 0.0}, 1)[0]
    for values, expected in (((40.0, 20.0, 10.0), 1), ((9.0, 20.0, 40.0), 2), ((np.nan, np.nan, np.nan), None)):
        table = pd.DataFrame({"epoch": range(1, 4), "train_relational": values, "train_relational_weighted": 0.0})
        member.epochs["seed0"] = table
        assert member.recorded("relational_growth").get("seed0") == expected
    member.epochs["seed0"] = pd.DataFrame({"epoch": [1]})
    assert member.recorded("relational_growth") == member.recorded("grad_norm_max") == {}


def test_a_member_that_was_not_run_is_named_and_the_others_count(tmp_path):
    made(tmp_path, {"phase1": 0.0, "no_sigreg": 0.1}, 1)
    table = ablation_table(load(tmp_path, ("phase1", "no_teacher", "no_sigreg"), 1), EVALUATION)
    absent = row(table, "no_teacher")
    assert (absent["missing"], absent["seeds"]) == ("no_teacher/seed0", 0)
    assert absent[["val_nce", "val_nce_change", "relational_growth"]].isna().all()
    assert absent["changes"] == "loss.teacher.enabled on → off"
    assert row(table, "no_sigreg")["val_nce_change"] == pytest.approx(0.1, abs=0.03)


def test_the_table_survives_a_file(tmp_path):
    ablation_table(made(tmp_path, dict.fromkeys(CROSSED, 0.0), 1), EVALUATION).to_csv(tmp_path / "t.csv", index=False)
    again = pd.read_csv(tmp_path / "t.csv")
    assert again["name"].tolist() == list(CROSSED)
    assert again.loc[1:, "changes"].tolist() == [REFRESH, RELATIONAL, f"{REFRESH}; {RELATIONAL}"]


def test_a_damaged_record_is_named(tmp_path):
    made(tmp_path, {"phase1": 0.0}, 1)
    (tmp_path / "phase1/seed0/epochs.csv").write_text("")
    with pytest.raises(UserError, match=r"epochs\.csv: .*snakemake --force"):
        load(tmp_path, ("phase1",), 1)


# --- the effects in a 2 x 2


def effect(table: pd.DataFrame, quantity: str, name: str) -> pd.Series:
    return table[(table["quantity"] == quantity) & (table["effect"] == name)].iloc[0]


@pytest.mark.slow
@pytest.mark.parametrize("interaction", [0.0, 0.5])
def test_planted_effects_are_found(tmp_path, interaction):
    """Each main effect is averaged over the other change, so an interaction adds half of itself to both."""
    nats = dict(zip(CROSSED, (0.0, -0.2, 0.3, 0.1 + interaction), strict=True))
    table = effects_table(made(tmp_path, nats), EVALUATION)
    for measure in PAIRED:
        expected = {REFRESH: -0.2 + interaction / 2, RELATIONAL: 0.3 + interaction / 2, INTERACTION: interaction}
        for name, value in expected.items():
            found = effect(table, measure, name)
            assert found["value"] == pytest.approx(value, abs=0.04)
            assert found["low"] < found["value"] < found["high"] < found["low"] + 0.2
    found = effect(table, "val_nce", INTERACTION)
    assert (found["low"] > 0) == (interaction > 0)


@pytest.mark.slow
def test_effects_on_the_record_are_paired_by_seed(tmp_path):
    """Seeds differ by what all four share: the effect is exact, and its interval has no width."""
    for name, norm in zip(CROSSED, (50.0, 30.0, 20.0, 10.0), strict=True):
        for seed in range(3):
            write_run(tmp_path / name / f"seed{seed}", 0.0, growth=4.0, norm=norm)
    table = effects_table(load(tmp_path, CROSSED, 3), EVALUATION)
    found = {name: effect(table, "grad_norm_max", name) for name in (REFRESH, RELATIONAL, INTERACTION)}
    assert [found[name]["value"] for name in found] == pytest.approx([-15, -25, 10])
    assert all(row["low"] == pytest.approx(row["high"]) for row in found.values())
    assert effect(table, "relational_growth", INTERACTION)["value"] == pytest.approx(0)
    assert set(table["seeds"]) == {3}


def test_a_single_seed_gives_values_of_the_record_without_intervals(tmp_path):
    table = effects_table(made(tmp_path, dict.fromkeys(CROSSED, 0.0), 1), EVALUATION)
    record = table[table["quantity"].isin(list(RECORDED))]
    assert len(record) == 3 * len(RECORDED)
    assert record[["low", "high"]].isna().all(axis=None)
    assert table.loc[table["quantity"] == "val_nce", ["low", "high"]].notna().all(axis=None)


def test_a_quantity_that_one_of_the_four_lacks_has_no_effects(tmp_path):
    made(tmp_path, dict.fromkeys(CROSSED, 0.0), 1)
    path = tmp_path / "both_off/seed0/epochs.csv"
    pd.read_csv(path).drop(columns="train_relational").to_csv(path, index=False)
    (tmp_path / "refresh_off/seed0/scores.csv").unlink()
    table = effects_table(load(tmp_path, CROSSED, 1), EVALUATION)
    assert set(table["quantity"]) == {"grad_norm_max"}


def test_effects_are_named_after_the_changes(tmp_path):
    members = made(tmp_path, dict.fromkeys(CROSSED, 0.0), 1)
    names = [describe(changes(members[0].phase, member.phase)) for member in members[1:3]]
    assert list(dict.fromkeys(effects_table(members, EVALUATION)["effect"])) == [*names, INTERACTION]
    with pytest.raises(AssertionError, match="2 x 2"):
        effects_table(members[:3], EVALUATION)
