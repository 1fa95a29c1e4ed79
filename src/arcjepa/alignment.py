"""The L-JEPA checklist of the analysis, computed from what a phase was trained with and from its runs.

Each of the eight principles scores 1, 1/2 or 0 by a rule that is stated beside it; a phase's alignment is their mean in
per cent, with a letter. The same mean over the ticks that the analysis prints is `printed`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from arcjepa.claims import Tables
from arcjepa.core import core_lines
from arcjepa.evidence import NOT_RUN, Evidence, Trained
from arcjepa.formulas import balancing, heuristics, loss_terms
from arcjepa.plan_claims import SCORES
from arcjepa.success_settings import Success

COLUMNS = ("phase", "principle", "score", "printed", "evidence", "rule")
OVERALL = "Overall"
STAGES = {"baseline": "production", "phase1": "phase1", "phase2": "phase2"}
"""Phase to the stage of the analysis that it answers; phase 3 has no ticks there."""
OWN_LETTERS = {"F": 0, "D-": 10, "D+": 20, "B-": 50, "A-": 85, "A+": 95}
"""Lower ends in per cent, ours. The analysis prints C-, C+ and B+, two steps a letter, which the others continue."""
ONE, HALF, ZERO = 1.0, 0.5, 0.0
Score = tuple[float, str]
"""Score, and what it was read from."""


@dataclass(frozen=True)
class Limits:
    """What the rules compare with."""

    tables: Tables
    success: Success
    lambdas: tuple[float, float]
    """Range of lambda_sigreg that is known to work."""
    lines: int
    """Of code, of the training core."""

    @property
    def few(self) -> int:
        """Hyperparameters that the analysis wants at most one less than."""
        return int(self.tables.at("success_metrics", "target_low", phase="all", metric="Hyperparameters"))

    @property
    def many(self) -> int:
        """Hyperparameters that it calls low alignment."""
        return int(self.tables.at("success_metrics", "baseline_low", phase="all", metric="Hyperparameters"))

    @property
    def large(self) -> int:
        """Lines that it calls low alignment."""
        return int(self.tables.at("alignment_production", "printed", principle="Minimal core"))

    @property
    def auxiliary(self) -> float:
        """Weight of SIGReg in its fallback, InfoNCE with more of it."""
        return self.tables.at("proposed_settings", "to_value", phase="phase2", option="fallback")


@dataclass(frozen=True)
class Principle:
    """One row of the checklist."""

    name: str
    """As the analysis has it."""
    rule: str
    """With the names of `Limits` and `Success` in braces."""
    judge: Callable[[Trained, Limits], Score]


def heuristic_free(run: Trained, limits: Limits) -> Score:
    """By the number of `formulas.heuristics`."""
    found = heuristics(run.settings)
    score = ONE if not found else HALF if len(found) <= limits.success.heuristics else ZERO
    return score, f"{len(found)}: {', '.join(found)}" if found else "none"


def provable(run: Trained, limits: Limits) -> Score:
    """By the loss: only the published one is the theorem's."""
    terms = loss_terms(run.settings)
    beside = [name for name in terms if name not in ("prediction", "SIGReg")]
    beside += [f"{learned}'s weights"] if (learned := balancing(run.settings)) else []
    if _primary(run) and not beside:
        return ONE, "squared error + lambda SIGReg"
    if _published(run):
        with_what = f", with {', '.join(beside)}" if beside else ""
        return HALF, f"SIGReg in its published form beside {_objective(run)}{with_what}"
    return ZERO, f"{_objective(run)}{' with a SIGReg that is saturated' if 'SIGReg' in terms else ''}"


def single_hyperparameter(run: Trained, limits: Limits) -> Score:
    """By the terms of the loss, which have weights between them, and the number of hyperparameters."""
    count, terms = len(run.hyperparameters), list(loss_terms(run.settings))
    shown = f"{count}; terms: {', '.join(terms)}"
    if len(terms) <= 2 and count < limits.few:
        return ONE, shown
    return (HALF if count < limits.many else ZERO), shown


def no_teacher(run: Trained, limits: Limits) -> Score:
    """By the teacher and its decay."""
    if not run.setting("loss.teacher.enabled", False):
        return ONE, "no teacher"
    decay = run.setting("loss.teacher.decay")
    return (HALF, "a copy of the encoder, decay 0") if decay == 0 else (ZERO, f"EMA teacher, decay {decay:g}")


def sigreg_primary(run: Trained, limits: Limits) -> Score:
    """By what SIGReg weighs, and where."""
    low, high = limits.lambdas
    if _primary(run):
        strength = run.setting("loss.lambda_sigreg")
        return (ONE if low <= strength <= high else HALF), f"primary, lambda {strength:g}"
    weight = loss_terms(run.settings).get("SIGReg", 0.0)
    if not weight:
        return ZERO, "no SIGReg"
    enough = _published(run) and weight >= limits.auxiliary
    return (HALF if enough else ZERO), f"auxiliary, weight {weight:g}, {run.setting('loss.sigreg.form')}"


def no_stop_gradient(run: Trained, limits: Limits) -> Score:
    """By what carries no gradient: targets, negatives of the queue, or codes."""
    if run.setting("loss.teacher.enabled", False):
        return ZERO, "the teacher's targets are detached"
    stopped = ["negatives of the queue"] if run.setting("loss.infonce.queue", 0) else []
    stopped += ["codes (straight-through)"] if run.setting("quantizer.kind") in ("vq", "fsq") else []
    return (HALF, f"stopped at {', '.join(stopped)}") if stopped else (ONE, "nothing is detached")


