"""A cause comes before its consequences, is as severe as they are, and hides what it explains as well."""

import numpy as np
import pytest
from planted_faults import planted
from record_cases import Healthy, thresholds

from arcjepa.diagnosis import RULES, diagnose, examine
from arcjepa.findings import causes
from arcjepa.findings.causes import CAUSES, HIDDEN, arranged
from arcjepa.findings.finding import Finding, Severity
from arcjepa.findings.markdown import overview


def finding(name: str, severity: Severity) -> Finding:
    return Finding(name, severity, "It is.", {}, "", 0, "", "")


def collapsed() -> Healthy:
    """Embeddings that collapse as nothing regularises them, so that nothing predicts better than the mean."""
    run = Healthy(0, "phase2", shortest=30)
    run.settings["loss"]["lambda_sigreg"] = 0.0
    run.epochs[["train_prediction_error", "val_prediction_error"]] = 1.0
    half = len(run.steps) // 2
    for side in ("context", "target"):
        run.steps.loc[half:, f"variance_{side}"], run.steps.loc[half:, f"effective_rank_{side}"] = 1e-9, 1.0
    return run


def test_a_cause_comes_first_and_is_as_severe_as_what_follows() -> None:
    found = diagnose(collapsed().record(), thresholds())
    shown = [(f.name, f.severity, f.follows) for f in found][:3]
    assert shown == [
        ("lambda out of range", "critical", ""),
        ("complete collapse", "critical", "lambda out of range"),
        ("dimensional collapse", "critical", "lambda out of range"),
    ]
    assert "complete collapse (after lambda out of range)" in overview(found)


@pytest.mark.slow
def test_a_relation_is_not_called_broken_where_a_collapse_explains_it(monkeypatch: pytest.MonkeyPatch) -> None:
    report = examine(collapsed().record(), thresholds())
    assert "lambda out of range" in report.not_judged["broken relation"]
    monkeypatch.setattr(causes, "HIDDEN", {})
    assert "broken relation" in [f.name for f in diagnose(collapsed().record(), thresholds())]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rising training loss", "learning rate off its schedule", "vanished gradient"])
def test_nor_where_nothing_was_learned(name: str) -> None:
    run = planted(name, 2)
    run.epochs[["train_prediction_error", "val_prediction_error"]] = np.ones((run.n, 2))
    found = [f.name for f in diagnose(run.record(), thresholds())]
    assert name in found
    assert "broken relation" not in found


def test_a_cause_without_consequences_keeps_its_severity() -> None:
    assert [f.severity for f in arranged([finding("lambda out of range", "warning")])] == ["warning"]


def test_a_note_explains_nothing_and_consequences_have_consequences() -> None:
    found = arranged([finding("plateau", "warning"), finding("rising training loss", "note")])
    assert [f.follows for f in found] == ["", ""]
    chain = [finding(name, "warning") for name in ("codebook collapse", "complete collapse", "lambda out of range")]
    chain[0] = finding("codebook collapse", "critical")
    assert [(f.name, f.severity) for f in arranged(chain)] == [
        ("lambda out of range", "critical"),
        ("complete collapse", "critical"),
        ("codebook collapse", "critical"),
    ]


def test_causes_and_consequences_are_rules_and_go_round_no_circle() -> None:
    names = {rule.name for rule in RULES}
    for table in (CAUSES, HIDDEN):
        assert names >= set(table) | {cause for found in table.values() for cause in found}

    def depth(name: str, seen: tuple[str, ...] = ()) -> int:
        assert name not in seen, seen
        return 1 + max((depth(cause, (*seen, name)) for cause in CAUSES.get(name, ())), default=0)

    assert max(map(depth, CAUSES)) < len(CAUSES)
