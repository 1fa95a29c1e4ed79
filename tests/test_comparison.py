import json

import numpy as np
import pandas as pd
import pytest

from arcjepa.comparison import COMPARED, apart, differences_table, load_runs, metrics_table, probes_table, ranking_table
from arcjepa.data_settings import Evaluation
from arcjepa.errors import UserError
from arcjepa.scores import Scores, save_scores

EVALUATION = Evaluation(pool=128, max_tasks=24, readout_sequences=200, bootstrap=200, seed=7)
HEADLINE = [
    *("val_nce", "readout_nce", "ranking_a", "ranking_b", "ranking_c", "retrieval_rearc", "retrieval_augmented"),
    *(
        "query_only_nce",
        "selection_nce",
        "effective_rank_context",
        "effective_rank_target",
        "code_usage",
        "code_perplexity",
    ),
]


def write_run(folder, level=3.0, codes=True, seed=0):
    scores, rng = Scores(record={"pool": {"size": 128}}), np.random.default_rng(seed)
    ids, tasks = [f"1e{i}" for i in range(40)], np.arange(80) % 40
    for part in ("heldout", "validation"):
        for measure in ("val_nce", "readout_nce", "query_only_nce", "selection_nce"):
            scores.add_means(measure, part, ids, tasks, [level + rng.normal(0, 0.3, 80)])
    for part in ("arc1", "own"):
        for measure in ("ranking_a", "ranking_b", "ranking_c", "retrieval_augmented", "retrieval_rearc"):
            home = "rearc" if measure == "retrieval_rearc" else part
            scores.add_means(measure, home, ids, tasks, [(rng.random(80) < 0.5).astype(float)])
            scores.add_means(f"{measure}_chance", home, ids, tasks, [np.full(80, 1 / 16)])
    scores.add_means("probe_size_linear", "heldout", ids, tasks, [np.ones(80), np.full(80, 2.0)])
    for side in ("context", "target"):
        scores.add_scalar(f"effective_rank_{side}", "pool", (20.0 + seed, 0.5))
    if codes:
        scores.add_scalar("code_usage", "pool", (0.3, 0.01))
    save_scores(folder, scores)
    (folder / "run.json").write_text(json.dumps({"hyperparameters": ["a", "b", "c"]}))
    return folder


def test_the_columns_are_those_that_are_read(tmp_path):
    table = metrics_table([load_runs("phase2", [write_run(tmp_path / "phase2" / "seed0")])], EVALUATION)
    expected = ["name", "seeds", "hyperparameters"]
    expected += [column for measure in HEADLINE for column in (measure, f"{measure}_low", f"{measure}_high")]
    assert list(table)[: len(expected)] == expected
    row = table.iloc[0]
    assert (row["seeds"], row["hyperparameters"]) == (1, 3)
    assert all(row[f"{m}_low"] <= row[m] <= row[f"{m}_high"] for m in HEADLINE if m != "code_perplexity")
    assert row["nce_chance"] == pytest.approx(np.log(128))
    assert row["ranking_a_chance"] == pytest.approx(1 / 16)
    assert row["effective_rank_target_high"] == pytest.approx(20.98)


def test_what_does_not_apply_is_empty_and_the_table_survives_a_file(tmp_path):
    runs = [load_runs("tokens", [write_run(tmp_path / "tokens" / "seed0", codes=False)])]
    metrics_table(runs, EVALUATION).to_csv(tmp_path / "metrics.csv", index=False)
    row = pd.read_csv(tmp_path / "metrics.csv").iloc[0]
    assert row[["hyperparameters", "code_usage", "code_usage_low", "apart_from_untrained"]].isna().all()


def test_a_missing_run_is_named_and_the_others_count(tmp_path):
    folders = [write_run(tmp_path / "phase1" / "seed0"), tmp_path / "phase1" / "seed1"]
    absent = load_runs("phase2", [tmp_path / "phase2" / "seed0"])
    table = metrics_table([load_runs("phase1", folders), absent], EVALUATION)
    assert table["missing"].tolist() == ["phase1/seed1", "phase2/seed0"]
    assert table["seeds"].tolist() == [1, 0]
    assert table["val_nce"].isna().tolist() == [False, True]


