"""Does a growing rank drive the relational loss? The analysis holds that embeddings which spread make the raw loss
explode, and that a normalised one would not.

A correlation over a run says whether the two move together. Both have a trend, and any two trends correlate: read the
one of first differences beside it, and compare forms of the loss rather than a value with zero.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.ablations import read_record

SIDES = ("context", "target")
FEWEST = 5
"""Rows of a record that a correlation needs."""


def rank_growth_table(folders: Iterable[Path], forms: dict[str, str]) -> pd.DataFrame:
    """One row per run with a relational loss, and side: name, seed, form, side, rows, level, difference.

    `folders`: .../NAME/seedN; `forms`: the form of the relational loss by name. `level` is Spearman's correlation
    (-1 to 1) of the effective rank with the unweighted loss over the rows of steps.csv, `difference` that of their
    changes from row to row; NaN below five rows and for a constant. Errors: UserError naming a file.
    """
    rows = [row for folder in folders for row in _rows(folder, forms)]
    return pd.DataFrame(rows, columns=["name", "seed", "form", "side", "rows", "level", "difference"])


def _rows(folder: Path, forms: dict[str, str]) -> Iterator[tuple[Any, ...]]:
    name, seed = folder.parts[-2], int(folder.name.removeprefix("seed"))
    steps, losses = read_record(folder / "steps.csv"), read_record(folder / "losses.csv")
    if name not in forms or "train_relational" not in losses or losses["train_relational"].isna().all():
        return
    for side in SIDES:
        pair = aligned(steps, losses, f"effective_rank_{side}")
        yield name, seed, forms[name], side, len(pair), spearman(pair), spearman(pair.diff().iloc[1:])


def aligned(steps: pd.DataFrame, losses: pd.DataFrame, rank: str) -> pd.DataFrame:
    """The rank at each row of steps.csv, and the mean relational loss of the steps since the row before."""
    row_of_step = np.searchsorted(steps["step"].to_numpy(), losses["step"].to_numpy())
    means = losses["train_relational"].groupby(row_of_step).mean()
    pair = pd.DataFrame({"rank": steps[rank].reset_index(drop=True), "loss": means.reindex(range(len(steps)))})
    return pair.dropna()


def spearman(pair: pd.DataFrame) -> float:
    """Spearman's rank correlation of two columns; NaN for too few rows, or where one is constant."""
    ranks = pair.rank()
    if len(ranks) < FEWEST or (ranks.nunique() < 2).any():
        return float("nan")
    return float(np.corrcoef(ranks.to_numpy().T)[0, 1])
