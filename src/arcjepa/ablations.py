"""The tables of a set of scenarios: what each changes, how it comes out, and by how much it is apart from the others.

A set's first member is its reference. Differences are the member less what it is measured against, paired by task and
seed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.comparison import COMPARED, PARTS, Runs, difference, interval, load_runs, sums_of
from arcjepa.config import Params
from arcjepa.data_settings import Evaluation
from arcjepa.formulas import relational_growth
from arcjepa.intervals import LEVEL, UNKNOWN, Interval, Sums, bootstrap, over_seeds
from arcjepa.run_folders import by_name
from arcjepa.scenarios import changes, describe, is_crossed
from arcjepa.settings import Phase
from arcjepa.success_settings import Success
from arcjepa.tables import read_table

PAIRED = ("val_nce", "readout_nce")
"""What a 2 x 2 has effects on."""
MEASURES = (*COMPARED, "effective_rank_target", "code_usage")
EFFECTS = np.array([[-0.5, 0.5, -0.5, 0.5], [-0.5, -0.5, 0.5, 0.5], [1, -1, -1, 1]])
"""Main effect of the first and of the second change, and interaction, of (reference, first, second, both)."""
INTERACTION = "interaction"


def grad_norm_max(epochs: pd.DataFrame, success: Success) -> float:
    """Largest norm of the gradient before clipping; NaN where none was recorded."""
    return float(_column(epochs, "grad_norm_max").max())


RECORDED: dict[str, Callable[[pd.DataFrame, Success], float]] = {
    "relational_growth": relational_growth,
    "grad_norm_max": grad_norm_max,
}
"""What the analysis suspects of the relational loss and of the refresh, from epochs.csv of one seed."""


@dataclass(frozen=True, eq=False)
class Member:
    """A phase or scenario of a set: its settings, its scores, and epochs.csv of each seed that has been trained."""

    name: str
    phase: Phase
    runs: Runs
    epochs: dict[str, pd.DataFrame]
    """By the name of the seed's folder."""
    success: Success
    over: str = ""
    """Its parent and what it changes there."""

    def recorded(self, quantity: str) -> dict[str, float]:
        """A quantity of RECORDED by seed, where it is finite."""
        values = {seed: RECORDED[quantity](table, self.success) for seed, table in self.epochs.items()}
        return {seed: value for seed, value in values.items() if np.isfinite(value)}


def load_members(scores: Iterable[Path | str], params: Params) -> list[Member]:
    """The members that these files (.../NAME/seedN/scores.csv) are of, in their order.

    Errors: UserError naming a file that cannot be read.
    """
    members = []
    for name, seeds in by_name(scores).items():
        epochs = {folder.name: read_record(folder / "epochs.csv") for folder in seeds}
        phase, over = params.phase_settings(name), told_parent(name, params)
        members.append(Member(name, phase, load_runs(name, seeds), epochs, params.success, over))
    return members


def told_parent(name: str, params: Params) -> str:
    """ "phase1: quantizer.codes 768 → 384": the parent of a phase or scenario and the difference; "" for the first."""
    *_, parent, _ = ["base", *params.lineage(name)]
    if parent == "base":
        return ""
    return f"{parent}: {describe(changes(params.phase_settings(parent), params.phase_settings(name)))}"


def read_record(path: Path) -> pd.DataFrame:
    """A table of a run's record; an empty one where the run is missing. Errors: UserError naming the file."""
    return read_table(path) if path.exists() else pd.DataFrame()


def ablation_table(members: Sequence[Member], settings: Evaluation, untrained: Runs | None = None) -> pd.DataFrame:
    """One row per member, and a last one of the untrained control where it is given.

    M_low and M_high (95 %) stand right after each quantity M. `changes` are the settings that differ from the
    reference, `step` those that differ from the row above, `over` those from the parent. After the measures come
    quantities of the record over seeds, then M_change and M_step: the differences from the reference and from the row
    above. A member is better where those of nats are below zero, and those of shares above.
    """
    rows = [_row(members, index, settings) for index in range(len(members))]
    rows += [_scores(untrained, members[0].runs, settings)] if untrained else []
    return pd.DataFrame(rows).astype({"seeds": "Int64", "hyperparameters": "Int64"})


