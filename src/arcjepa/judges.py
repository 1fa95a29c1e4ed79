"""The formulas by which a target of the analysis is judged: one function each, from a phase's runs to a verdict.

Limits come with the target, thresholds of words such as "stable" from `Success`. Use of codes and rises of a loss are
in per cent. "In every seed" means that the worst seed decides; what was reached is the mean of the seeds.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from arcjepa import formulas
from arcjepa.alignment import Limits, alignment, scores
from arcjepa.claims import Tables, where
from arcjepa.errors import UserError
from arcjepa.evidence import Evidence, Trained, nats
from arcjepa.intervals import UNKNOWN, Interval, over_seeds
from arcjepa.params import leaf

MET, MISSED, NOT_COMPARABLE = "met", "missed", "not comparable"


@dataclass(frozen=True)
class Goal:
    """One row of a table of the analysis."""

    phase: str
    """"all" for the ultimate targets."""
    part: str
    """Which table."""
    name: str
    baseline: str
    wanted: str
    relation: str
    low: float
    high: float
    spread: float

    @property
    def epochs(self) -> int:
        """The number of epochs in its words ("Stable to epoch 80"). Errors: UserError where there is none."""
        found = re.search(r"\d+", self.wanted)
        if not found:
            raise UserError(f"success_metrics.csv: {self.name}: target_words: is {self.wanted!r}, must name an epoch")
        return int(found[0])


@dataclass(frozen=True)
class Context:
    """What a formula reads beside the runs of the phase."""

    evidence: Evidence
    limits: Limits


@dataclass(frozen=True)
class Verdict:
    """One row's outcome, with the interval of what was reached."""

    reached: str
    verdict: str
    why: str = ""
    interval: Interval = UNKNOWN


Judge = Callable[[Trained, Goal, Context], Verdict]


