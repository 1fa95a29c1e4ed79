"""The record's numbers against independent computations, and its files against their schema."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from arcjepa import geometry as reference
from arcjepa.record import EPOCH_COLUMNS, STEP_COLUMNS, TERMS, Averages, Table, codes, geometry, write_summary
from arcjepa.sigreg import directions

pytestmark = pytest.mark.usefixtures("seeded")


def samples(kind: str, rows: int = 300, dim: int = 12) -> torch.Tensor:
    z = torch.randn(rows, dim)
    scales = {
        "healthy": torch.ones(dim),
        "stretched": torch.linspace(0.1, 3, dim),
        "flat": (torch.arange(dim) < 4) * 1.0,
    }
    return z * scales[kind] + (2.0 if kind == "stretched" else 0.0)


def measured(z: torch.Tensor) -> dict[str, float]:
    return geometry(z, directions(z.shape[1], 0, 0))


@pytest.mark.parametrize("kind", ["healthy", "stretched", "flat"])
def test_geometry_is_that_of_the_evaluation(kind: str) -> None:
    """Two implementations, one definition each: torch here, numpy on moments there."""
    z = samples(kind)
    found, x = measured(z), z.double().numpy()
    covariance = np.cov(x.T)
    assert found["effective_rank"] == pytest.approx(reference.effective_rank(covariance), rel=1e-4)
    assert found["rankme"] == pytest.approx(reference.rankme(x.T @ x), rel=1e-3)
    assert found["variance"] == pytest.approx(np.trace(covariance) / 12, rel=1e-4)
    assert found["isotropy"] == pytest.approx(reference.isotropy(covariance), rel=1e-4, abs=1e-9)


def test_geometry_of_a_healthy_cloud() -> None:
    found = measured(samples("healthy", 4000))
    assert found["effective_rank"] == pytest.approx(12, abs=0.1)
    assert found["rankme"] == pytest.approx(12, abs=0.1)
    assert found["variance"] == pytest.approx(1, abs=0.05)
    assert found["isotropy"] > 0.75
    assert found["epps_pulley"] == pytest.approx(1.05, abs=0.4)


def test_geometry_tells_the_two_ranks_apart_by_the_mean() -> None:
    """The singular values see a common mean, the covariance does not."""
    z = samples("healthy", 2000)
    centred, moved = measured(z), measured(z + 10)
    assert moved["effective_rank"] == pytest.approx(centred["effective_rank"], rel=1e-3)
    assert moved["rankme"] < 0.8 * centred["rankme"]


@pytest.mark.parametrize("z", [torch.zeros(50, 12), torch.ones(50, 12), torch.randn(2, 12), torch.randn(8, 12)])
def test_geometry_is_finite_on_collapse_and_on_small_batches(z: torch.Tensor) -> None:
    assert all(np.isfinite(value) for value in measured(z).values())


def test_geometry_counts_lost_dimensions() -> None:
    found = measured(samples("flat", 4000))
    assert found["effective_rank"] == pytest.approx(4, abs=0.1)
    assert found["isotropy"] < 1e-6


def test_epps_pulley_rises_on_collapse() -> None:
    assert measured(torch.zeros(300, 12))["epps_pulley"] == pytest.approx(0.402 * 300, rel=0.01)


def test_codes_are_counted() -> None:
    assert codes(torch.tensor([3, 3, 0, 0])) == pytest.approx({"code_usage": 0.5, "active_codes": 2, "perplexity": 2})


def test_the_schema_is_complete_and_without_repetition() -> None:
    assert len(set(EPOCH_COLUMNS)) == len(EPOCH_COLUMNS)
    assert len(set(STEP_COLUMNS)) == len(STEP_COLUMNS)
    assert set(TERMS) == {"prediction", "sigreg", "invariance", "relational", "commitment"}
    for split in ("train", "val"):
        assert {f"{split}_{term}{form}" for term in TERMS for form in ("", "_weighted")} < set(EPOCH_COLUMNS)
        assert f"{split}_total" in EPOCH_COLUMNS
    for side in ("context", "target"):
        assert {f"effective_rank_{side}", f"rankme_{side}", f"variance_{side}", f"isotropy_{side}"} < set(STEP_COLUMNS)


def test_averages_are_means_and_hold_raw_and_weighted_terms() -> None:
    averages = Averages()
    for value in (1.0, 3.0):
        averages.add_terms("train", torch.tensor(value), {"sigreg": (torch.tensor(value, requires_grad=True), 0.5)})
    assert averages.means() == pytest.approx({"train_total": 2, "train_sigreg": 2, "train_sigreg_weighted": 1})
    assert averages.values("train_total").tolist() == [1, 3]


def test_a_table_grows_row_by_row_and_refuses_what_its_schema_lacks(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.csv", ("a", "b", "c"))
    table.append({"a": 1, "c": 0.1234567891})
    table.append({"c": None, "b": "x"})
    with pytest.raises(KeyError, match=r"t\.csv.*no column d"):
        table.append({"d": 1})
    with (tmp_path / "t.csv").open() as file:
        assert list(csv.reader(file)) == [["a", "b", "c"], ["1", "", "0.123457"], ["", "x", ""]]
    Table(tmp_path / "t.csv", ("a",))  # a new run starts anew
    assert (tmp_path / "t.csv").read_text() == "a\n"


def test_the_summary_is_json_with_sorted_keys(tmp_path: Path) -> None:
    write_summary(tmp_path / "run.json", {"b": 1, "a": [1, 2]})
    text = (tmp_path / "run.json").read_text()
    assert json.loads(text) == {"a": [1, 2], "b": 1}
    assert text.index('"a"') < text.index('"b"')
