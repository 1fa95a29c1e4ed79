"""Healthy records are clean, every planted fault is found by its own rule alone, the analysed run is as analysed."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analysis_cases import ANALYSIS
from planted_faults import FAULTS, planted
from record_cases import PHASES, Healthy, thresholds, tree

from arcjepa import analysed_run
from arcjepa.diagnosis import RULES, as_json, diagnose, examine, settings_source, write_report
from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import SEVERITIES, Finding
from arcjepa.findings.markdown import as_markdown
from arcjepa.findings.record_files import read_record
from arcjepa.findings.records import Record, make_record

HEALTHY, GROUP, PLANTED, REMOVED = 192, 32, 6, 2
KINDS = [(name, kind) for name, plants in FAULTS.items() for kind in range(len(plants))]
UNTRIED = {"incomplete record", "missing epochs", "queue not filled", "slower epochs"}
UNTRIED_KINDS = {("learning rate off its schedule", 0), ("plateau", 1)}
"""What no change of settings mends, nor a rate that was not stepped, a total that early stopping does not watch."""


@cache
def analysed() -> Record:
    """The analysed run, from the tables of its document."""
    tables = analysed_run.epochs(ANALYSIS), analysed_run.steps(ANALYSIS)
    return make_record("analysed run", *tables, analysed_run.summary(ANALYSIS), tree())


@cache
def found() -> dict[str, Finding]:
    return {finding.name: finding for finding in diagnose(analysed(), thresholds())}


def names(record: Record, limits: Thresholds | None = None) -> list[str]:
    return [finding.name for finding in diagnose(record, limits or thresholds())]


# --- healthy records


@pytest.mark.slow
@pytest.mark.parametrize("group", range(HEALTHY // GROUP))
def test_nothing_is_found_in_healthy_records(group: int) -> None:
    for seed in range(GROUP * group, GROUP * (group + 1)):
        assert names(Healthy(seed).record()) == [], seed


@pytest.mark.slow
def test_nothing_is_found_in_sparse_healthy_records() -> None:
    """Ten epochs and eight steps of many, without half of their columns, some of them empty.

    Their noise is half a per cent, since of few epochs it cannot be told from a trend.
    """
    for seed in range(60):
        run = Healthy(1000 + seed, shortest=40, noise=0.005)
        tables = [thinned(table, rows, run.rng) for table, rows in ((run.epochs, 10), (run.steps, 8))]
        assert names(run.record(epochs=tables[0], steps=tables[1])) == [], seed


def thinned(table: pd.DataFrame, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """A few rows; a quarter of the columns empty, a quarter gone."""
    gone = rng.choice(table.columns[1:], len(table.columns) // 2, replace=False)
    few = table.iloc[np.sort(rng.choice(len(table), rows, replace=False))].copy()
    few[gone[::2]] = np.nan
    return few.drop(columns=list(gone[1::2]))


def test_a_record_of_nothing_is_judged_by_nothing_that_reads_a_column() -> None:
    empty = Healthy(0).epochs.iloc[:0]
    report = examine(make_record("empty", empty, empty.rename(columns={"epoch": "step", "step": "s"})), thresholds())
    assert report.findings == []
    assert set(report.clean) == {"incomplete record", "values that are not finite", "missing epochs"}


# --- planted faults


def test_every_rule_has_a_planted_fault_and_a_name_of_its_own() -> None:
    assert list(FAULTS) == [*dict.fromkeys(FAULTS)]
    assert {rule.name for rule in RULES} == set(FAULTS)
    assert len(RULES) == len(FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_planted_fault_is_all_that_is_found_and_nothing_without_its_rule(name: str, kind: int) -> None:
    others = [rule for rule in RULES if rule.name != name]
    for seed in range(PLANTED):
        record = planted(name, seed, kind).record()
        assert names(record) == [name], seed
        if seed < REMOVED:
            assert diagnose(record, thresholds(), others) == [], seed


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_finding_says_all_that_it_should(name: str, kind: int) -> None:
    (finding,) = diagnose(planted(name, 1, kind).record(), thresholds())
    assert finding.severity in SEVERITIES
    assert finding.numbers
    assert all(finding.summary.endswith(".") and text for text in (finding.summary, finding.cause, finding.advice))
    if finding.axis:
        assert finding.first is not None
        assert finding.last is not None
        assert finding.first <= finding.last
    if finding.threshold:
        assert finding.limit == getattr(thresholds(), finding.threshold)
    assert finding.experiments or name in UNTRIED or (name, kind) in UNTRIED_KINDS


# --- the analysed run


@pytest.mark.slow
def test_the_analysed_run_is_as_analysed() -> None:
    places = {name: (finding.axis, finding.first, finding.last) for name, finding in found().items()}
    assert places == {
        "relational explosion": ("epoch", 30, 71),
        "saturated SIGReg": ("epoch", 1, 80),
        "relational share": ("epoch", 1, 71),
        "hidden component": ("epoch", 10, 80),
        "plateau": ("epoch", 69, 80),
        "codebook discontinuity": ("step", 3000, 3000),
        "gradient spikes": ("epoch", 34, 41),
        "gradients above the clip": ("epoch", 1, 80),
    }
    assert [found()[name].severity for name in places] == ["critical", *["warning"] * 6, "note"]


def test_the_numbers_of_the_analysed_run() -> None:
    numbers = {name: finding.numbers for name, finding in found().items()}
    assert numbers["relational explosion"]["peak"] == 1.101
    assert numbers["relational explosion"]["smallest"] == 0.182
    assert numbers["relational share"]["first_share"] == pytest.approx(0.037, abs=5e-4)
    assert numbers["relational share"]["largest_share"] == pytest.approx(0.127, abs=5e-4)
    assert (numbers["plateau"]["best"], numbers["plateau"]["final"]) == (8.224, 8.487)
    assert "3.2% worse" in found()["plateau"].summary
    assert "Stop here" in found()["plateau"].advice
    assert "patience" in found()["plateau"].experiments[0]
    assert numbers["codebook discontinuity"] == pytest.approx(
        {"before": 0.18, "jump": 0.302, "after": 0.13, "at_refresh": "true", "jumps": 1}
    )
    assert numbers["gradient spikes"]["largest"] == 81.6
    assert numbers["gradients above the clip"]["smallest_over_clip"] == pytest.approx(6.64 / 0.5)
    assert numbers["saturated SIGReg"]["smallest"] == pytest.approx(0.401)
    assert numbers["saturated SIGReg"]["largest"] == pytest.approx(0.405)
    assert numbers["saturated SIGReg"]["weighted"] == pytest.approx(0.040, abs=5e-4)
    assert numbers["saturated SIGReg"]["rank_change"] > 3.5


def test_what_the_analysis_did_not_print_is_named() -> None:
    report = examine(analysed(), thresholds())
    assert set(report.not_judged) == {
        *("temperature at a bound", "memorisation", "broken relation"),
        *("learning rate off its schedule", "queue not filled", "curriculum stuck", "slower epochs"),
        "invariance not learned",
    }
    assert report.not_judged["temperature at a bound"] == "lacks temperature"
    assert set(report.not_applicable) == {"lambda out of range", "embeddings far from Gaussian"}


def test_the_appendix_alone_shows_most_of_it() -> None:
    """Four epochs and five steps, as the appendix of the analysis prints them."""
    epochs = analysed_run.epochs(ANALYSIS).set_index("epoch").loc[[1, 30, 60, 80]].reset_index()
    steps = analysed_run.steps(ANALYSIS).set_index("step").loc[[100, 1000, 3000, 5000, 7600]].reset_index()
    record = make_record("appendix", epochs, steps, analysed_run.summary(ANALYSIS), tree())
    places = {finding.name: (finding.first, finding.last) for finding in diagnose(record, thresholds())}
    assert places["codebook discontinuity"] == (3000, 3000)
    assert places["saturated SIGReg"] == (1, 80)


# --- reports


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    analysed_run.write_record(tmp_path, ANALYSIS)
    return tmp_path


@pytest.mark.slow
def test_the_record_as_files_says_the_same(folder: Path) -> None:
    assert diagnose(read_record(folder, tree()), thresholds()) == diagnose(analysed(), thresholds())


@pytest.mark.slow
def test_json_holds_every_finding_and_every_rule(folder: Path) -> None:
    report = examine(read_record(folder, tree()), thresholds())
    write_report(report, folder)
    content = json.loads((folder / "diagnosis.json").read_text(), parse_constant=pytest.fail)
    assert content == as_json(report)
    assert content["settings"] == "run.json"
    assert content["recorded"] == {"epochs": 18, "steps": 7}
    rules = [finding["name"] for finding in content["findings"]] + content["nothing_found"]
    rules += [skipped["rule"] for part in ("not_judged", "not_applicable") for skipped in content[part]]
    assert sorted(rules) == sorted(rule.name for rule in RULES)
    explosion = content["findings"][0]
    assert explosion["threshold"] == {"key": "diagnosis.explosion", "value": 3.0}
    assert (explosion["axis"], explosion["first"], explosion["last"]) == ("epoch", 30, 71)


@pytest.mark.slow
def test_markdown_has_a_table_then_each_finding_then_what_was_not_judged(folder: Path) -> None:
    report = examine(read_record(folder, tree()), thresholds())
    text = as_markdown(report, settings_source(report.record))
    assert text.startswith("# Diagnosis of analysed run\n")
    assert "| critical | relational explosion | epochs 30-71 |" in text
    for finding in report.findings:
        assert finding.cause in text
        assert all(line in text for line in finding.experiments)
    assert "| temperature at a bound | lacks temperature |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_no_findings_is_said_in_words(phase: str) -> None:
    report = examine(Healthy(PHASES.index(phase), phase).record(), thresholds())
    assert "No findings" in as_markdown(report, "run.json")
    assert as_json(report)["findings"] == []
