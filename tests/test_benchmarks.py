"""Benchmarks: what they report is what was measured, and what fails is told and costs nothing else."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import benchmarks.jobs
from arcjepa.settings import Settings
from benchmarks import public_code, runner, tables
from benchmarks.charts import Chart, _lines
from benchmarks.measuring import FAILED, ROOT, Job, Row, in_turn, ratio
from benchmarks.settings import params_at

SETTINGS = """
import json, sys
from benchmarks import unchecked
sys.modules.pop("pydantic", None)
unchecked.find_spec = lambda name: None
from benchmarks.settings import params_at

def plain(value):
    return {name: plain(inner) for name, inner in value} if hasattr(value, "model_fields") else value

params = params_at("production")
print(json.dumps({name: plain(params.phase_settings(name)) for name in params.names}))
"""


@pytest.mark.slow
def test_settings_without_pydantic_are_the_same() -> None:
    made = subprocess.run([sys.executable, "-c", SETTINGS], cwd=ROOT, capture_output=True, text=True, check=True)
    params = params_at("production")
    assert json.loads(made.stdout) == {name: _plain(params.phase_settings(name)) for name in params.names}


def _plain(value: Any) -> Any:
    return {name: _plain(inner) for name, inner in value} if isinstance(value, Settings) else value


def test_calls_take_turns_and_lead_in_turn() -> None:
    order: list[str] = []
    times = in_turn({name: lambda name=name: order.append(name) or 1.0 for name in ("ours", "peer")}, 2)
    assert order == ["peer", "ours", "ours", "peer"]
    assert times == {"ours": [1.0, 1.0], "peer": [1.0, 1.0]}


def test_ratio_is_of_rounds_and_not_of_medians() -> None:
    assert ratio([2.0, 20.0, 6.0], [1.0, 10.0, 1.0]) == 2.0


def test_csv_gives_rows_back(tmp_path: Path) -> None:
    rows = [
        Row("sigreg", "ours", {"N": 512, "slices": 1024}, {"ms": 1.5, "note": "no CUDA graph"}),
        Row("sigreg", "ours", {"N": 512, "slices": 1024}, {"ms": 1.25}),
        Row("training", "phase1", {}, {FAILED: "took too long"}),
        Row("ranks", "phase2", {"ranks": 2, "sequences a rank": 2048}, {"ms a step": 12.5}),
    ]
    tables.write_csv(tmp_path / "rows.csv", rows)
    assert tables.read_csv(tmp_path / "rows.csv") == rows


def test_tables_tell_what_failed() -> None:
    text = tables.markdown(
        "T", "How.", [Row("p", "ours", {"N": 1024}, {"ms": 2.0}), Row("p", "peer", {}, {FAILED: "why"})]
    )
    assert "| ours | 1,024 | 2 |" in text
    assert "**Failed: peer:** why" in text


@pytest.mark.parametrize(("value", "shown"), [(1234.5, "1,234"), (12.345, "12.3"), (1.2345, "1.23"), (2e-6, "2.0e-06")])
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert tables._shown(value) == shown


def test_chart_varies_one_size_at_a_time() -> None:
    rows = [Row("p", "ours", {"tasks": tasks, "batch": 8}, {"ms": float(tasks)}) for tasks in (4, 2)]
    rows.append(Row("p", "ours", {"tasks": 2, "batch": 16}, {"ms": 9.0}))
    assert _lines(Chart("c", "", "tasks", "ms"), rows) == {"ours": [(2, 2.0), (4, 4.0)]}


def test_chart_leaves_out_rows_of_another_comparison() -> None:
    rows = [Row("p", "ours", {"tasks": tasks}, {"ms": float(tasks)}) for tasks in (2, 4)]
    rows.append(Row("p", "ours", {"tasks": 1}, {"ms": 9.0, "over ours": 1.0}))
    assert _lines(Chart("c", "", "tasks", "ms", lacking="over ours"), rows) == {"ours": [(2, 2.0), (4, 4.0)]}


def test_the_first_job_prepares_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others start once it is ready."""
    started: list[str] = []

    class Stub(runner.Running):
        alive = property(lambda job: not job.gone)
        ready = property(lambda job: job.looks() > 2)
        looked = 0

        def looks(self) -> int:
            self.looked += 1
            if self.name == "first" and self.looked < 3:
                assert started == ["first"]
            return self.looked

        @classmethod
        def start(cls, name: str, *_: object) -> "Stub":
            started.append(name)
            return cls(name, None, tmp_path)

        def rows(self, stopped: bool) -> list[Row]:
            return [Row(self.name, "", {}, {})]

    monkeypatch.setattr(runner, "Running", Stub)
    monkeypatch.setattr(runner, "POLL", 0)
    found = runner.measure_together(["first", "second", "third"], "cpu", tmp_path, True, time.monotonic() + 20)
    assert started == [row.part for row in found] == ["first", "second", "third"]


