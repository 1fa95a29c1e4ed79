"""The correlation of rank and relational loss: it sees what moves together, and is not taken in by two trends."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arcjepa.errors import UserError
from arcjepa.rank_growth import aligned, rank_growth_table, spearman

STEPS, EVERY = 400, 10


def write_run(folder: Path, rank: np.ndarray, loss: np.ndarray) -> Path:
    """A record with a rank every EVERY steps and a loss at each."""
    folder.mkdir(parents=True)
    at = np.arange(EVERY, STEPS + 1, EVERY)
    steps = {"step": at, "effective_rank_context": rank[at - 1], "effective_rank_target": 3 + 2 * rank[at - 1]}
    pd.DataFrame(steps).to_csv(folder / "steps.csv", index=False)
    losses = {"step": np.arange(1, STEPS + 1), "train_relational": loss}
    pd.DataFrame(losses).to_csv(folder / "losses.csv", index=False)
    return folder


def growing(seed: int) -> np.ndarray:
    """(STEPS,) a walk upwards."""
    return 5 + np.cumsum(np.random.default_rng(seed).normal(0.05, 0.2, STEPS))


def test_a_loss_that_follows_the_rank_correlates_in_level_and_in_difference(tmp_path):
    rank = np.repeat(growing(0)[:: STEPS // 40][:40], EVERY)
    folders = [write_run(tmp_path / "raw" / "seed0", rank, 2 * rank)]
    folders.append(write_run(tmp_path / "normalised" / "seed1", rank, np.random.default_rng(1).normal(1, 0.1, STEPS)))
    table = rank_growth_table(folders, {"raw": "raw", "normalised": "normalised"})
    assert table["side"].tolist() == ["context", "target"] * 2
    assert table["seed"].tolist() == [0, 0, 1, 1]
    assert table["rows"].tolist() == [40] * 4
    raw, other = table[table["form"] == "raw"], table[table["form"] == "normalised"]
    assert raw[["level", "difference"]].to_numpy() == pytest.approx(1.0)
    assert other[["level", "difference"]].abs().to_numpy().max() < 0.5


def test_two_trends_correlate_in_level_alone(tmp_path):
    trend = np.linspace(0, 30, STEPS)
    folder = write_run(tmp_path / "raw" / "seed0", trend + growing(1), trend + growing(2))
    table = rank_growth_table([folder], {"raw": "raw"})
    assert (table["level"] > 0.9).all()
    assert (table["difference"].abs() < 0.4).all()


def test_a_row_stands_for_the_steps_since_the_row_before():
    steps = pd.DataFrame({"step": [2, 5], "rank": [1.0, 2.0]})
    losses = pd.DataFrame({"step": range(1, 8), "train_relational": [1.0, 3.0, 4.0, 5.0, 6.0, 100.0, 100.0]})
    assert aligned(steps, losses, "rank")["loss"].tolist() == [2.0, 5.0]


def test_runs_without_a_relational_loss_have_no_rows(tmp_path):
    folders = [
        write_run(tmp_path / "phase1" / "seed0", growing(0), np.full(STEPS, np.nan)),
        tmp_path / "gone" / "seed0",
    ]
    assert rank_growth_table(folders, {"phase1": "raw", "gone": "raw"}).empty


def test_too_few_rows_and_constants_have_no_correlation():
    pair = pd.DataFrame({"rank": range(10), "loss": range(10)}, dtype=float)
    assert spearman(pair) == pytest.approx(1)
    assert np.isnan(spearman(pair[:4]))
    assert np.isnan(spearman(pair.assign(loss=1.0)))


def test_spearman_is_that_of_scipy_ties_included():
    from scipy.stats import spearmanr

    values = np.random.default_rng(0).integers(0, 5, (30, 2)).astype(float)
    assert spearman(pd.DataFrame(values)) == pytest.approx(spearmanr(values).statistic)


def test_a_damaged_record_is_named(tmp_path):
    folder = write_run(tmp_path / "raw" / "seed0", growing(0), growing(1))
    (folder / "losses.csv").write_text("")
    with pytest.raises(UserError, match=r"losses\.csv"):
        rank_growth_table([folder], {"raw": "raw"})
