"""The record of a run as the rules read it: tables by epoch and by step, what it was trained with, what is broken.

Any of epochs.csv, steps.csv, losses.csv and run.json will do, and any of their columns. An empty cell is a value that
was not recorded; it is never read as zero.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from arcjepa.config import resolved
from arcjepa.errors import UserError
from arcjepa.findings.experiments import Experiments
from arcjepa.findings.plans import plan_for
from arcjepa.params import leaf
from arcjepa.settings import PRIMARY_SIGREG

TERMS = ("prediction", "sigreg", "invariance", "relational", "hard_negatives", "commitment")
EPOCH_COLUMNS = (
    *("step", "seconds", "sequences_per_second", "lr", "temperature", "queue_fill", "admitted_share"),
    *("grad_norm_mean", "grad_norm_max", "clipped_share", "clip_factor_median"),
    *(f"{split}_{term}{form}" for split in ("train", "val") for term in TERMS for form in ("", "_weighted")),
    *(f"{split}_{name}" for split in ("train", "val") for name in ("total", "prediction_error")),
)
STEP_COLUMNS = (
    *("code_usage", "active_codes", "perplexity", "refreshed_codes"),
    *(
        f"{name}_{side}"
        for side in ("context", "target")
        for name in ("effective_rank", "rankme", "variance", "epps_pulley")
    ),
)
LARGEST = 3.4e38
"""The largest number that training can hold, in float32."""
YOUNG, FEWEST_ROWS = 0.2, 4
"""Share of the planned epochs, and number of rows, from which on a level counts as one that a run ends at."""
_WEIGHTS = {
    "sigreg": "loss.sigreg.weight",
    "relational": "loss.relational.weight",
    "hard_negatives": "loss.hard_negatives.weight",
    "commitment": "quantizer.commitment.weight",
}
Axis = Literal["epoch", "step", ""]
_CONTRASTIVE = ("temperature", "queue_fill", "train_relational_weighted", "train_invariance_weighted")


@dataclass(frozen=True)
class Broken:
    """A cell that holds no finite number, or a row that came twice."""

    file: str
    row: int
    """Its epoch or step."""
    column: str
    """"" for a row that came twice."""
    text: str


class Span(NamedTuple):
    """Where a finding holds."""

    axis: Axis
    first: int | None
    last: int | None


@dataclass(frozen=True, eq=False)
class Record:
    """A run. Tables hold NaN where nothing was recorded."""

    name: str
    epochs: pd.DataFrame
    """By epoch, ascending."""
    steps: pd.DataFrame
    """By step, ascending."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the phase was trained with, nested; empty where that is unknown."""
    assumed: str = ""
    """Whose settings these are where the run itself names none."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """run.json."""
    broken: tuple[Broken, ...] = ()
    damaged: tuple[str, ...] = ()
    """What could not be read, in words: "epochs.csv: line 81: ..."."""
    experiments: Experiments = field(default_factory=Experiments)

    def series(self, *names: str) -> pd.Series:
        """The finite values of the first of these columns that has any, by epoch or step; else an empty series."""
        return next((self._known[name] for name in names if name in self._known), pd.Series(dtype=float))

    @cached_property
    def _known(self) -> dict[str, pd.Series]:
        """Every column that holds a value, without its gaps."""
        columns = {str(name): table[name].dropna() for table in (self.epochs, self.steps) for name in table}
        return {name: column for name, column in columns.items() if len(column)}

    def has(self, *names: str) -> bool:
        """Whether any of these columns holds a value."""
        return any(name in self._known for name in names)

    def setting(self, path: str, default: Any = None) -> Any:
        """A leaf of the phase's settings ("optimizer.clip")."""
        return leaf(self.settings, path, default)

    def number(self, path: str) -> float | None:
        """The same where it is a finite number."""
        value = self.setting(path)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if usable else None

    def own(self, path: str) -> float | None:
        """The same as the run itself has it, None where it is assumed."""
        return None if self.assumed else self.number(path)

    @property
    def span(self) -> "Span":
        """What holds throughout: from the first epoch recorded to the last; of steps where there are no epochs."""
        tables: dict[Axis, pd.DataFrame] = {"epoch": self.epochs, "step": self.steps}
        for axis, table in tables.items():
            if len(table):
                return Span(axis, int(table.index[0]), int(table.index[-1]))
        return Span("", None, None)

    @property
    def objective(self) -> str:
        """infonce, lejepa or "" where nothing tells."""
        named = self.setting("loss.prediction")
        return named if named in ("infonce", "lejepa") else guess_objective(self.epochs)

    @property
    def own_batch(self) -> float | None:
        """Sequences per step: as the run was set, else from the speed of its epochs."""
        size = self.own("training.batch_size")
        if size is not None or not {"step", "seconds", "sequences_per_second"} <= {*self.epochs}:
            return size
        sequences = self.epochs["seconds"] * self.epochs["sequences_per_second"]
        sizes = (sequences / self.epochs["step"].diff()).replace([np.inf, -np.inf], np.nan).dropna()
        return float(round(sizes.median())) if len(sizes) else None

    @property
    def batch(self) -> float | None:
        """The same, else as assumed."""
        return self.own_batch or self.number("training.batch_size")

    @property
    def validation_batch(self) -> float | None:
        """Sequences that validation contrasts with each other, which has no queue."""
        told = self.summary.get("validation_batch")
        return float(told) if isinstance(told, int) and told > 0 else self.batch

    @property
    def progress(self) -> float:
        """Share of the planned epochs that are recorded; 1 where the run ended, or nothing tells."""
        planned, last = self.number("training.epochs"), self.epochs.index.max() if len(self.epochs) else 0
        return 1.0 if not planned or self.summary.get("epochs") == last else float(last) / planned

    @property
    def young(self) -> str:
        """Why nothing can be said yet of what takes a while, "" where it can."""
        few = len(self.epochs) + len(self.steps) and max(len(self.epochs), len(self.steps)) < FEWEST_ROWS
        if not few and self.progress >= YOUNG:
            return ""
        return f"is young: {len(self.epochs)} epochs of {self.number('training.epochs') or 0:.0f} are recorded"

    def weight(self, term: str) -> float | None:
        """What a term was multiplied by, from the settings; None where they do not tell."""
        if term in ("prediction", "sigreg") and self.setting("loss.gradnorm.enabled"):
            return None
        weight = self.number(_WEIGHTS.get(term, ""))
        if term != "sigreg" or self.objective != "lejepa":
            published = term == "sigreg" and self.setting("loss.sigreg.form") == "published"
            weight = 1.0 if term in ("prediction", "invariance") else weight
        else:
            weight, published = self.number("loss.lambda_sigreg"), True
        if not published or weight is None:
            return weight
        return weight * PRIMARY_SIGREG / self.batch if self.batch else None

    def weighted(self, split: str, term: str) -> pd.Series:
        """A weighted term by epoch: as recorded, else the raw one times its weight; empty if unknown."""
        recorded, weight = self.series(f"{split}_{term}_weighted"), self.weight(term)
        return recorded if len(recorded) or weight is None else weight * self.series(f"{split}_{term}")

    def total(self, split: str) -> pd.Series:
        """The total by epoch: as recorded, else the sum of all weighted terms that the settings name."""
        recorded = self.series(f"{split}_total")
        if len(recorded) or not self.setting("loss.prediction"):
            return recorded
        terms = [self.weighted(split, term) for term in TERMS if self._in_use(term)]
        return pd.concat(terms, axis=1).sum(axis=1, skipna=False).dropna()

    def _in_use(self, term: str) -> bool:
        if term == "prediction" or (term == "sigreg" and self.objective == "lejepa"):
            return True
        section = "quantizer.commitment" if term == "commitment" else f"loss.{term}"
        return self.setting(f"{section}.enabled") is True

    def tries(self, *changes: Mapping[str, Any]) -> tuple[str, ...]:
        """One line per change, less those that would change nothing or are not allowed."""
        plan = self.experiments
        new = [{leaf: value for leaf, value in change.items() if plan.now.get(leaf) != value} for change in changes]
        return tuple(plan.line(change) for change in new if change and (not plan.tree or plan.accepted(change)))

    def scaled(self, leaf: str, factor: float, otherwise: float) -> float:
        """`factor` times what the leaf was for the run; `otherwise` stands for zero or unknown."""
        value = self.number(leaf) or self.experiments.now.get(leaf) or otherwise
        return factor * float(value)


