"""Where the analysis contradicts itself: the numbers of its text against those that its own tables give.

A printed number stands for whatever rounds to it or is cut to it: 81 for 80.5 up to 82. Two ends that are both whole
tens ("10-160x") are taken to be right to tens. Limits, targets and counts stand for themselves.
"""

from collections.abc import Hashable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from arcjepa.analysed_run import ANALYSIS
from arcjepa.claims import COMPONENTS, Found, Tables, Values, percent, run_claims
from arcjepa.errors import UserError
from arcjepa.plan_claims import STAGES, alignment_score, plan_claims

COLUMNS = (
    *("name", "section", "says", "relation", "printed_low", "printed_high", "unit"),
    *("computed", "computed_high", "verdict", "contradicts"),
)
TINY = 1e-9


@dataclass(frozen=True)
class Statement:
    """Numbers as printed, and how they should stand to the tables."""

    name: str
    section: str
    says: str
    relation: str
    """equals, exactly, within, below, above, at least; among: the printed value lies between the computed ones."""
    low: str
    high: str
    unit: str

    @property
    def spans(self) -> list[tuple[float, float]]:
        """What each printed number may stand for, lower and upper end."""
        texts = [text for text in (self.low, self.high) if text]
        whole = [text for text in texts if text.endswith("0") and "." not in text]
        tens = self.relation == "equals" and len(whole) == 2
        return [_span(text, 10.0 if tens else 2 * half_unit(text)) for text in texts]

    def holds(self, values: Values) -> bool:
        """Whether computed values agree with what is printed. Errors: UserError for an unknown relation."""
        printed, spans = [float(text) for text in (self.low, self.high) if text], self.spans
        first = values[0]
        if self.relation == "equals":
            return all(low <= value <= high for (low, high), value in zip(spans, values, strict=False))
        if self.relation == "exactly":
            return all(abs(value - own) < TINY for value, own in zip(values, printed, strict=False))
        if self.relation == "within":
            return spans[0][0] <= first <= spans[-1][1]
        if self.relation == "among":
            return spans[0][1] >= min(values) and spans[0][0] <= max(values)
        bounds = {"below": first < printed[0], "above": first > printed[0], "at least": first >= printed[0]}
        if self.relation not in bounds:
            allowed = "equals, exactly, within, among, below, above, at least"
            raise UserError(f"statements.csv: {self.name}: relation is {self.relation!r}; allowed: {allowed}")
        return bounds[self.relation]


def _span(text: str, unit: float) -> tuple[float, float]:
    size = abs(float(text))
    low, high = size - unit / 2 - TINY, size + unit - TINY
    return (-high, -low) if float(text) < 0 else (low, high)


def half_unit(text: str) -> float:
    """Half of the last printed digit: how far a rounded number may be from what it stands for."""
    mantissa, _, exponent = text.lower().partition("e")
    return 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


Row = tuple[Statement, Values, str]


def contradictions(folder: Path = ANALYSIS) -> pd.DataFrame:
    """One row per contradiction: COLUMNS without `contradicts`.

    `says` is what the document says, `computed` (and `computed_high`, NaN where there is none) what its tables give
    in the same unit, `verdict` a sentence on it. Errors: UserError naming a table that is missing or damaged.
    """
    table = checks(folder)
    return table[table["contradicts"]].drop(columns="contradicts").reset_index(drop=True)


def checks(folder: Path = ANALYSIS) -> pd.DataFrame:
    """All statements that were checked, those that hold included: COLUMNS."""
    try:
        t = Tables(folder)
        rows = [*_stated(t), *_usage(t), *_alignment(t), *_metrics(t)]
    except (KeyError, IndexError) as error:
        raise UserError(f"{folder}: a table lacks the row {error} that a claim needs; take it from git") from error
    cells = []
    for statement, values, verdict in rows:
        *about, low, high, unit = astuple(statement)
        printed = [float(text) if text else float("nan") for text in (low, high)]
        computed = [*map(float, values[:2]), float("nan")][:2]
        cells.append((*about, *printed, unit, *computed, verdict, not statement.holds(values)))
    return pd.DataFrame(cells, columns=list(COLUMNS))


def _stated(t: Tables) -> Iterator[Row]:
    found: Found = run_claims(t) | plan_claims(t) | _whole_tables(t)
    for row in t.text("statements").to_dict("records"):
        statement = Statement(**{str(key): value for key, value in row.items()})
        if statement.name not in found:
            raise UserError(f"{t.folder / 'statements.csv'}: nothing computes {statement.name!r}; take it from git")
        yield statement, *found[statement.name]


