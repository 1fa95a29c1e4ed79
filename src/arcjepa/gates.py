"""The "if ... then ..." of the roadmap and the fallbacks of the plan, evaluated: which are fired, and what to run next.

Values that a change puts in come from the analysis' tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from arcjepa import conditions
from arcjepa.config import from_mapping
from arcjepa.evidence import Evidence
from arcjepa.findings.experiments import Experiments
from arcjepa.judgements import NO, UNKNOWN, YES, Condition

COLUMNS = ("phase", "source", "condition", "then", "outcome", "numbers", "why", "next")
OUTCOMES = {YES: "fired", NO: "not fired", UNKNOWN: "cannot be judged"}
Changes = Mapping[str, Any]
"""Leaves of a phase with their new values."""


@dataclass(frozen=True)
class Gate:
    """One condition with what follows from it."""

    phase: str
    source: str
    """Where the analysis says it."""
    condition: str
    then: str
    judge: Condition
    scenario: Callable[[Evidence, str], str]
    """The line to run next, for evidence and the phase."""


def experiment(change: Callable[[Evidence], Changes]) -> Callable[[Evidence, str], str]:
    """A scenario: the line that changes a phase so, and reports it as the headline."""

    def line(evidence: Evidence, phase: str) -> str:
        experiments = Experiments(phase, evidence.params.scale, evidence.tree)
        return experiments.line({**change(evidence), "phase": phase})

    return line


def on(phase: str, change: Callable[[Evidence], Changes]) -> Callable[[Evidence, str], str]:
    """A scenario of another phase than that of its gate."""
    return lambda evidence, _: experiment(change)(evidence, phase)


def production(task: tuple[str, str], evidence: Evidence, phase: str) -> str:
    """The production run of a task of the roadmap; before that the diagnostic, where these runs are shorter."""
    epochs = conditions.roadmap_epochs(evidence, task)
    run = evidence.trained.get(phase)
    if run and run.planned < conditions.roadmap_epochs(evidence, conditions.DIAGNOSTIC):
        return f"dvc exp run -S scale=diagnostic -S phase={phase}"
    planned = from_mapping({**evidence.tree, "scale": "production"}).base["training"]["epochs"]
    key = Experiments(evidence.params.names[0], "production", evidence.tree).key("training.epochs")
    longer = f" -S {key}={epochs}" if epochs != planned else ""
    return f"dvc exp run -S scale=production{longer} -S phase={phase}"


def normalised_relational(evidence: Evidence) -> Changes:
    """Option B."""
    return {"loss.relational.enabled": True, "loss.relational.form": "normalised"}


def smaller_codebook(evidence: Evidence) -> Changes:
    """As many codes as the roadmap says."""
    return {"quantizer.codes": int(evidence.tables.at("roadmap", "value", phase="phase1", quantity="codes"))}


def first_patience(evidence: Evidence) -> Changes:
    """The patience of the analysed run."""
    return {"stopping.patience": evidence.tables.settings["stopping"]["patience"]}


def contrastive_fallback(evidence: Evidence) -> Changes:
    """More SIGReg beside InfoNCE; in its published form, as the normalised one has next to no gradient."""
    weight = evidence.tables.at("proposed_settings", "to_value", phase="phase2", option="fallback")
    return {"loss.sigreg.weight": weight, "loss.sigreg.form": "published"}


def teacher(evidence: Evidence) -> Changes:
    """Keep the EMA teacher."""
    return {"loss.teacher.enabled": True}


def first_removal(evidence: Evidence) -> Changes:
    """The first step of a progressive reduction."""
    return {"loss.teacher.enabled": False}


def scalar_codes(evidence: Evidence) -> Changes:
    """FSQ."""
    return {"quantizer.kind": "fsq"}


def first_codebook(evidence: Evidence) -> Changes:
    """The codebook of the analysed run."""
    return {"quantizer.kind": "vq", "quantizer.codes": evidence.tables.settings["quantizer"]["codes"]}


def first_window(evidence: Evidence) -> Changes:
    """The context of the analysed run."""
    return {"sequence.window": evidence.tables.settings["sequence"]["window"]}


def window_alone(evidence: Evidence) -> Changes:
    """The first of the changes of phase 3, without the others."""
    without = {"sequence.curriculum.enabled": False, "model.frame_attention": False}
    return without | dict(first_codebook(evidence))


def gradnorm(evidence: Evidence) -> Changes:
    """Adaptive weights."""
    return {"loss.gradnorm.enabled": True}


ROADMAP, RISKS = "Implementation Roadmap, week {}", "Risk Assessment, phase {}"
GATES = (
    Gate("phase1", ROADMAP.format(1), "val loss above the roadmap's limit", "normalised relational loss (option B)",
         conditions.loss_above, experiment(normalised_relational)),
    Gate("phase1", ROADMAP.format(1), "codebook unstable", "fewer codes",
         conditions.codebook_unstable, experiment(smaller_codebook)),
    Gate("phase1", "Fix 1.1", "performance degrades without relational", "normalised relational loss (option B)",
         conditions.relational_missed, experiment(normalised_relational)),
    Gate("phase1", RISKS.format(1), "early stopping too aggressive", "the patience of before",
         conditions.stopped_too_early, experiment(first_patience)),
    Gate("phase2", ROADMAP.format(2), "diagnostics pass", "a production run",
         conditions.diagnostics_pass(conditions.PASS), partial(production, conditions.PASS)),
    Gate("phase2", "Fix 2.1", "SIGReg-primary underperforms", "InfoNCE with more auxiliary SIGReg",
         conditions.sigreg_underperforms, on("phase1", contrastive_fallback)),
    Gate("phase2", "Fix 2.3", "unstable without target encoder", "keep the EMA teacher",
         conditions.unstable_without_teacher, experiment(teacher)),
    Gate("phase2", RISKS.format(2), "hyperparameter reduction breaks training", "one removal at a time, this first",
         conditions.reduction_breaks_training, on("phase1", first_removal)),
    Gate("phase3", "Fix 3.4", "Gumbel-softmax codes fail", "finite scalar codes (FSQ)",
         conditions.gumbel_fails, experiment(scalar_codes)),
    Gate("phase3", RISKS.format(3), "FSQ fails too", "the VQ codebook of before",
         conditions.scalar_codes_fail, experiment(first_codebook)),
    Gate("phase3", RISKS.format(3), "longer context does not help", "the window of before",
         conditions.context_does_not_help, experiment(first_window)),
    Gate("phase3", RISKS.format(3), "combined changes interact poorly", "one change at a time, the window first",
         conditions.combination_harms, experiment(window_alone)),
    Gate("phase3", "Fix 3.2", "InfoNCE and SIGReg kept together", "GradNorm",
         conditions.losses_kept, experiment(gradnorm)),
    Gate("phase3", ROADMAP.format(3), "diagnostics pass", "the last, longest production run",
         conditions.diagnostics_pass(conditions.LONGEST), partial(production, conditions.LONGEST)),
)  # fmt: skip


def gates_table(evidence: Evidence) -> pd.DataFrame:
    """One row per gate: where it stands, what it was judged by, its outcome, and the line to run next; "" for a phase
    that params.yaml does not have."""
    rows = []
    for gate in GATES:
        found = gate.judge(evidence)
        line = gate.scenario(evidence, gate.phase) if gate.phase in evidence.params.phases else ""
        rows.append((gate.phase, gate.source, gate.condition, gate.then, OUTCOMES[found.state], found.numbers,
                     found.why, line))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