def mixed_precision(run: Trained, limits: Limits) -> Score:
    """By the devices of its seeds: autocast is on for GPUs only."""
    gpus = [device for device in run.devices if device not in ("", "cpu")]
    count = len(run.devices)
    if len(gpus) == count:
        return ONE, f"bf16, on {', '.join(dict.fromkeys(gpus))}"
    return (HALF if gpus else ZERO), f"{count - len(gpus)} of {count} runs in fp32, on cpu"


def minimal_core(run: Trained, limits: Limits) -> Score:
    """By the lines of code in the modules that a training step executes."""
    small = limits.lines <= limits.success.core_lines
    score = ONE if small else HALF if limits.lines < limits.large else ZERO
    return score, f"{limits.lines} lines of code"


def _primary(run: Trained) -> bool:
    return run.setting("loss.prediction") == "lejepa" and "SIGReg" in loss_terms(run.settings)


def _published(run: Trained) -> bool:
    return "SIGReg" in loss_terms(run.settings) and run.setting("loss.sigreg.form", "published") == "published"


def _objective(run: Trained) -> str:
    return "InfoNCE" if run.setting("loss.prediction") == "infonce" else "squared error"


PRINCIPLES = (
    Principle("Heuristic-free", "1: no heuristic is on; 1/2: at most {heuristics}; 0: more", heuristic_free),
    Principle("Provable optimal", "1: squared error + lambda SIGReg alone; 1/2: SIGReg in its published form beside "
              "another objective or other terms; 0: else", provable),
    Principle("Single hyperparameter", "1: at most two terms in the loss, so one weight between them, and fewer than "
              "{few} hyperparameters in all; 1/2: fewer than {many}; 0: else", single_hyperparameter),
    Principle("No teacher-student", "1: no teacher; 1/2: a teacher with decay 0; 0: an EMA teacher", no_teacher),
    Principle("SIGReg primary", "1: the LeJEPA loss with lambda in {lambdas}; 1/2: with another lambda, or published "
              "SIGReg of weight {auxiliary:g} or more beside InfoNCE; 0: else", sigreg_primary),
    Principle("No stop-gradient", "1: nothing is detached; 1/2: the queue or the codes are; 0: the targets are",
              no_stop_gradient),
    Principle("BF16 mixed precision", "1: all seeds trained under bf16 autocast, which GPUs have; 1/2: some; 0: none",
              mixed_precision),
    Principle("Minimal core", "1: at most {core_lines:g} lines of code in the modules that a training step executes; "
              "1/2: fewer than {large}; 0: else", minimal_core),
)  # fmt: skip


def limits_of(evidence: Evidence, lines: int | None = None) -> Limits:
    """The limits; `lines` stands in for those of this package."""
    thresholds = evidence.params.diagnosis
    counted = core_lines() if lines is None else lines
    return Limits(evidence.tables, evidence.params.success, (thresholds.lambda_min, thresholds.lambda_max), counted)


def scores(run: Trained, limits: Limits) -> dict[str, Score]:
    """By principle."""
    return {principle.name: principle.judge(run, limits) for principle in PRINCIPLES}


def percent(values: Mapping[str, float]) -> float:
    """The alignment: mean of scores in per cent."""
    return 100 * sum(values.values()) / len(values)


def letter(value: float, tables: Tables) -> str:
    """The letter of a percentage: that with the highest lower end not above it."""
    printed = tables.table("alignment_overall")
    ends = OWN_LETTERS | dict(zip(printed["letter"], printed["low"], strict=True))
    return max((end, name) for name, end in ends.items() if end <= value)[1]


def printed_scores(tables: Tables, stage: str) -> dict[str, float]:
    """The ticks that the analysis prints after a stage; what a stage does not list stays as it was."""
    found: dict[str, float] = {}
    for name in list(STAGES.values())[: list(STAGES.values()).index(stage) + 1]:
        table = tables.table(f"alignment_{name}")
        found |= dict(zip(table["principle"], table["alignment"].map(SCORES), strict=True))
    return found


def alignment(run: Trained, limits: Limits) -> tuple[float, str]:
    """Per cent and letter of a phase."""
    value = percent({name: score for name, (score, _) in scores(run, limits).items()})
    return value, letter(value, limits.tables)


def alignment_table(evidence: Evidence, limits: Limits) -> pd.DataFrame:
    """One row per phase and principle, and one for the phase overall: its score is the mean, its evidence the letter.

    Scores are NaN where the phase was not run.
    """
    stated = {"lambdas": f"{limits.lambdas[0]:g} to {limits.lambdas[1]:g}"} | limits.success.model_dump()
    stated |= {name: getattr(limits, name) for name in ("few", "many", "large", "auxiliary")}
    rows: list[tuple[object, ...]] = []
    for phase in evidence.params.names:
        run, stage = evidence.trained.get(phase), STAGES.get(phase)
        ticks = printed_scores(limits.tables, stage) if stage else {}
        found = scores(run, limits) if run else dict.fromkeys((p.name for p in PRINCIPLES), (math.nan, NOT_RUN))
        for principle in PRINCIPLES:
            tick = ticks.get(principle.name, math.nan)
            rows.append((phase, principle.name, found[principle.name][0], tick, found[principle.name][1],
                         principle.rule.format(**stated)))  # fmt: skip
        value, grade = alignment(run, limits) if run else (math.nan, "")
        printed = percent(ticks) / 100 if ticks else math.nan
        rows.append((phase, OVERALL, value / 100, printed, grade or NOT_RUN, "mean of the eight, and its letter"))
    return pd.DataFrame(rows, columns=list(COLUMNS))
