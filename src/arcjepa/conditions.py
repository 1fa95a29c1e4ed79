"""What the gates of the roadmap and the risks of the analysis ask of the runs: yes, no, or why that cannot be judged.

Phases that differ in the one mechanism that is asked about come before the phases of the plan, which change several at
once; where only those were run, the answer says what else changed.
"""

import math
from collections.abc import Callable

import numpy as np

from arcjepa import formulas
from arcjepa.alignment import limits_of
from arcjepa.errors import UserError
from arcjepa.evidence import MEASURE, NOT_RUN, Evidence, Trained, changes, mechanisms
from arcjepa.judgements import NO, UNKNOWN, YES, Condition, Judgement, answer, comparison, harm, listed, of
from arcjepa.judges import MISSED, NOT_COMPARABLE, Context, Goal, steady, validation_loss

COLLAPSES = ("complete collapse", "dimensional collapse")
DIAGNOSTIC, PASS, LONGEST = ("phase2", "diagnostic"), ("phase2", "diagnostics pass"), ("phase3", "production")
"""Tasks of the roadmap that state how long a diagnostic, a production run and the last one are: phase and words."""
CODEBOOK_FAULTS = ("codebook collapse", "codebook discontinuity")


# --- phase 1


@of("phase1")
def loss_above(evidence: Evidence, run: Trained) -> Judgement:
    """The validation loss is above the roadmap's limit, where the two can be compared."""
    limit = evidence.tables.at("roadmap", "value", phase="phase1", quantity="val loss", relation=">")
    goal = Goal("phase1", "roadmap", "val loss", "", "", "<", limit, math.nan, math.nan)
    found = validation_loss(run, goal, Context(evidence, limits_of(evidence)))
    numbers = f"best validation loss {found.reached}, the limit is {limit:g}" if found.reached else ""
    if found.verdict == NOT_COMPARABLE:
        return Judgement(UNKNOWN, numbers, found.why)
    return Judgement(answer(found.verdict == MISSED), numbers, found.why)


@of("baseline", "phase1")
def relational_missed(evidence: Evidence, before: Trained, after: Trained) -> Judgement:
    """Encoders are worse without the raw relational loss."""
    pairs = evidence.isolated(
        "loss.relational",
        lambda run: relational(run) and run.setting("loss.relational.form") == "raw",
        lambda run: not relational(run),
    )
    return harm(evidence, pairs[0] if pairs else (before.name, after.name), "loss.relational")


def relational(run: Trained) -> bool:
    """Whether a relational loss weighs anything."""
    return "relational" in formulas.loss_terms(run.settings)


@of("phase1")
def codebook_unstable(evidence: Evidence, run: Trained) -> Judgement:
    """The use of codes falls by more than usage_fall after warm-up, or the diagnosis finds the codebook at fault."""
    success = evidence.params.success
    ranges = 100 * np.array([formulas.usage_range(steps, success) for steps in run.steps])
    if np.isnan(ranges).all():
        return Judgement(UNKNOWN, "", "no codebook")
    fall, found = 100 * max(formulas.usage_fall(t, success) for t in run.steps), run.found(*CODEBOOK_FAULTS)
    numbers = f"{ranges[:, 0].min():.0f}-{ranges[:, 1].max():.0f} % in use, falls by {fall:.1f} points, "
    numbers += f"allowed: {100 * success.usage_fall:g}; {listed(found)}"
    return Judgement(answer(bool(found) or fall > 100 * success.usage_fall), numbers)


@of("phase1")
def codebook_collapses(evidence: Evidence, run: Trained) -> Judgement:
    """Without refresh, fewer codes than codebook_usage of the diagnosis are in use at the end."""
    if run.setting("quantizer.refresh.enabled", False):
        return Judgement(UNKNOWN, "", "the refresh is on")
    usage, limit = level(evidence, run), 100 * evidence.params.diagnosis.codebook_usage
    if math.isnan(usage):
        return Judgement(UNKNOWN, "", "no codebook")
    found = run.found("codebook collapse")
    numbers = f"{usage:.0f} % in use at the end{_with_refresh(evidence)}; needed: {limit:g} %; {listed(found)}"
    return Judgement(answer(bool(found) or usage < limit), numbers)


def _with_refresh(evidence: Evidence) -> str:
    pairs = evidence.isolated("quantizer.refresh", refreshed, lambda run: not refreshed(run))
    told = [f"{level(evidence, evidence.trained[one]):.0f} % against {level(evidence, evidence.trained[two]):.0f} %" for
            one, two in pairs[:1]]  # fmt: skip
    return f"; refresh on against off alone: {told[0]}" if told else ""


