"""The tables against facts read off the analysis by hand, and the record against the form of our own."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from analysis_cases import ANALYSIS, alter, copied

from arcjepa import analysed_run
from arcjepa.analysed_run import NOT_PRINTED, TEXT, comparable, load_table, load_text, settings, summary, write_record
from arcjepa.errors import UserError
from arcjepa.record import EPOCH_COLUMNS, STEP_COLUMNS

ROOT = Path(__file__).parents[1]
FACTS = {  # rows, and the sums of columns
    "alignment_overall": (3, {"low": 145, "high": 175}),
    "alignment_phase1": (4, {"printed_low": 5, "printed_high": 10}),
    "alignment_phase2": (6, {}),
    "alignment_production": (8, {"printed": 4020.1}),
    "appendix_embeddings": (5, {"step": 16700, "usage": 128.1, "context_variance": 0.0030807}),
    "appendix_gradients": (4, {"epoch": 181, "mean": 105.75, "max": 251.92, "relational": 2.706}),
    "appendix_losses": (4, {"epoch": 171, "total": 34.818, "val_loss": 34.72}),
    "balance_evidence": (2, {"from_value": 9.39, "to_value": 8.36}),
    "codebook_usage": (6, {"usage_low": 115, "usage_high": 147, "active_low": 854, "active_high": 1141}),
    "critical_problems": (5, {"first_epoch": 80, "last_epoch": 71, "step": 3000, "printed_increase": 314}),
    "curriculum": (3, {"band": 6, "first_epoch": 72, "last_epoch": 70, "schedule": 170}),
    "durations": (10, {"low": 27, "high": 37}),
    "effective_rank": (5, {"step": 16700, "context": 44.98, "target": 55.8}),
    "expected_outcomes": (14, {"from_value": 66.44, "to_low": 115.8, "printed_low": 200.8, "printed_high": 81}),
    "gradient_norms": (11, {"epoch": 418, "mean": 250.1, "max": 530.11}),
    "key_findings": (7, {"target_high": 44.7, "achieved": 132.611, "printed_gap": 2.5, "printed_factor": 3}),
    "lejepa_gap": (4, {"lejepa_count": 1, "ours_count": 20}),
    "proposed_settings": (50, {"from_value": 12762.458, "to_value": 111692.613552}),
    "refresh_events": (4, {"step": 6000, "epoch": 19, "usage_from": 48, "usage_to": 56, "steps": 4600}),
    "relational_evidence": (3, {"raw": 90.4, "weighted": 1.95, "printed_ratio": 215, "guessed_raw": 110}),
    "risks": (9, {"probability": 290}),
    "roadmap": (30, {"week": 61, "first_day": 63, "last_day": 87, "value": 753.1, "high": 8}),
    "run_settings": (30, {"value": 20677.058051}),
    "statements": (77, {}),
    "success_criteria": (13, {"low": 183.9, "high": 145, "baseline": 16.44, "printed_improvement": 10}),
    "success_metrics": (16, {"baseline_spread": 23, "target_spread": 7, "improvement_low": 35.6}),
    "training_losses": (10, {"infonce": 78.994, "sigreg": 0.4022, "invariance": 0.1824, "total": 85.85}),
    "validation_points": (2, {"epoch": 149, "val_loss": 16.711, "printed_gap": 3.2}),
    "validation_ranges": (5, {"first_epoch": 170, "last_epoch": 245, "loss_from": 43.06, "loss_to": 42.17}),
    "variance_isotropy": (5, {"context_isotropy": 1.0026e-4, "target_variance": 0.004324, "target_isotropy": 5.573e-5}),
}
SPOTS = [
    ("alignment_overall", {"stage": "phase2"}, {"letter": "B+", "low": 75, "high": 85}),
    ("alignment_phase1", {"principle": "Single hyperparameter"}, {"mark": "partly", "alignment": "Medium"}),
    ("alignment_phase2", {"principle": "No teacher-student"}, {"mark": "partly", "status": "EMA optional"}),
    ("alignment_production", {"principle": "No stop-gradient"}, {"mark": "yes", "alignment": "High", "gap": "None"}),
    ("alignment_production", {"principle": "No teacher-student"}, {"mark": "no", "alignment": "Medium"}),
    ("appendix_embeddings", {"step": 7600}, {"usage": 33.6, "context_rank": 15.53, "context_variance": math.nan}),
    (
        "appendix_gradients",
        {"epoch": 71},
        {"mean": 16.36, "max": 49.23, "relational": 1.101, "assessment": "Explosion"},
    ),
    ("appendix_losses", {"epoch": 60}, {"infonce": 7.507, "total": 8.350, "val_loss": 8.268}),
    ("balance_evidence", {"component": "relational"}, {"from_value": 0.35, "to_value": 0.85}),
    ("codebook_usage", {"first_step": 5100}, {"last_step": 7600, "usage_low": 22, "active_low": 145}),
    ("codebook_usage", {"first_step": 3000}, {"usage_low": 30, "active_high": 232, "trend": "Spike"}),
    ("critical_problems", {"problem": "Gradient Instability"}, {"to_low": 66, "to_high": 81}),
    ("curriculum", {"band": 3}, {"first_epoch": 51, "last_epoch": math.nan, "schedule": 100}),
    ("durations", {"phase": "each"}, {"low": 5, "high": 7, "unit": "days"}),
    ("effective_rank", {"step": 3000}, {"context": 7.25, "target": 8.63}),
    (
        "expected_outcomes",
        {"part": "Path Forward", "quantity": "L-JEPA alignment", "phase": "all"},
        {"printed_low": 150},
    ),
    ("gradient_norms", {"epoch": 41}, {"mean": 31.13, "max": 81.60, "assessment": "Peak instability"}),
    ("key_findings", {"metric": "Best Val Loss"}, {"target_high": 8.3, "achieved": 8.224, "printed_gap": 2.5}),
    ("lejepa_gap", {"aspect": "Loss Function"}, {"lejepa": "SIGReg + L2", "gap": "Medium"}),
    ("proposed_settings", {"setting": "training.early_stopping.patience"}, {"from_value": 30, "to_value": 15}),
    ("proposed_settings", {"fix": "Fix 3.2", "setting": "gradnorm.alpha"}, {"to_value": 1.5}),
    ("refresh_events", {"event": "refresh triggered"}, {"step": 3000, "epoch": 19}),
    ("relational_evidence", {"epoch": 71}, {"raw": math.nan, "weighted": 1.10, "guessed_raw": 110}),
    ("risks", {"risk": "Longer context window doesn't help"}, {"probability": 60, "impact": "Low", "phase": "phase3"}),
    ("roadmap", {"quantity": "codes"}, {"value": 384, "week": 1}),
    ("run_settings", {"setting": "training.gradient_clip.max_norm"}, {"value": 0.5}),
    ("run_settings", {"setting": "object_encoder.num_embeddings"}, {"value": 768, "unit": "codes"}),
    ("statements", {"name": "relational increase"}, {"low": 314, "relation": "equals", "unit": "percent"}),
    ("success_criteria", {"phase": "phase3", "quantity": "val loss"}, {"low": 7.8, "printed_improvement": 10}),
    ("success_metrics", {"metric": "VQ Usage"}, {"target_low": 25, "improvement_low": 20, "improvement_high": 60}),
    ("success_metrics", {"metric": "Hyperparameter Count"}, {"baseline_low": 15, "baseline_high": 18}),
    ("training_losses", {"epoch": 71}, {"infonce": 7.511, "relational": 1.101, "total": 8.667}),
    ("validation_points", {"point": "best"}, {"epoch": 69, "val_loss": 8.224}),
    ("validation_ranges", {"last_epoch": 50}, {"loss_from": 8.59, "loss_to": 8.43, "trend": "High variance"}),
    ("variance_isotropy", {"step": 7600}, {"context_variance": math.nan, "target_isotropy": math.nan}),
    ("variance_isotropy", {"step": 1000}, {"context_variance": 4.94e-4, "target_isotropy": 7.84e-6}),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tables, to be altered."""
    return copied(tmp_path)