def test_seeds_are_joined(tmp_path):
    folders = [write_run(tmp_path / "p" / f"seed{s}", level=3.0 + s, seed=s) for s in range(3)]
    joined, single = (metrics_table([load_runs("p", f)], EVALUATION).iloc[0] for f in (folders, folders[:1]))
    assert joined["val_nce"] == pytest.approx(4, abs=0.1)
    assert joined["effective_rank_target"] == 21
    assert joined["val_nce_high"] - joined["val_nce_low"] > 3 * (single["val_nce_high"] - single["val_nce_low"])


@pytest.mark.slow
@pytest.mark.parametrize(("level", "expected"), [(2.0, "yes"), (4.0, "no"), (6.0, "worse")])
def test_whether_a_phase_is_apart_from_the_untrained_control(tmp_path, level, expected):
    runs = [
        load_runs("phase1", [write_run(tmp_path / "phase1" / "seed0", level=level, seed=1)]),
        load_runs("untrained", [write_run(tmp_path / "untrained" / "seed0", level=4.0)]),
    ]
    assert metrics_table(runs, EVALUATION)["apart_from_untrained"].tolist() == [expected, ""]
    assert apart((float("nan"),) * 3) == ""


def test_differences_are_of_each_phase_from_those_before_it_and_from_controls(tmp_path):
    levels = {"phase1": 3.0, "phase2": 2.5, "untrained": 4.0, "copy": 5.0}
    runs = [load_runs(name, [write_run(tmp_path / name / "seed0", level)]) for name, level in levels.items()]
    table = differences_table(runs, EVALUATION)
    pairs = [tuple(pair) for pair in table[["name", "other"]].drop_duplicates().to_numpy()]
    assert pairs == [(name, other) for name, *others in (
        ("phase1", "untrained", "copy"), ("phase2", "phase1", "untrained", "copy")) for other in others]  # fmt: skip
    assert len(table) == len(pairs) * len(COMPARED)
    row = table[(table["name"] == "phase2") & (table["other"] == "phase1") & (table["measure"] == "val_nce")].iloc[0]
    # The same noise on the same tasks: paired, nothing of it is left.
    assert (row["value"], row["low"], row["high"]) == pytest.approx((-0.5, -0.5, -0.5))


def test_rankings_of_the_users_test_sets_have_rows_of_their_own(tmp_path):
    table = ranking_table([load_runs("phase2", [write_run(tmp_path / "phase2" / "seed0")])], EVALUATION)
    assert list(table) == ["name", "set", "measure", "value", "low", "high", "chance"]
    assert set(zip(table["set"], table["measure"], strict=True)) >= {("own", "ranking_c"), ("rearc", "retrieval_rearc")}
    assert table["chance"].to_numpy() == pytest.approx(1 / 16)


def test_probes(tmp_path):
    table = probes_table([load_runs("p", [write_run(tmp_path / "p" / "seed0")])], EVALUATION)
    row = table[(table["probe"] == "size") & (table["method"] == "linear")].iloc[0]
    assert (row["value"], row["low"], row["high"]) == (0.5, 0.5, 0.5)


def test_damaged_files_are_named(tmp_path):
    folder = write_run(tmp_path / "p" / "seed0")
    (folder / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json"):
        load_runs("p", [folder])
    (folder / "run.json").unlink()
    scores = (folder / "scores.csv").read_bytes()
    (folder / "scores.csv").write_bytes(scores[: scores.index(b"\n", len(scores) // 2) + 1])
    with pytest.raises(UserError, match=r"scores\.csv: .* not those that evaluation\.json recorded; make it again"):
        load_runs("p", [folder])
    (folder / "evaluation.json").unlink()
    (folder / "scores.csv").write_text("measure,set\n")
    with pytest.raises(UserError, match=r"scores\.csv: column 'task' is missing"):
        load_runs("p", [folder])