@pytest.mark.slow
def test_a_job_that_fails_or_is_late_costs_no_other_its_rows(tmp_path: Path) -> None:
    names = ["nothing", "machine"]
    found = runner.measure_together(names, "cpu", tmp_path, True, time.monotonic() + 300)
    assert [FAILED in row.values for row in found] == [True, False]
    assert "benchmarks.nothing" in str(found[0].values[FAILED])
    late = runner.measure_together(["machine"], "cpu", tmp_path, True, time.monotonic())
    assert late[-1].values == {FAILED: "took too long"}


@pytest.mark.slow
def test_ranks_are_measured_against_one(tmp_path: Path) -> None:
    jobs = [Job(part, choice, "cpu", True, tmp_path) for part, choice in (("corpus", ""), ("ranks", "phase2@batch=64"))]
    rows = [row for job in jobs for row in benchmarks.jobs.run(job)]
    assert [row.at["ranks"] for row in rows] == [1, 2]
    assert [row.at["sequences a rank"] for row in rows] == [64, 64]
    assert rows[0].values["% of linear"] == 100
    for row in rows:
        assert row.values["sequences/s"] == pytest.approx(64000 * row.at["ranks"] / row.values["ms a step"])


def test_public_code_is_not_measured_without_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(public_code.CHECKOUT, raising=False)
    (row,) = public_code.prepared(Job("training", "phase2"), "phase2", {}, lambda batch: None)()
    assert public_code.CHECKOUT in str(row.values["note"])
    assert not public_code.prepared(Job("training", "phase3"), "phase3", {}, lambda batch: None)()


def test_public_code_is_measured_by_the_sequence_and_at_its_own_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"training": {"batch_size": 4, "grad_accum_steps": 2}}
    epochs: list[str] = []
    taken: list[tuple[int, int]] = []
    monkeypatch.setenv(public_code.CHECKOUT, str(tmp_path))
    monkeypatch.setattr(public_code, "_config", lambda *_: config)
    monkeypatch.setattr(public_code, "_epoch", lambda *_: (lambda: epochs.append("public") or 20.0, 40))
    monkeypatch.setattr(public_code, "seconds", lambda call, _: call())

    def steps(batch: int) -> Callable[[int], float]:
        return lambda count: taken.append((batch, count)) or 8 / batch

    measure = public_code.prepared(Job("training", "phase2"), "phase2", {8: steps(8)}, steps)
    assert len(epochs) == 1  # which is not timed
    theirs, ours, alike = measure()
    assert len(epochs) == 1 + public_code.ROUNDS
    assert set(taken) == {(8, 5), (4, 10)}  # as many sequences as theirs
    assert theirs.at == {"sequences": 4, "batches a step": 2}
    assert theirs.values == {"sequences/s": 2.0, "run s": 2_000_000.0}
    assert (ours.at, alike.at) == ({"sequences": 8}, {"sequences": 4})
    assert ours.values == {"sequences/s": 40.0, "run s": 100_000.0, "times the public code's": 20.0}
    assert alike.values == {"sequences/s": 20.0, "run s": 200_000.0, "times the public code's": 10.0}