@pytest.mark.parametrize("name", FACTS)
def test_a_table_has_the_rows_and_sums_of_the_analysis(name: str) -> None:
    rows, sums = FACTS[name]
    table = load_table(name, ANALYSIS)
    assert len(table) == rows
    assert {column: table[column].sum() for column in sums} == pytest.approx(sums, rel=1e-9)


@pytest.mark.parametrize(("name", "keys", "expected"), SPOTS)
def test_a_table_has_the_values_of_the_analysis(name: str, keys: dict, expected: dict) -> None:
    table = load_table(name, ANALYSIS)
    for key, value in keys.items():
        table = table[table[key] == value]
    assert len(table) == 1
    assert table[list(expected)].iloc[0].to_dict() == pytest.approx(expected, nan_ok=True)


def test_the_index_names_every_file_with_its_section_and_every_column_with_its_unit() -> None:
    files = {path.name for path in ANALYSIS.iterdir()}
    index, columns = load_table("tables", ANALYSIS), load_table("columns", ANALYSIS)
    assert sorted(index["file"]) == sorted(files - {"tables.csv", "columns.csv"}) == [f"{name}.csv" for name in FACTS]
    assert (index != "").all(axis=None)
    assert (columns != "").all(axis=None)
    for file in index["file"]:
        assert list(load_text(file.removesuffix(".csv"), ANALYSIS)) == list(columns["column"][columns["file"] == file])
    assert {name for name, _, _ in SPOTS} == set(FACTS)