def _usage(t: Tables) -> Iterator[Row]:
    """Codes in use against their share, range by range."""
    codes = t.settings["quantizer"]["codes"]
    for row, text in zip(*(f("codebook_usage").to_dict("records") for f in (t.table, t.text)), strict=True):
        steps = f"{text['first_step']}-{text['last_step']}"
        low, high = (100 * row[f"active_{end}"] / codes for end in ("low", "high"))
        says = (
            f"Usage {text['usage_low']}-{text['usage_high']}%, active codes {text['active_low']}-{text['active_high']}"
        )
        statement = Statement(
            f"active codes, steps {steps}", "2. VQ Codebook Analysis", says, "equals", text["usage_low"],
            text["usage_high"], "percent",
        )  # fmt: skip
        yield statement, (low, high), f"of {codes} codes that is {low:.1f}-{high:.1f} %"


def _alignment(t: Tables) -> Iterator[Row]:
    """The checklist by its own ticks."""
    overall = t.text("alignment_overall").set_index("stage")
    for stage in STAGES:
        letter, low, high = (str(overall.loc[stage, column]) for column in ("letter", "low", "high"))
        says = f"Alignment {letter} ({low}-{high}%)"
        section = "L-JEPA Alignment Checklist"
        statement = Statement(f"alignment, {stage}", section, says, "within", low, high, "percent")
        score = alignment_score(t, stage)
        yield statement, (score,), f"the ticks over eight principles give {score:g} %"


def _metrics(t: Tables) -> Iterator[Row]:
    """Improvements of the success metrics against their baselines and targets."""
    for row, text in zip(*(f("success_metrics").to_dict("records") for f in (t.table, t.text)), strict=True):
        if not text["improvement_low"]:
            continue
        low, high = _change(row)
        printed = sorted(filter(None, (text["improvement_low"], text["improvement_high"])), key=float)
        relation = "equals" if len(printed) == 2 else "among"
        says = f"{text['baseline_words']} to {text['target_words']}: {text['improvement_words']}"
        name = f"{text['metric']}, {text['phase']}"
        statement = Statement(name, "Success Metrics", says, relation, printed[0], [*printed, ""][1], "percent")
        yield statement, (low, high), f"{low:+.1f} to {high:+.1f} %" if low != high else f"{low:+.1f} %"


def _change(row: dict[Hashable, Any]) -> Values:
    """Smallest and largest change in per cent that baseline and target, or the widths of their ranges, allow."""
    if row["baseline_spread"] > 0:
        own = percent(row["target_spread"], row["baseline_spread"])
        return own, own
    ends = {side: [v for v in (row[f"{side}_low"], row[f"{side}_high"]) if v == v] for side in ("baseline", "target")}
    changes = [percent(new, old) for new in ends["target"] for old in ends["baseline"]]
    return min(changes), max(changes)


def _whole_tables(t: Tables) -> Found:
    counts = {
        "totals": _wrong_totals(t),
        "appendix against text": _wrong_appendix(t),
        "validation ranges": _wrong_ends(t),
    }
    return {name: ((count,), f"{count} values differ by more than rounding") for name, count in counts.items()}


def _wrong_totals(t: Tables) -> int:
    """Totals further from the sum of their components than the rounding of all can explain."""
    rows = [row for name in ("training_losses", "appendix_losses") for row in t.text(name).to_dict("records")]
    wrong = 0
    for row in rows:
        texts = [row[column] for column in (*COMPONENTS, "total")]
        *parts, total = map(float, texts)
        wrong += abs(sum(parts) - total) > sum(map(half_unit, texts)) + TINY
    return wrong


def _wrong_appendix(t: Tables) -> int:
    """Values of the appendix that differ from those of the text."""
    embeddings = t.text("appendix_embeddings").rename(columns={"context_rank": "context", "target_rank": "target"})
    pairs = [(t.text("appendix_losses"), t.text("training_losses"), "epoch")]
    pairs += [(t.text("appendix_gradients"), t.text("gradient_norms"), "epoch")]
    pairs += [(embeddings, t.text(name), "step") for name in ("effective_rank", "variance_isotropy")]
    return sum(_differing(a.set_index(key), b.set_index(key)) for a, b, key in pairs)


def _differing(a: pd.DataFrame, b: pd.DataFrame) -> int:
    wrong = 0
    for column in a.columns.intersection(b.columns).difference(["assessment"]):
        both = pd.concat([a[column], b[column]], axis=1, join="inner")
        for x, y in both.itertuples(index=False):
            wrong += bool(x and y) and abs(float(x) - float(y)) > half_unit(x) + half_unit(y)
    return wrong


def _wrong_ends(t: Tables) -> int:
    """Ends of validation ranges that differ from losses printed elsewhere or from the start of the next range."""
    known, ranges = t.epochs["val_total"], t.text("validation_ranges")
    ends = [(ranges["first_epoch"].iloc[0], ranges["loss_from"].iloc[0])]
    ends += list(zip(ranges["last_epoch"], ranges["loss_to"], strict=True))
    off = sum(abs(known[int(epoch)] - float(text)) > half_unit(text) + TINY for epoch, text in ends)
    return int(off + (ranges["loss_from"].iloc[1:].to_numpy() != ranges["loss_to"].iloc[:-1].to_numpy()).sum())