def refreshed(run: Trained) -> bool:
    """Whether unused codes are replaced."""
    return "codebook refresh" in formulas.heuristics(run.settings)


def level(evidence: Evidence, run: Trained) -> float:
    """Per cent of the codes in use at the end, mean of the seeds; NaN without a codebook."""
    return 100 * float(np.mean([formulas.settled_usage(steps, evidence.params.success) for steps in run.steps]))


@of("baseline", "phase1")
def stopped_too_early(evidence: Evidence, baseline: Trained, run: Trained) -> Judgement:
    """It stopped early, and a phase that trained on improved by more than `stable` after that epoch."""
    patience, last = run.setting("stopping.patience"), run.lasted
    if patience is None or patience >= run.planned:
        told = "is off" if patience is None else f"with a patience of {patience} cannot act in {run.planned} epochs"
        return Judgement(UNKNOWN, f"{last} epochs", f"early stopping {told}")
    if last == run.planned:
        return Judgement(NO, f"all {last} epochs run, patience {patience}")
    pairs = evidence.isolated("stopping", lambda one: one is run, lambda one: one.lasted > last)
    longer = evidence.trained[pairs[0][1]] if pairs else baseline
    if longer.lasted <= last or longer.setting("loss.prediction") != run.setting("loss.prediction"):
        return Judgement(UNKNOWN, f"stopped after epoch {last}", "nothing comparable trained for longer")
    column, allowed = formulas.watched(run.settings), evidence.params.success.stable - 1
    gains = [1 - table[column].iloc[last:].min() / table[column].iloc[:last].min() for table in longer.epochs]
    gain = float(np.mean(gains))
    change = f"{'improves' if gain > 0 else 'worsens'} by {abs(100 * gain):.1f} %"
    numbers = f"stopped after epoch {last}; {longer.name} {change} after it; "
    return Judgement(answer(gain > allowed), f"{numbers}allowed: {100 * allowed:.1g} %")


# --- phase 2


@of("phase1", "phase2")
def sigreg_underperforms(evidence: Evidence, before: Trained, after: Trained) -> Judgement:
    """The phase with SIGReg as its primary loss is worse than the contrastive one before it."""
    if after.setting("loss.prediction") != "lejepa" or before.setting("loss.prediction") != "infonce":
        return Judgement(UNKNOWN, "", "phase1 is not contrastive, or SIGReg not primary in phase2")
    return harm(evidence, (before.name, after.name), "")


@of("phase2")
def unstable_without_teacher(evidence: Evidence, run: Trained) -> Judgement:
    """Without teacher, it is not stable, or the diagnosis finds a collapse, gradient spikes or a rising loss."""
    if run.setting("loss.teacher.enabled", False):
        return Judgement(UNKNOWN, "", "the teacher is on")
    calm, told, _ = steady(run, evidence)
    found = run.found(*COLLAPSES, "gradient spikes", "rising training loss")
    allowed = 100 * (evidence.params.success.stable - 1)
    return Judgement(answer(bool(found) or not calm), f"{told}, allowed: {allowed:.1g} %; {listed(found)}")


@of("phase1", "phase2")
def reduction_breaks_training(evidence: Evidence, before: Trained, after: Trained) -> Judgement:
    """With fewer hyperparameters, the diagnosis finds something critical."""
    counts = [len(run.hyperparameters) for run in (before, after)]
    if counts[1] >= counts[0]:
        return Judgement(UNKNOWN, f"{counts[0]} to {counts[1]} hyperparameters", "no reduction")
    found = after.found(severity="critical")
    error = np.mean([table["val_prediction_error"].iloc[-1] for table in after.epochs])
    numbers = f"{counts[0]} to {counts[1]} hyperparameters; critical {listed(found)}, allowed: none; "
    return Judgement(answer(bool(found)), f"{numbers}prediction error {error:.2f} of the variance")


def diagnostics_pass(task: tuple[str, str]) -> Condition:
    """A condition: whether the phase of a task of the roadmap passes, so that it may run as long as that task says."""

    @of(task[0])
    def condition(evidence: Evidence, run: Trained) -> Judgement:
        """A diagnostic's epochs are run, stable, and without a critical finding."""
        production, diagnostic = (roadmap_epochs(evidence, one) for one in (task, DIAGNOSTIC))
        calm, told, _ = steady(run, evidence)
        found = run.found(severity="critical")
        allowed = 100 * (evidence.params.success.stable - 1)
        numbers = f"{told}, allowed: {allowed:.1g} %; critical {listed(found)}, allowed: none"
        if run.planned >= production:
            return Judgement(NO, numbers, f"these runs have {run.planned} epochs already")
        if run.planned < diagnostic:
            return Judgement(UNKNOWN, numbers, f"a diagnostic has {diagnostic} epochs, these runs {run.planned}")
        return Judgement(answer(calm and not found), numbers)

    return condition