@pytest.mark.slow
def test_words_and_numbers_keep_apart_and_signs_of_approval_are_words() -> None:
    columns = load_table("columns", ANALYSIS).set_index(["file", "column"])["unit"]
    for (file, column), unit in columns.items():
        values = load_table(file.removesuffix(".csv"), ANALYSIS)[column]
        assert (values.dtype == float) == (unit != TEXT)
        assert unit == TEXT or values.notna().any()
    assert all(path.read_text(encoding="utf-8").isascii() for path in ANALYSIS.iterdir())


def test_epochs_have_the_form_of_our_record_and_only_what_is_printed() -> None:
    table = analysed_run.epochs(ANALYSIS)
    assert list(table) == [name for name in EPOCH_COLUMNS if name in set(table)]
    assert table["epoch"].tolist() == [1, 10, 15, 20, 30, 34, 35, 37, 38, 40, 41, 42, 50, 60, 69, 70, 71, 80]
    assert (table["step"] == 95 * table["epoch"]).all()
    at = table.set_index("epoch")
    assert at.loc[71, ["grad_norm_max", "train_prediction", "train_relational_weighted"]].tolist() == [
        49.23,
        7.511,
        1.101,
    ]
    assert at["val_total"].dropna().to_dict() == {
        1: 9.378, 15: 8.40, 30: 8.587, 50: 8.43, 60: 8.268, 69: 8.224, 70: 8.26, 80: 8.487,
    }  # fmt: skip
    assert at.loc[[34, 35, 41], "train_relational_weighted"].tolist() == [0.502, 0.486, 0.617]
    assert at.loc[69].drop(["step", "val_total"]).isna().all()
    terms = [f"train_{term}_weighted" for term in ("prediction", "sigreg", "invariance", "relational")]
    assert (at[terms].sum(axis=1) - at["train_total"]).abs().max() < 0.0017


def test_steps_have_the_form_of_our_record_with_usage_as_a_share() -> None:
    table = analysed_run.steps(ANALYSIS)
    assert list(table) == [name for name in STEP_COLUMNS if name in set(table)]
    assert table["step"].tolist() == [100, 1000, 2900, 3000, 3100, 5000, 7600]
    assert table["epoch"].tolist() == [2, 11, 31, 32, 33, 53, 80]
    assert table["code_usage"].tolist() == pytest.approx([0.268, 0.164, 0.18, 0.302, 0.13, 0.211, 0.336])
    at = table.set_index("step")
    assert at["active_codes"].dropna().to_dict() == {3000: 232, 3100: 100}
    assert at.loc[7600, ["effective_rank_context", "effective_rank_target"]].tolist() == [15.53, 19.34]
    assert at.loc[[2900, 3100, 7600], "variance_target"].isna().all()


def test_the_settings_are_named_as_our_phases_are() -> None:
    tree = settings(ANALYSIS)
    assert tree["optimizer"]["clip"] == 0.5
    assert tree["stopping"] == {"enabled": True, "patience": 30, "min_delta": 0.003}
    assert tree["quantizer"]["refresh"] == {"enabled": True, "interval": 3000, "threshold": 0.01}
    assert tree["loss"]["relational"] == {"enabled": True, "form": "raw", "weight": 0.025, "self_share": 0.4}
    assert (tree["quantizer"]["codes"], tree["loss"]["infonce"]["queue"]) == (768, 8192)
    assert tree["training"] == {"epochs": 80, "batch_size": NOT_PRINTED["training.batch_size"]}


