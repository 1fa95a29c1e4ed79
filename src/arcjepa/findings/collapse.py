"""Collapse of the embeddings: complete, to a point, or dimensional, to a few directions."""

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.records import Record
from arcjepa.findings.series import end, last_stretch, smooth

SIDES = ("context", "target")
SHRUNK = 0.01
"""Share to which a variance may fall, of the 1 that SIGReg asks for, or of its largest: InfoNCE leaves it free."""
FALLEN = 0.25
"""Share of its largest value to which an effective rank may fall."""


def remedies(record: Record) -> tuple[str, ...]:
    """A stronger push away from collapse."""
    if record.objective == "lejepa":
        return record.tries({"lambda_sigreg": record.scaled("lambda_sigreg", 2, 1.0)}, {"loss.teacher.enabled": True})
    published = {"loss.sigreg.enabled": True, "loss.sigreg.form": "published", "loss.sigreg.weight": 1.0}
    return record.tries(published, {"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)})


def complete_collapse(record: Record, limits: Thresholds) -> Finding | None:
    """Variance at the end < collapse_variance, or a hundredth of what it was or should be, on either side."""
    for side in SIDES:
        variance = record.series(f"variance_{side}")
        if not len(variance):
            continue
        wanted = 1.0 if record.objective == "lejepa" else smooth(variance).max()
        limit = max(limits.collapse_variance, SHRUNK * wanted)
        if end(variance) >= limit:
            continue
        return Finding(
            "complete collapse",
            "critical",
            f"The variance of {side} embeddings ends at {end(variance):.2g}: all inputs give one output.",
            {"side": side, "final_variance": end(variance), "largest_variance": variance.max(), "limit": limit},
            "collapse_variance",
            limits.collapse_variance,
            "A constant embedding is predicted without error; nothing in the loss was strong enough against it.",
            "Strengthen SIGReg; do not read the prediction loss of this run.",
            "step",
            last_stretch(smooth(variance) < limit),
            int(variance.index[-1]),
            remedies(record),
        )
    return None


def dimensional_collapse(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """Effective rank at the end / min(dimensions, batch - 1) < collapse_rank, or a quarter of what it was."""
    dimensions = record.number("model.embedding")
    if dimensions is None:
        return Skipped("lacks settings.model.embedding in run.json")
    possible = min(dimensions, (record.batch or float("inf")) - 1)
    for side in SIDES:
        rank = record.series(f"effective_rank_{side}", f"rankme_{side}")
        if not len(rank):
            continue
        limit = max(limits.collapse_rank * possible, FALLEN * smooth(rank).max())
        if end(rank) >= limit:
            continue
        return Finding(
            "dimensional collapse",
            "critical",
            f"The effective rank of {side} embeddings ends at {end(rank):.1f} of {possible:.0f}.",
            {"side": side, "final_rank": end(rank), "largest_rank": rank.max(), "possible_rank": possible},
            "collapse_rank",
            limits.collapse_rank,
            "Embeddings vary along a few directions only: the regulariser is too weak, or blind to it.",
            "Strengthen SIGReg, in its published form.",
            "step",
            last_stretch(smooth(rank) < limit),
            int(rank.index[-1]),
            remedies(record),
        )
    return None


RULES = (
    Rule("complete collapse", complete_collapse, ("variance_context|variance_target",)),
    Rule(
        "dimensional collapse",
        dimensional_collapse,
        ("effective_rank_context|effective_rank_target|rankme_context|rankme_target",),
    ),
)