def roadmap_epochs(evidence: Evidence, task: tuple[str, str]) -> int:
    """The epochs of a phase's first task with these words. Errors: UserError where the roadmap has none."""
    phase, words = task
    tasks = evidence.tables.table("roadmap")
    found = tasks[(tasks["phase"] == phase) & (tasks["quantity"] == "epochs") & tasks["task"].str.contains(words)]
    if not len(found):
        raise UserError(f"roadmap.csv: no task of {phase} that states epochs and says {words!r}")
    return int(found["value"].iloc[0])


# --- phase 3


@of("phase3")
def gumbel_fails(evidence: Evidence, run: Trained) -> Judgement:
    """Its codebook collapses, the diagnosis is critical, or Gumbel codes alone make encoders worse than VQ."""
    if run.setting("quantizer.kind") != "gumbel":
        return Judgement(UNKNOWN, "", "its codes are not Gumbel-softmax")
    pairs = evidence.isolated("quantizer", of_kind("vq"), of_kind("gumbel"))
    found = [*run.found("codebook collapse"), *run.found(severity="critical")]
    numbers = f"{level(evidence, run):.0f} % of the codes in use at the end; {listed(found)}"
    harmed = [harm(evidence, pair, "quantizer") for pair in pairs]
    numbers = "; ".join([numbers, *(judged.numbers or judged.why for judged in harmed[:1])])
    why = "" if pairs else f"its effect on {MEASURE} alone is unknown"
    return Judgement(answer(bool(found) or any(judged.state == YES for judged in harmed)), numbers, why)


def of_kind(*kinds: str) -> Callable[[Trained], bool]:
    """Whether a run's quantiser is one of these."""
    return lambda run: run.setting("quantizer.kind") in kinds


def scalar_codes_fail(evidence: Evidence) -> Judgement:
    """FSQ alone makes encoders worse than VQ."""
    pairs = evidence.isolated("quantizer", of_kind("vq"), of_kind("fsq"))
    if not pairs:
        return Judgement(UNKNOWN, "", f"FSQ: {NOT_RUN} beside VQ with all else alike")
    return harm(evidence, pairs[0], "quantizer")


@of("phase3")
def context_does_not_help(evidence: Evidence, run: Trained) -> Judgement:
    """No longer context window alone makes encoders better."""
    pairs = evidence.isolated("sequence.window", lambda one: window(one) == 3, lambda one: window(one) > 3)
    if not pairs:
        return Judgement(UNKNOWN, _together(evidence), "no pair of runs differs in the window alone")
    gaps = [evidence.paired(*pair) for pair in pairs]
    numbers = "; ".join(comparison(evidence, pair) for pair in pairs)
    if all(math.isnan(gap[0]) for gap in gaps):
        return Judgement(UNKNOWN, "", numbers)
    return Judgement(answer(not any(gap[2] < 0 for gap in gaps)), numbers)


def window(run: Trained) -> int:
    """Frames of context."""
    return int(run.setting("sequence.window", 1))


def _together(evidence: Evidence) -> str:
    return f"{comparison(evidence, ('phase2', 'phase3'))}, all changes together" if "phase2" in evidence.trained else ""


@of("phase2", "phase3")
def combination_harms(evidence: Evidence, before: Trained, after: Trained) -> Judgement:
    """The phase of all changes together is worse than the one before it."""
    judged = harm(evidence, (before.name, after.name), "")
    changed = ", ".join(mechanisms(changes(before, after)))
    return Judgement(judged.state, judged.numbers, judged.why or f"changed: {changed}")


@of("phase3")
def losses_kept(evidence: Evidence, run: Trained) -> Judgement:
    """It minimises InfoNCE and SIGReg together, with fixed weights."""
    terms = formulas.loss_terms(run.settings)
    kept = run.setting("loss.prediction") == "infonce" and "SIGReg" in terms
    balanced = formulas.balancing(run.settings)
    numbers = f"{run.setting('loss.prediction')}: {', '.join(terms)}{f', under {balanced}' if balanced else ''}"
    return Judgement(answer(kept and not balanced), numbers)
