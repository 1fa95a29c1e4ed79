from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fake_embedders import SETTINGS, Collapsed, Guessing, Oracle, make_frames, make_tokens, with_kin

from arcjepa.candidates import draw_candidates
from arcjepa.data_settings import Evaluation
from arcjepa.evaluation import EvaluationData, clusters, evaluate
from arcjepa.examples import load_examples
from arcjepa.ranking import TestSet
from arcjepa.scores import COLUMNS, save_scores
from arcjepa.shares import selects
from arcjepa.tokens import tokenise

EVALUATION = Evaluation(pool=128, max_tasks=24, readout_sequences=200, bootstrap=50, seed=7)
FRAMES = make_frames(30, seed=6, prefix="a")
CANDIDATES = draw_candidates(FRAMES, EVALUATION.max_tasks, EVALUATION.seed)
DATA = EvaluationData(
    training=make_tokens(30, seed=1, prefix="t"),
    synthetic=make_tokens(60, seed=2, prefix="s"),
    validation=make_tokens(20, seed=3, prefix="v"),
    heldout=with_kin(make_tokens(60, seed=4, prefix="h")),
    rearc=make_tokens(40, seed=5, prefix="t"),
    tests={"arc1": TestSet(FRAMES, tokenise(FRAMES, SETTINGS), CANDIDATES, tokenise(CANDIDATES.grids, SETTINGS))},
)


def means(scores):
    table = scores.table[scores.table["task"] != ""]
    sums = table.groupby("measure")[["total", "weight"]].sum()
    return sums["total"] / sums["weight"]


@pytest.fixture(scope="module")
def oracle():
    return evaluate(Oracle(DATA.validation, DATA.heldout, DATA.tests["arc1"].tokens), DATA, EVALUATION)


@pytest.mark.slow
def test_an_oracle_is_right_about_everything_it_predicts(oracle):
    value = means(oracle)
    assert value["val_nce"] < 0.01
    assert [value[f"ranking_{kind}"] for kind in "abc"] == [1, 1, 1]


@pytest.mark.slow
def test_guessing_and_collapse_are_at_chance():
    for embedder, noise in ((Guessing(), 0.25), (Collapsed(), 1e-6)):
        value = means(evaluate(embedder, DATA, EVALUATION))
        assert value[["val_nce", "readout_nce", "query_only_nce"]].to_numpy() == pytest.approx(np.log(128), abs=0.25)
        assert all(value[f"ranking_{k}"] == pytest.approx(value[f"ranking_{k}_chance"], abs=noise) for k in "abc")


def test_only_tasks_whose_original_was_not_trained_on_are_retrieved(oracle):
    table = oracle.table
    asked = set(table[table["measure"].str.startswith("retrieval_rearc")]["task"])
    assert asked == {f"t{i:03d}" for i in range(30, 40)}


@pytest.mark.slow
def test_rearc_tasks_that_early_stopping_was_chosen_on_are_not_reported():
    """Of 40 tasks 30 train, and the validation split has the others: half of them select."""
    data = replace(DATA, validation=make_tokens(40, seed=1, prefix="t"))
    table = evaluate(Guessing(), data, EVALUATION).table
    asked = {name: set(table[table["measure"] == name]["task"]) for name in data.rearc_queries}
    apart = {f"t{i:03d}" for i in range(30, 40)}
    chosen = {task for task in apart if selects(task, "validation")}
    assert chosen
    assert asked == {"retrieval_rearc": apart - chosen, "retrieval_rearc_selection": chosen}


def test_settings_can_be_chosen_by_tasks_that_are_not_reported(oracle):
    table = oracle.table
    tasks = {name: set(table[table["measure"] == name]["task"]) for name in ("val_nce", "selection_nce")}
    assert tasks["selection_nce"]
    assert not tasks["selection_nce"] & tasks["val_nce"]


def test_a_codebook_that_collapsed_is_seen_and_none_is_left_out(oracle):
    table = evaluate(Collapsed(), DATA, EVALUATION).table.set_index("measure")["value"]
    assert (table["code_usage"], table["code_perplexity"]) == (0.25, pytest.approx(1))
    assert not oracle.table["measure"].str.startswith("code").any()


def test_a_codebook_counts_the_sampled_target_frames_once():
    asked = []

    class Watched(Collapsed):
        def code_counts(self, tokens, frames=None):
            asked.append(frames)
            return super().code_counts(tokens, frames)

    evaluate(Watched(), DATA, EVALUATION)
    frames = np.concatenate(asked)
    assert len(np.unique(frames)) == len(frames)
    assert (frames % 2 == 1).all()


@pytest.mark.slow
def test_it_is_a_pure_function(oracle):
    again = evaluate(Oracle(DATA.validation, DATA.heldout, DATA.tests["arc1"].tokens), DATA, EVALUATION)
    pd.testing.assert_frame_equal(oracle.table, again.table)


def test_the_pool_and_the_choices_are_on_record(oracle):
    pool = oracle.record["pool"]
    assert pool["pool_validation"] + pool["pool_heldout"] == pool["size"] == 128
    assert {"scorer", "temperature", "alpha"} <= set(oracle.record["readout_nce"])


def test_files_hold_the_table_the_record_and_the_examples(oracle, tmp_path):
    save_scores(tmp_path, oracle)
    assert list(pd.read_csv(tmp_path / "scores.csv")) == list(COLUMNS)
    examples = load_examples(tmp_path / "examples.npz")
    assert len(examples.queries) == 24
    first = examples.queries[0]
    assert first.label.endswith("B")
    assert first.order[0] == 0  # the oracle ranks the true one, which is listed first, at the top
    assert sorted(first.order) == list(range(len(first.candidates)))
    pair = int(np.flatnonzero(FRAMES.pair_is_test)[0])
    assert np.array_equal(first.query, FRAMES[2 * pair])
    assert np.array_equal(first.candidates[0], FRAMES[2 * pair + 1])
    assert np.array_equal(first.demonstrations[1][0], FRAMES[2])
    assert examples.embeddings.shape[0] == len(examples.labels) > 0
    assert set(examples.labels) == {"translate", "wrap"}


def test_tasks_of_one_rule_are_resampled_as_one():
    tokens = make_tokens(6)
    tokens = replace(tokens, rules=tuple(["flip_rows", "flip_cols", "", *["rotate(90)"] * (len(tokens.rules) - 3)]))
    ids, index = clusters(tokens)
    assert len(ids) == 3
    assert index[0] == index[1] != index[2]
    assert ids[index[2]] == tokens.task_ids[2]