def guess_objective(epochs: pd.DataFrame) -> str:
    """From the columns that only one objective fills, and the sizes that only one reaches."""
    filled = {name for name in epochs if epochs[name].notna().any()}
    if filled & set(_CONTRASTIVE) or ("train_prediction" in filled and epochs["train_prediction"].median() > 3):
        return "infonce"
    # The normalised form stays below 0.41; the published one is about 1 at least.
    return "lejepa" if "train_sigreg" in filled and epochs["train_sigreg"].max() > 0.9 else ""


def make_record(
    name: str,
    epochs: pd.DataFrame,
    steps: pd.DataFrame,
    summary: Mapping[str, Any] | None = None,
    tree: Mapping[str, Any] | None = None,
) -> Record:
    """A record from tables with the columns of epochs.csv and steps.csv, in any order; any may be missing.

    `name`: "SCALE/PHASE/seedN" says which run it is. `tree`: params.yaml as it was read; where the summary of the run
    holds no settings, those of its phase are assumed. Errors: UserError where these settings are unusable.
    """
    summary, tree = summary or {}, tree or {}
    broken: list[Broken] = []
    epochs = _indexed(epochs, "epochs.csv", "epoch", EPOCH_COLUMNS, broken)
    steps = _indexed(steps, "steps.csv", "step", STEP_COLUMNS, broken)
    settings = summary.get("settings") or {}
    if not isinstance(settings, Mapping):
        raise UserError(f"{name}: run.json: settings: is {settings!r:.60}, must be a mapping of settings")
    objective = Record(name, epochs, steps, settings).objective
    if not tree:
        plain = Experiments("phase2" if objective == "lejepa" else "baseline")
        return Record(name, epochs, steps, settings, "", summary, tuple(broken), (), plain)
    experiments, present = plan_for(name, objective, settings, tree)
    assumed = ""
    if not settings and objective:
        settings = resolved(present)
        assumed = f"phase {experiments.phase} of params.yaml at scale {experiments.scale}"
    return Record(name, epochs, steps, settings, assumed, summary, tuple(broken), (), experiments)


def _indexed(table: pd.DataFrame, file: str, key: str, columns: tuple[str, ...], broken: list[Broken]) -> pd.DataFrame:
    """The columns that rules read, as finite floats by epoch or step; what is not finite goes to `broken`."""
    if key not in table:
        if len(table):
            raise UserError(f"{file}: column {key!r} is missing, it has {', '.join(map(str, table))}")
        return pd.DataFrame(index=pd.Index([], dtype=int, name=key))
    kept = [name for name in columns if name in table]
    values = table[kept].astype(float).set_axis(table[key].astype(int)).sort_index(kind="stable")
    for name in kept:
        infinite = values[name][values[name].abs() > LARGEST]
        broken += [Broken(file, row, name, f"{infinite.loc[row]:g}") for row in infinite.index.astype(int)]
    twice = values.index[values.index.duplicated()].unique()
    broken += [Broken(file, int(row), "", "twice") for row in twice]
    # A run that was started again wrote its rows anew: the last count.
    return values.where(values.abs() <= LARGEST)[~values.index.duplicated(keep="last")]
