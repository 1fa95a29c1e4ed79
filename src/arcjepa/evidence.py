"""What targets, gates and risks are judged by: the runs of every phase with their records, findings and scores.

Differences between phases are paired by task and seed. Nats fall where an encoder is better.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd

from arcjepa.claims import Tables
from arcjepa.comparison import Runs, apart, difference, load_runs
from arcjepa.config import Params, canonical, hyperparameters, resolved
from arcjepa.formulas import Resolved
from arcjepa.intervals import UNKNOWN, Interval
from arcjepa.params import leaf, leaves
from arcjepa.run_folders import read_object
from arcjepa.settings import Phase
from arcjepa.tables import read_table

NOT_RUN = "not run"
MEASURE = "val_nce"
"""By which phases of different objectives are compared."""


@dataclass(frozen=True, eq=False)
class Trained:
    """The runs of one phase, one a seed."""

    name: str
    settings: Resolved
    """What it was trained with; what is switched off is left out."""
    hyperparameters: list[str]
    devices: list[str]
    """By seed: "cpu", or the name of a GPU."""
    epochs: list[pd.DataFrame]
    steps: list[pd.DataFrame]
    findings: list[Mapping[str, Any]]
    """Of the diagnoses of all seeds."""

    def setting(self, path: str, default: Any = None) -> Any:
        """A leaf of the settings ("loss.prediction")."""
        return leaf(self.settings, path, default)

    @property
    def planned(self) -> int:
        """Epochs that it trains where nothing stops it."""
        return int(self.settings["training"]["epochs"])

    @property
    def lasted(self) -> int:
        """Epochs of its shortest seed."""
        return min(map(len, self.epochs))

    def found(self, *names: str, severity: str = "") -> list[str]:
        """The findings of these names, or of a severity, each once."""
        chosen = [f for f in self.findings if f["name"] in names or f["severity"] == severity]
        return list(dict.fromkeys(finding["name"] for finding in chosen))


def load_trained(name: str, folders: Sequence[Path], phase: Phase) -> Trained | None:
    """The runs of a phase in `folders` (one a seed), None where none has been trained.

    `phase`: its settings now, which stand for those that run.json does not name. Errors: UserError for broken JSON.
    """
    present = [folder for folder in folders if (folder / "run.json").is_file()]
    if not present:
        return None
    summaries = [read_object(folder / "run.json") for folder in present]
    diagnoses = [read_object(f / "diagnosis.json") for f in present if (f / "diagnosis.json").is_file()]
    return Trained(
        name,
        summaries[0].get("settings") or resolved(phase),
        summaries[0].get("hyperparameters") or hyperparameters(phase),
        [str(summary.get("device", "")) for summary in summaries],
        [read_table(folder / "epochs.csv") for folder in present],
        [read_table(folder / "steps.csv") for folder in present],
        [finding for diagnosis in diagnoses for finding in diagnosis["findings"]],
    )


@dataclass(frozen=True, eq=False)
class Evidence:
    """All phases, what they were measured by, and the analysis that they answer."""

    params: Params
    tree: Mapping[str, Any]
    """params.yaml as it was read, scales included."""
    tables: Tables
    trained: Mapping[str, Trained]
    """By phase, then by scenario; those that were not run are absent."""
    runs: Mapping[str, Runs]
    """Scores by phase."""
    metrics: pd.DataFrame
    """metrics.csv."""

    def measured(self, name: str, measure: str = MEASURE) -> Interval:
        """A phase's value in metrics.csv with its interval; NaN where it was not measured."""
        row = self.metrics[self.metrics["name"] == name]
        columns = (measure, f"{measure}_low", f"{measure}_high")
        if not len(row) or measure not in row:
            return UNKNOWN
        value, low, high = (float(row[column].iloc[0]) for column in columns)
        return value, low, high

    def paired(self, before: str, after: str, measure: str = MEASURE) -> Interval:
        """By how many nats `after` is worse than `before`, paired by task and seed; NaN where one was not measured."""
        if not {before, after} <= set(self.runs):
            return UNKNOWN
        pair = self.runs[after], self.runs[before]
        return difference(*pair, measure, "", self.params.evaluation)

    def isolated(
        self, part: str, before: Callable[[Trained], bool], after: Callable[[Trained], bool]
    ) -> list[tuple[str, str]]:
        """Pairs that differ in the leaves below `part` alone, the first and the second as the two functions say."""
        return [
            (one.name, other.name)
            for one, other in permutations(self.trained.values(), 2)
            if before(one) and after(other) and not changes(one, other, part)
        ]


def load_evidence(
    params: Params,
    tree: Mapping[str, Any],
    folders: Mapping[str, Sequence[Path]],
    metrics: pd.DataFrame,
    analysis: Path,
) -> Evidence:
    """All that can be judged by. `folders`: of each seed, by phase, then by scenario; a scenario that was trained with
    other settings than params.yaml gives it now is left out. `analysis`: the folder of the analysis' tables.

    Errors: UserError for a file that cannot be read.
    """
    phases = {name: params.phase_settings(name) for name in folders}
    trained = {name: load_trained(name, folders[name], phase) for name, phase in phases.items()}
    present = {
        name: run
        for name, run in trained.items()
        if run and (name in params.phases or canonical(run.settings) == canonical(resolved(phases[name])))
    }
    runs = {name: load_runs(name, folders[name]) for name in present}
    return Evidence(params, tree, Tables(analysis), present, runs, metrics)


def changes(one: Trained, other: Trained, but: str = "") -> list[str]:
    """The leaves in which two phases differ, those below `but` left out."""
    first, second = ({".".join(path): value for path, value in leaves(run.settings)} for run in (one, other))
    differing = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    return [name for name in differing if not (but and (name == but or name.startswith(f"{but}.")))]


def mechanisms(names: Iterable[str]) -> list[str]:
    """The parts of the settings that leaves belong to ("loss.teacher"), each once; another quantiser is one."""
    kind, given = "quantizer.kind", list(names)
    kept = [name for name in given if name == kind or kind not in given or not name.startswith("quantizer.")]
    return list(dict.fromkeys(".".join(name.split(".")[:2]) for name in kept))


def worse(gap: Interval) -> bool | None:
    """Whether a paired difference in nats is above zero with its whole interval; None where it is unknown."""
    return {"yes": True, "": None}.get(apart(gap), False)


def nats(value: Interval, sign: str = "") -> str:
    """ "2.30 [2.02, 2.65]"; `sign`: "+" shows that of a difference."""
    return f"{value[0]:{sign}.2f} [{value[1]:{sign}.2f}, {value[2]:{sign}.2f}]"
