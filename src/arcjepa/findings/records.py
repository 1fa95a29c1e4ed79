"""The record of a run as the rules read it: tables by epoch and by step, what it was trained with, what is broken.

Any of epochs.csv, steps.csv, losses.csv and run.json will do, and any of their columns. An empty cell is a value that
was not recorded; it is never read as zero.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.config import from_mapping, resolved
from arcjepa.errors import UserError
from arcjepa.findings.experiments import Experiments
from arcjepa.params import leaf, leaves
from arcjepa.settings import Phase

TERMS = ("prediction", "sigreg", "invariance", "relational", "commitment")
EPOCH_COLUMNS = (
    *("step", "seconds", "sequences_per_second", "temperature", "queue_fill", "admitted_share"),
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

    @property
    def objective(self) -> str:
        """infonce, lejepa or "" where nothing tells."""
        named = self.setting("loss.prediction")
        return named if named in ("infonce", "lejepa") else guess_objective(self.epochs)

    @property
    def batch(self) -> float | None:
        """Sequences per step: as the run was set, else from the speed of its epochs, else as assumed."""
        size = self.number("training.batch_size")
        if (size is not None and not self.assumed) or not {"step", "seconds", "sequences_per_second"} <= {*self.epochs}:
            return size
        sequences = self.epochs["seconds"] * self.epochs["sequences_per_second"]
        sizes = (sequences / self.epochs["step"].diff()).replace([np.inf, -np.inf], np.nan).dropna()
        return float(round(sizes.median())) if len(sizes) else size

    def tries(self, *changes: Mapping[str, Any]) -> tuple[str, ...]:
        """One `dvc exp run` line per change, less those that would change nothing or are not allowed."""
        plan = self.experiments
        new = [{leaf: value for leaf, value in change.items() if plan.now.get(leaf) != value} for change in changes]
        return tuple(plan.line(change) for change in new if change and (not plan.tree or plan.accepted(change)))

    def scaled(self, leaf: str, factor: float, otherwise: float) -> float:
        """`factor` times what the leaf is before the experiment; `otherwise` stands for zero or unknown."""
        value = self.experiments.now.get(leaf) or self.number(leaf) or otherwise
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
        return Record(name, epochs, steps, settings, "", summary, tuple(broken), plain)
    experiments, present = _experiments(name, objective, settings, tree)
    assumed = ""
    if not settings and objective:
        settings = resolved(present)
        assumed = f"phase {experiments.phase} of params.yaml at scale {experiments.scale}"
    return Record(name, epochs, steps, settings, assumed, summary, tuple(broken), experiments)


def _experiments(
    name: str, objective: str, settings: Mapping[str, Any], tree: Mapping[str, Any]
) -> tuple[Experiments, Phase]:
    """For the phase or scenario and the scale in the name, else for the first phase with the run's objective; and what
    params.yaml has for it."""
    *_, scale, phase, seed = ("", "", "", *name.split("/"))
    ours = seed.startswith("seed") and (phase in tree["phases"] or phase in tree.get("scenarios", {}))
    at_scale = dict(tree) | ({"scale": scale} if ours and scale in tree["scales"] else {})
    params = from_mapping(at_scale)
    if not ours:
        alike = [p for p in params.names if params.phase_settings(p).loss.prediction == objective]
        phase = (alike or params.names)[0]
    present = params.phase_settings(phase)
    now = {".".join(path): value for path, value in leaves(present.model_dump())}
    strength = now["loss.lambda_sigreg"]
    now |= {"lambda_sigreg": params.lambda_sigreg if strength is None else strength}
    now |= {"data.synthetic.tasks": params.data.synthetic.tasks}
    if ours:
        # What the run had, where params.yaml changed since: that is what is to be changed.
        own = {".".join(path): value for path, value in leaves(settings)}
        now |= own | {"lambda_sigreg": own.get("loss.lambda_sigreg", now["lambda_sigreg"])}
    return Experiments(phase, params.scale, tree, now), present


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