def _row(members: Sequence[Member], index: int, settings: Evaluation) -> dict[str, Any]:
    first, above, member = members[0], members[max(0, index - 1)], members[index]
    row = _scores(member.runs, first.runs if index else None, settings)
    row |= {
        "changes": describe(changes(first.phase, member.phase)),
        "step": describe(changes(above.phase, member.phase)),
        "over": member.over,
    }
    for quantity in RECORDED:
        row |= _columns(quantity, over_seeds(list(member.recorded(quantity).values())))
    for measure in COMPARED if index else ():
        row |= _columns(f"{measure}_step", difference(member.runs, above.runs, *PARTS[measure], settings))
    return row


def _scores(runs: Runs, reference: Runs | None, settings: Evaluation) -> dict[str, Any]:
    """A row with what was measured alone, and its difference from the reference."""
    row: dict[str, Any] = {"name": runs.name, "changes": "", "step": "", "over": "", "seeds": len(runs.scores)}
    row["hyperparameters"] = runs.hyperparameters
    for measure in MEASURES:
        row |= _columns(measure, interval(runs, *PARTS[measure], settings))
    for quantity in RECORDED:
        row |= _columns(quantity, UNKNOWN)
    for measure in COMPARED:
        known = difference(runs, reference, *PARTS[measure], settings) if reference else UNKNOWN
        row |= _columns(f"{measure}_change", known)
    for measure in COMPARED:
        row |= _columns(f"{measure}_step", UNKNOWN)
    return row | {"missing": " ".join(runs.missing)}


def _columns(name: str, values: Interval) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def effects_table(members: Sequence[Member], settings: Evaluation) -> pd.DataFrame:
    """The effects in a 2 x 2: quantity, effect, value, low, high, seeds.

    `effect` is a change, averaged over the other one being made and not, or "interaction": what both together do
    beyond the sum of each alone. Measures are resampled over tasks and seeds, quantities of the record over seeds that
    all four have; a single seed gives no interval. A quantity that a member lacks has no rows.
    """
    assert is_crossed([member.phase for member in members]), "a 2 x 2: reference, one change, another one, both"
    names = [*(describe(changes(members[0].phase, member.phase)) for member in members[1:3]), INTERACTION]
    rows = []
    for measure in PAIRED:
        cells = sums_of([member.runs for member in members], *PARTS[measure])
        seeds = min(len(cell.seeds) for cell in cells) if cells else 0
        rows += [(measure, name, *found, seeds) for name, found in zip(names, effects(cells, settings), strict=True)]
    for quantity in RECORDED:
        cells, seeds = _seeded([member.recorded(quantity) for member in members])
        found = effects(cells, settings)
        found = found if seeds > 1 else [(value, *UNKNOWN[1:]) for value, _, _ in found]
        rows += [(quantity, name, *values, seeds) for name, values in zip(names, found, strict=True)]
    table = pd.DataFrame(rows, columns=["quantity", "effect", "value", "low", "high", "seeds"])
    return table[table["value"].notna()]


def effects(cells: Sequence[Sums], settings: Evaluation) -> list[Interval]:
    """EFFECTS on the means of four cells on the same tasks, with the percentiles of their paired bootstrap.

    No cells: nothing is known.
    """
    if not cells:
        return [UNKNOWN] * len(EFFECTS)
    values = EFFECTS @ [cell.mean for cell in cells]
    resampled = EFFECTS @ bootstrap(cells, settings.bootstrap, settings.seed)
    tail = 100 * (1 - LEVEL) / 2
    bounds = np.nanpercentile(resampled, [tail, 100 - tail], axis=1).T
    return [(float(value), float(low), float(high)) for value, (low, high) in zip(values, bounds, strict=True)]


def _seeded(values: Sequence[dict[str, float]]) -> tuple[list[Sums], int]:
    """Values by seed as those of a single task, for the seeds that all have, and how many these are."""
    seeds = sorted(set.intersection(*map(set, values)))
    if not seeds:
        return [], 0
    sums = [Sums(np.array([[c[seed]] for seed in seeds]), np.ones((len(seeds), 1)), tuple(seeds)) for c in values]
    return sums, len(seeds)


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name].dropna() if name in table else pd.Series(dtype=float)
