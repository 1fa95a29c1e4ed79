"""The nine risks of the analysis: what it expected, whether they occurred in our runs, and what mitigations did.

Rows come from risks.csv; RISKS says by which condition one is judged, and which pairs of runs show its mitigation.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from arcjepa import conditions, gates
from arcjepa.errors import UserError
from arcjepa.evidence import Evidence, Trained, changes
from arcjepa.formulas import loss_terms
from arcjepa.judgements import Condition, Pair, comparison

COLUMNS = ("phase", "risk", "probability", "impact", "mitigation", "occurred", "evidence", "why", "mitigated")
SHOWN = 3
"""Pairs of runs that a cell names."""


@dataclass(frozen=True)
class Risk:
    """How one row is judged."""

    occurred: Condition
    mitigated: Callable[[Evidence], list[Pair]]
    """Pairs of runs before and after the mitigation."""
    scenario: Callable[[Evidence, str], str]
    """The mitigation as a line to run."""


def normalised(evidence: Evidence) -> list[Pair]:
    """Without the relational loss, and with a normalised one."""
    form = "loss.relational.form"
    return evidence.isolated(
        "loss.relational",
        lambda run: not conditions.relational(run),
        lambda run: conditions.relational(run) and run.setting(form) == "normalised",
    )


def fewer_codes(evidence: Evidence) -> list[Pair]:
    """Without refresh, the codebook of phase 1 and a smaller one."""
    most = evidence.trained["phase1"].setting("quantizer.codes", 0) if "phase1" in evidence.trained else 0
    return evidence.isolated(
        "quantizer.codes",
        lambda run: run.name == "phase1",
        lambda run: not conditions.refreshed(run) and run.setting("quantizer.codes", most) < most,
    )


def more_patience(evidence: Evidence) -> list[Pair]:
    """Phase 1, and the same with more patience."""
    phase = evidence.trained.get("phase1")
    least = phase.setting("stopping.patience", 0) if phase else 0
    return evidence.isolated(
        "stopping", lambda run: run is phase, lambda run: run.setting("stopping.patience", 0) > least
    )


def contrastive(evidence: Evidence) -> list[Pair]:
    """Phase 2, and InfoNCE: with as much SIGReg as the fallback has, and phase 1 as it is."""
    weight = evidence.tables.at("proposed_settings", "to_value", phase="phase2", option="fallback")
    fallbacks = [
        run.name
        for run in evidence.trained.values()
        if run.setting("loss.prediction") == "infonce"
        and (loss_terms(run.settings).get("SIGReg", 0.0) >= weight or run.name == "phase1")
    ]
    return [("phase2", name) for name in fallbacks] if "phase2" in evidence.trained else []


def with_teacher(evidence: Evidence) -> list[Pair]:
    """LeJEPA without and with an EMA teacher."""
    return evidence.isolated("loss.teacher", _lejepa(False), _lejepa(True))


def _lejepa(taught: bool) -> Callable[[Trained], bool]:
    return lambda run: (
        run.setting("loss.prediction") == "lejepa" and bool(run.setting("loss.teacher.enabled", False)) == taught
    )


def step_by_step(evidence: Evidence) -> list[Pair]:
    """Phase 1, and runs on the way from it to phase 2."""
    return _between(evidence, "phase1", "phase2")


def one_by_one(evidence: Evidence) -> list[Pair]:
    """Phase 2, and runs on the way from it to phase 3."""
    return _between(evidence, "phase2", "phase3")


def _between(evidence: Evidence, first: str, last: str) -> list[Pair]:
    """`first`, and each run that makes some but not all of the changes from it to `last`."""
    if not {first, last} <= set(evidence.trained):
        return []
    start, end = evidence.trained[first], evidence.trained[last]
    return [(first, run.name) for run in _on_the_way(evidence, start, end)]


def _on_the_way(evidence: Evidence, start: Trained, end: Trained) -> Iterator[Trained]:
    whole = len(changes(start, end))
    for run in evidence.trained.values():
        done, left = len(changes(start, run)), len(changes(run, end))
        if done and left and max(done, left) < whole and done + left <= whole:
            yield run


def other_codes(evidence: Evidence) -> list[Pair]:
    """Gumbel-softmax codes, and FSQ or VQ in their place."""
    return evidence.isolated("quantizer", conditions.of_kind("gumbel"), conditions.of_kind("fsq", "vq"))


def short_window(evidence: Evidence) -> list[Pair]:
    """A longer context, and the one of before."""
    return evidence.isolated(
        "sequence.window", lambda run: conditions.window(run) > 3, lambda run: conditions.window(run) == 3
    )


RISKS = {
    "Removing relational degrades performance": Risk(
        conditions.relational_missed, normalised, gates.experiment(gates.normalised_relational)
    ),
    "VQ collapse without refresh": Risk(
        conditions.codebook_collapses, fewer_codes, gates.experiment(gates.smaller_codebook)
    ),
    "Early stopping too aggressive": Risk(
        conditions.stopped_too_early, more_patience, gates.experiment(gates.first_patience)
    ),
    "SIGReg-primary underperforms": Risk(
        conditions.sigreg_underperforms, contrastive, gates.on("phase1", gates.contrastive_fallback)
    ),
    "Removing target encoder causes instability": Risk(
        conditions.unstable_without_teacher, with_teacher, gates.experiment(gates.teacher)
    ),
    "Hyperparameter reduction breaks training": Risk(
        conditions.reduction_breaks_training, step_by_step, gates.on("phase1", gates.first_removal)
    ),
    "Gumbel-Softmax VQ fails": Risk(conditions.gumbel_fails, other_codes, gates.experiment(gates.scalar_codes)),
    "Longer context window doesn't help": Risk(
        conditions.context_does_not_help, short_window, gates.experiment(gates.first_window)
    ),
    "Combined changes interact poorly": Risk(
        conditions.combination_harms, one_by_one, gates.experiment(gates.window_alone)
    ),
}
"""By the analysis' words."""


def risks_table(evidence: Evidence) -> pd.DataFrame:
    """One row per risk of the analysis. Errors: UserError for a risk that no condition judges."""
    rows = []
    for row in evidence.tables.table("risks").to_dict("records"):
        if row["risk"] not in RISKS:
            raise UserError(f"risks.csv: risk: {row['risk']!r} has no condition; allowed: {', '.join(RISKS)}")
        risk = RISKS[row["risk"]]
        found = risk.occurred(evidence)
        expected = (row["phase"], row["risk"], row["probability"], row["impact"], row["mitigation"])
        rows.append((*expected, found.state, found.numbers, found.why, _mitigated(risk, row["phase"], evidence)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mitigated(risk: Risk, phase: str, evidence: Evidence) -> str:
    """What the runs say of it, else the line that would tell."""
    pairs = risk.mitigated(evidence)
    if not pairs:
        line = risk.scenario(evidence, phase) if phase in evidence.params.phases else ""
        return f"not tried: {line}" if line else "not tried"
    told = [_told(evidence, pair) for pair in pairs[:SHOWN]]
    return "; ".join(told + ([f"and {len(pairs) - SHOWN} more"] if len(pairs) > SHOWN else []))


def _told(evidence: Evidence, pair: Pair) -> str:
    levels = [conditions.level(evidence, evidence.trained[name]) for name in pair]
    codes = f", {levels[0]:.0f} to {levels[1]:.0f} % of the codes in use" if levels[0] == levels[0] else ""
    return comparison(evidence, pair) + codes
