"""The tables of a set of scenarios: what each changes, how it comes out, and by how much it is apart from the others.

A set's first member is its reference. Differences are the member less what it is measured against, paired by task.
Shapes: S seeds, K tasks.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.comparison import HEADLINE, Runs, difference, interval, load_runs
from arcjepa.data_settings import Evaluation
from arcjepa.errors import UserError
from arcjepa.intervals import LEVEL, UNKNOWN, Interval, Sums, bootstrap, scalar_interval
from arcjepa.scenarios import changes, describe, is_crossed
from arcjepa.settings import Phase

MEASURES = (
    *("val_nce", "readout_nce", "ranking_a", "ranking_b", "ranking_c", "retrieval_rearc"),
    *("effective_rank_target", "code_usage"),
)
PAIRED = ("val_nce", "readout_nce")
EFFECTS = np.array([[-0.5, 0.5, -0.5, 0.5], [-0.5, -0.5, 0.5, 0.5], [1, -1, -1, 1]])
"""Main effect of the first and of the second change, and interaction, of (reference, first, second, both)."""
INTERACTION = "interaction"


def relational_growth(epochs: pd.DataFrame) -> float:
    """Largest ratio of the raw relational loss of an epoch to the smallest one until then; NaN where there is none.

    1 is a loss that only falls, which the largest over the smallest would count as growth.
    """
    values = _column(epochs, "train_relational")
    return float((values / values.cummin()).max()) if len(values) and values.min() > 0 else float("nan")


def grad_norm_max(epochs: pd.DataFrame) -> float:
    """Largest norm of the gradient before clipping; NaN where none was recorded."""
    return float(_column(epochs, "grad_norm_max").max())


RECORDED: dict[str, Callable[[pd.DataFrame], float]] = {
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

    def recorded(self, quantity: str) -> dict[str, float]:
        """A quantity of RECORDED by seed, where it is finite."""
        values = {seed: RECORDED[quantity](table) for seed, table in self.epochs.items()}
        return {seed: value for seed, value in values.items() if np.isfinite(value)}


def load_members(scores: Iterable[Path | str], settings: Callable[[str], Phase]) -> list[Member]:
    """The members that these files (.../NAME/seedN/scores.csv) are of, in their order.

    Errors: UserError naming a file that cannot be read.
    """
    folders: dict[str, list[Path]] = {}
    for path in map(Path, scores):
        folders.setdefault(path.parts[-3], []).append(path.parent)
    return [
        Member(name, settings(name), load_runs(name, seeds), {f.name: read_record(f / "epochs.csv") for f in seeds})
        for name, seeds in folders.items()
    ]


def read_record(path: Path) -> pd.DataFrame:
    """A table of a run's record; an empty one where the run is missing. Errors: UserError naming the file."""
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        return pd.DataFrame()
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: {error}; make it again with `snakemake --force {path}`") from None


def ablation_table(members: Sequence[Member], settings: Evaluation) -> pd.DataFrame:
    """One row per member; M_low and M_high (95 %) stand right after each quantity M.

    `changes` are the settings that differ from the reference, `step` those that differ from the row above. After the
    measures come quantities of the record over seeds, then M_change and M_step: the differences from the reference
    and from the row above, below zero where the member is better.
    """
    rows = [_row(members, index, settings) for index in range(len(members))]
    return pd.DataFrame(rows).astype({"seeds": "Int64", "hyperparameters": "Int64"})


def _row(members: Sequence[Member], index: int, settings: Evaluation) -> dict[str, Any]:
    first, above, member = members[0], members[max(0, index - 1)], members[index]
    row: dict[str, Any] = {
        "name": member.name,
        "changes": describe(changes(first.phase, member.phase)),
        "step": describe(changes(above.phase, member.phase)),
        "seeds": len(member.runs.scores),
        "hyperparameters": member.runs.hyperparameters,
    }
    for measure in MEASURES:
        row |= _columns(measure, interval(member.runs, *HEADLINE[measure], settings))
    for quantity in RECORDED:
        row |= _columns(quantity, over_seeds(list(member.recorded(quantity).values())))
    for suffix, other in (("change", first), ("step", above)):
        for measure in PAIRED:
            known = UNKNOWN if index == 0 else difference(member.runs, other.runs, *HEADLINE[measure], settings)
            row |= _columns(f"{measure}_{suffix}", known)
    return row | {"missing": " ".join(member.runs.missing)}


def _columns(name: str, values: Interval) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean with an interval from the spread between seeds, which a single seed does not have."""
    if len(values) < 2:
        return (values[0], *UNKNOWN[1:]) if values else UNKNOWN
    return scalar_interval(np.array(values), np.zeros(len(values)))


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
        cells = _scored(members, *HEADLINE[measure])
        seeds = min(len(totals) for totals, _ in cells) if cells else 0
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

    Shape: totals and weights (S, K) of each cell. No cells: nothing is known.
    """
    if not cells:
        return [UNKNOWN] * len(EFFECTS)
    values = EFFECTS @ [totals.sum() / weights.sum() for totals, weights in cells]
    resampled = EFFECTS @ bootstrap(cells, settings.bootstrap, settings.seed)
    tail = 100 * (1 - LEVEL) / 2
    bounds = np.nanpercentile(resampled, [tail, 100 - tail], axis=1).T
    return [(float(value), float(low), float(high)) for value, (low, high) in zip(values, bounds, strict=True)]


def _scored(members: Sequence[Member], measure: str, part: str) -> list[Sums]:
    """Totals and weights of each member on all tasks that any of them has; none where a member was not measured."""
    sums = []
    for member in members:
        chosen = [t[(t["measure"] == measure) & ((t["set"] == part) if part else True)] for t in member.runs.scores]
        sums.append([t.groupby(["set", "task"])[["total", "weight"]].sum() for t in chosen if len(t)])
    if not all(sums):
        return []
    tasks = sorted(set().union(*(table.index for tables in sums for table in tables)))
    aligned = [np.stack([t.reindex(tasks, fill_value=0.0).to_numpy(float) for t in tables]) for tables in sums]
    return [(cell[..., 0], cell[..., 1]) for cell in aligned]


def _seeded(values: Sequence[dict[str, float]]) -> tuple[list[Sums], int]:
    """Values by seed as totals and weights (1, S): seeds that all have are resampled as tasks are, and how many."""
    seeds = sorted(set.intersection(*map(set, values)))
    if not seeds:
        return [], 0
    return [(np.array([[cell[seed] for seed in seeds]]), np.ones((1, len(seeds)))) for cell in values], len(seeds)


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name].dropna() if name in table else pd.Series(dtype=float)