def test_the_summary_says_what_the_run_was() -> None:
    found = summary(ANALYSIS)
    assert (found["epochs"], found["best_epoch"], found["steps"]) == (80, 69, 7600)
    assert len(found["hyperparameters"]) >= 20
    assert found["settings_not_printed"] == sorted(NOT_PRINTED)


def test_our_phases_have_every_setting_of_the_run() -> None:
    from arcjepa.config import load, resolved
    from arcjepa.params import leaves

    known = {path for path, _ in leaves(resolved(load(ROOT / "params.yaml").phase_settings("baseline")))}
    assert {path for path, _ in leaves(settings(ANALYSIS))} <= known


@pytest.mark.slow
def test_the_record_reads_like_a_run_folder(tmp_path: Path) -> None:
    write_record(tmp_path, ANALYSIS)
    for name, table in (("epochs", analysed_run.epochs(ANALYSIS)), ("steps", analysed_run.steps(ANALYSIS))):
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / f"{name}.csv"), table, check_dtype=False, rtol=1e-5)
    assert json.loads((tmp_path / "run.json").read_text()) == summary(ANALYSIS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_record(tmp_path, ANALYSIS)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_the_record_follows_the_tables(copy: Path) -> None:
    alter(copy, "training_losses", "7.511", "7.611")
    alter(copy, "appendix_embeddings", "16.4", "17.4")
    alter(copy, "run_settings", "training.steps,7600", "training.steps,8000")
    epochs, steps = (
        f(copy).set_index(key) for f, key in ((analysed_run.epochs, "epoch"), (analysed_run.steps, "step"))
    )
    assert epochs.loc[71, ["step", "train_prediction"]].tolist() == [7100, 7.611]
    assert steps.loc[1000, ["epoch", "code_usage"]].tolist() == pytest.approx([10, 0.174])


def test_every_quantity_of_the_record_says_whether_it_compares_and_why() -> None:
    table = comparable().set_index("quantity")
    quantities = {*analysed_run.epochs(ANALYSIS), *analysed_run.steps(ANALYSIS)}
    assert quantities <= set(table.index) <= {*EPOCH_COLUMNS, *STEP_COLUMNS, "best_epoch"}
    assert set(table["comparable"]) == {"yes", "no", "in part"}
    assert (table["why"].str.len() > 5).all()
    assert table["comparable"][["effective_rank_target", "val_total", "variance_target"]].tolist() == [
        "yes", "in part", "no",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("training_losses", "8.667", "eight", r"training_losses\.csv: total: row 9 is 'eight'.*finite number"),
        ("training_losses", "8.667", "inf", r"total: row 9 is 'inf'"),
        ("training_losses", "8.667", "nan", r"total: row 9 is 'nan'"),
        ("training_losses", "infonce,", "InfoNCE,", r"training_losses\.csv: columns epoch, InfoNCE.*allowed.*infonce"),
        ("training_losses", "9.451,", "9.451,1,2,3,", r"training_losses\.csv: row 1 has 10 values; allowed: 7"),
        ("training_losses", "Healthy decline", '"Healthy', r"training_losses\.csv: cannot be read"),
        ("columns", "meaning", "sense", r"columns\.csv: columns file, column, unit, sense; allowed"),
    ],
)
def test_a_damaged_table_is_named(copy: Path, name: str, old: str, new: str, message: str) -> None:
    alter(copy, name, old, new)
    with pytest.raises(UserError, match=message) as error:
        load_table("training_losses", copy)
    assert "\n" not in str(error.value).strip()


def test_what_is_missing_is_named(copy: Path) -> None:
    with pytest.raises(UserError, match=r"no table 'training_loses'; did you mean training_losses"):
        load_table("training_loses", copy)
    (copy / "risks.csv").unlink()
    with pytest.raises(UserError, match=r"risks\.csv: not found; take it from git"):
        load_table("risks", copy)
    alter(copy, "run_settings", "gradient_clip.max_norm,0.5", "gradient_clip.max_norm,")
    with pytest.raises(UserError, match=r"run_settings\.csv: no value of training\.gradient_clip\.max_norm"):
        settings(copy)
    with pytest.raises(UserError, match=r"tables\.csv: not found"):
        load_table("risks", copy / "nowhere")