def validation_loss(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Best validation loss < low, both without the relational part; within InfoNCE, among as many candidates."""
    beside = yardstick(run, context.evidence)
    if run.setting("loss.prediction") != "infonce":
        return Verdict("", NOT_COMPARABLE, f"another objective, in other units than InfoNCE{beside}")
    losses = [formulas.comparable_loss(run.settings, epochs) for epochs in run.epochs]
    chance, gap = math.log(candidates_of(context.evidence.tables)), context.evidence.params.success.chance_gap
    alike = [table[(table["chance"] - chance).abs() <= gap] for table in losses]
    compared = all(map(len, alike))
    best = over_seeds([float(table["loss"].min()) for table in (alike if compared else losses)])
    if not compared:
        ours = max(table["chance"].max() for table in losses)
        why = f"chance is {ours:.2f} nats here, among {math.exp(ours):.0f} targets, and {chance:.2f} there{beside}"
        return Verdict(f"{best[0]:.3f}", NOT_COMPARABLE, why, best)
    limit = goal.low - relational_part(context.evidence.tables)
    why = f"both without the relational part: {best[0]:.2f} against {limit:.2f}; data and model differ{beside}"
    return Verdict(f"{best[0]:.3f}", _verdict(best[0] < limit), why, best)


def relational_part(tables: Tables) -> float:
    """Of the analysed run's best validation loss: the training value of the printed epoch nearest to it, 0.831."""
    relational = tables.losses["relational"]
    best = tables.at("validation_points", "epoch", point="best")
    return float(relational[where(pd.Series(relational.index, relational.index), best)])


def candidates_of(tables: Tables) -> int:
    """Among how many targets the analysed run found the true one: its queue and its batch."""
    return int(leaf(tables.settings, "loss.infonce.queue") + leaf(tables.settings, "training.batch_size"))


def yardstick(run: Trained, evidence: Evidence) -> str:
    """What compares all phases: val_nce, and its difference from the phase before; "" where it was not measured."""
    value, order = evidence.measured(run.name), evidence.params.names
    if math.isnan(value[0]):
        return ""
    before = order[order.index(run.name) - 1] if run.name in order[1:] else ""
    gap = evidence.paired(before, run.name) if before else UNKNOWN
    change = "" if math.isnan(gap[0]) else f", {nats(gap, '+')} on {before}"
    return f"; val_nce is {nats(value)}{change}"


def relational_loss(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Weighted relational loss of the last epoch < low, or none at all."""
    if "relational" not in formulas.loss_terms(run.settings):
        return Verdict("removed", MET)
    last = over_seeds([float(epochs["train_relational_weighted"].iloc[-1]) for epochs in run.epochs])
    return Verdict(f"{last[0]:.3f}", _verdict(last[0] < goal.low), f"weighted, after {run.lasted} epochs", last)


def no_explosion(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Largest relational loss after warm-up <= explosion x the smallest before it, in every seed; or none at all."""
    success = context.evidence.params.success
    if "relational" not in formulas.loss_terms(run.settings):
        return Verdict("removed", MET)
    grown = [formulas.relational_growth(epochs, success) for epochs in run.epochs]
    value = over_seeds(grown)
    why = f"largest over smallest before, after warm-up; allowed: {success.explosion:g}"
    return Verdict(f"{value[0]:.2f} times", _verdict(max(grown) <= success.explosion), why, value)


def usage_spread(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Largest less smallest share of codes in use, after warm-up, <= the spread that the analysis wants."""
    low, high, points = _usage(run, context)
    if math.isnan(points[0]):
        return Verdict("", NOT_COMPARABLE, "no codebook")
    reached = f"{low:.0f}-{high:.0f} % ({points[0]:.1f} points)"
    return Verdict(reached, _verdict(points[0] <= goal.spread), "points between, after warm-up", points)


def usage_within(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Share of codes in use >= low throughout, and no fall by more than high - low in any seed."""
    low, high, points = _usage(run, context)
    if math.isnan(points[0]):
        return Verdict("", NOT_COMPARABLE, "no codebook")
    fall, allowed = _fall(run, context), goal.high - goal.low
    above = "; more codes in use than the band are no fault" if low > goal.high else ""
    why = f"asked: {goal.low:g} % or more; falls by {fall:.1f} points, allowed: {allowed:g}{above}"
    reached = f"{low:.0f}-{high:.0f} % ({points[0]:.1f} points)"
    return Verdict(reached, _verdict(low >= goal.low and fall <= allowed), why, points)


def _fall(run: Trained, context: Context) -> float:
    return 100 * max(formulas.usage_fall(steps, context.evidence.params.success) for steps in run.steps)


def usage_above(run: Trained, goal: Goal, context: Context, stable: bool = False) -> Verdict:
    """Mean share of codes in use at the end > low; where `stable`, no fall by more than usage_fall in any seed."""
    success = context.evidence.params.success
    value = over_seeds([100 * formulas.settled_usage(steps, success) for steps in run.steps])
    if math.isnan(value[0]):
        return Verdict("", NOT_COMPARABLE, "no codebook")
    fall = _fall(run, context)
    calm = fall <= 100 * success.usage_fall
    fell = f"; falls by {fall:.1f} points, allowed: {100 * success.usage_fall:g}" if stable else ""
    why = f"mean of the last recorded steps; {run.setting('quantizer.kind')} codes{fell}{_frozen(run, context)}"
    return Verdict(f"{value[0]:.0f} %", _verdict(value[0] > goal.low and (calm or not stable)), why, value)


def _frozen(run: Trained, context: Context) -> str:
    share = [100 * value for value in context.evidence.measured(run.name, "code_usage")]
    return "" if math.isnan(share[0]) else f"; frozen encoder: {share[0]:.0f} % [{share[1]:.0f}, {share[2]:.0f}]"


def _usage(run: Trained, context: Context) -> tuple[float, float, Interval]:
    """Smallest and largest share of codes in use and the points between, per cent, means over seeds."""
    ranges = 100 * np.array([formulas.usage_range(steps, context.evidence.params.success) for steps in run.steps])
    low, high = ranges.mean(0)
    return float(low), float(high), over_seeds(list(ranges[:, 1] - ranges[:, 0]))


def stability(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Watched validation loss at the end <= stable x its best, over the epochs that the target names, in every seed."""
    calm, reached, value = steady(run, context.evidence, goal.epochs)
    if run.planned < goal.epochs:
        return Verdict(reached, NOT_COMPARABLE, f"{run.planned} epochs at this scale, not {goal.epochs}", value)
    if run.lasted < goal.epochs:
        return Verdict(reached, NOT_COMPARABLE, f"stopped after epoch {run.lasted}, not {goal.epochs}", value)
    return Verdict(reached, _verdict(calm), _allowed_rise(context.evidence), value)


def steady(run: Trained, evidence: Evidence, epochs: int | None = None) -> tuple[bool, str, Interval]:
    """Whether the worst seed is stable over its first `epochs`, in words, and the rise above the best in per cent."""
    column = formulas.watched(run.settings)
    rises = [100 * formulas.rise(table.head(epochs or len(table)), column) for table in run.epochs]
    value, lasted = over_seeds(rises), min(run.lasted, epochs or run.lasted)
    told = f"{value[0]:.1f} % above its best after {lasted} epochs"
    return max(rises) <= 100 * (evidence.params.success.stable - 1), told, value


def _allowed_rise(evidence: Evidence) -> str:
    return f"allowed: {100 * (evidence.params.success.stable - 1):g} % in every seed"


def completed(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Epochs run by the shortest seed >= low."""
    reached = f"{run.lasted} epochs"
    if run.planned < goal.low:
        return Verdict(reached, NOT_COMPARABLE, f"{run.planned} epochs at this scale, not {goal.low:g}")
    stopped = "stopped early" if run.lasted < run.planned else ""
    return Verdict(reached, _verdict(run.lasted >= goal.low), stopped)


def without_heuristics(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Stable, and no heuristic on."""
    calm, reached, value = steady(run, context.evidence)
    left = formulas.heuristics(run.settings)
    why = f"{_allowed_rise(context.evidence)}; heuristics on: {', '.join(left) or 'none'}"
    return Verdict(reached, _verdict(calm and not left), why, value)


def no_instability(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Stable, and neither the total nor a material term after warm-up > explosion x the smallest before it."""
    success = context.evidence.params.success
    calm, told, _ = steady(run, context.evidence)
    grown = [_largest_growth(epochs, context) for epochs in run.epochs]
    factor, term = max(grown)
    why = f"{told}, {_allowed_rise(context.evidence)}; growth after warm-up, allowed: {success.explosion:g}"
    value = over_seeds([growth for growth, _ in grown])
    return Verdict(_grown(factor, term), _verdict(calm and factor <= success.explosion), why, value)


def _grown(factor: float, term: str) -> str:
    return f"{term} grows {factor:.2f} times" if factor > 1 else "nothing grows"


def _largest_growth(epochs: pd.DataFrame, context: Context) -> tuple[float, str]:
    success = context.evidence.params.success
    total = formulas.growth(formulas.after_warm_up(epochs, "epoch", success)["train_total"])
    terms = formulas.term_growths(epochs, success)["value"]
    return max([(total, "total"), *((float(value), str(name)) for name, value in terms.items())])


def balanced(run: Trained, goal: Goal, context: Context) -> Verdict:
    """No material term grows, and its share with it, to more than balance x the smallest before, in every seed."""
    success = context.evidence.params.success
    grown = [_largest_drift(epochs, context) for epochs in run.epochs]
    factor, term = max(grown)
    value = over_seeds([drift for drift, _ in grown])
    why = f"growth of value and share of a term after warm-up; allowed: {success.balance:g}"
    return Verdict(_grown(factor, term), _verdict(factor <= success.balance), why, value)


def _largest_drift(epochs: pd.DataFrame, context: Context) -> tuple[float, str]:
    drifts = formulas.term_growths(epochs, context.evidence.params.success).min(axis=1)
    return max([(1.0, "no term"), *((float(value), str(name)) for name, value in drifts.items())])


def hyperparameters(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Fewer than low."""
    count = len(run.hyperparameters)
    return Verdict(str(count), _verdict(count < goal.low), "of loss, quantizer, optimizer and stopping, those in use")


def loss_components(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Terms of the loss that weigh more than nothing: at most high."""
    used = list(formulas.loss_terms(run.settings))
    return Verdict(f"{len(used)} ({', '.join(used)})", _verdict(len(used) <= goal.high))


def grade(run: Trained, goal: Goal, context: Context) -> Verdict:
    """Alignment by the checklist >= low, per cent."""
    value, letter = alignment(run, context.limits)
    short = [name for name, (score, _) in scores(run, context.limits).items() if score < 1]
    why = f"computed; short of 1: {', '.join(short) or 'nothing'}"
    return Verdict(f"{letter} ({value:.4g} %)", _verdict(value >= goal.low), why)


def effective_rank(run: Trained, goal: Goal, context: Context, side: str) -> Verdict:
    """Effective rank of the frozen encoder > low, or >= low where a range is wanted; more is no fault."""
    value = context.evidence.measured(run.name, f"effective_rank_{side}")
    if math.isnan(value[0]):
        return Verdict("", NOT_COMPARABLE, "not measured")
    met = value[0] > goal.low if goal.relation == ">" else value[0] >= goal.low
    why = f"of covariance eigenvalues; {run.setting('model.embedding')} dimensions here, "
    why += f"{leaf(context.evidence.tables.settings, 'model.embedding')} there"
    why += "; above the range, as the analysis ticks ranks" if value[0] > goal.high else ""
    why += "; the interval holds the limit" if value[1] <= goal.low <= value[2] else ""
    return Verdict(f"{value[0]:.1f}", _verdict(met), why, value)


def _verdict(met: bool) -> str:
    return MET if met else MISSED
