"""What was measured on one encoder: a long table, the choices made on the way, and examples for the figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.examples import Examples, save_examples
from arcjepa.files import write_atomic
from arcjepa.geometry import Scalar
from arcjepa.vouchers import write_voucher

COLUMNS = ("measure", "set", "task", "total", "weight", "value", "error")


@dataclass
class Scores:
    """What was measured: `rows` are sums per task (or scalars) in the columns COLUMNS, `record` the choices made."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    examples: Examples = field(default_factory=lambda: Examples([], np.zeros((0, 0)), ()))

    @property
    def table(self) -> pd.DataFrame:
        """Long format: a mean over tasks is sum(total) / sum(weight); a scalar has value and error, and no task."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))

    def add_means(
        self, measure: str, part: str, ids: Sequence[str], tasks: np.ndarray, values: Sequence[np.ndarray]
    ) -> None:
        """Sums per task of totals, and of weights if given (1 each otherwise). `tasks` (n,): indices into `ids`."""
        totals, weights = values if len(values) == 2 else (values[0], np.ones(len(tasks)))
        sums = [np.bincount(tasks, x, minlength=len(ids)) for x in (totals, weights)]
        self.rows += [
            {"measure": measure, "set": part, "task": ids[t], "total": sums[0][t], "weight": sums[1][t]}
            for t in np.unique(tasks)
        ]

    def add_scalar(self, measure: str, part: str, scalar: Scalar) -> None:
        """A value over all tasks, with its standard error."""
        self.rows.append({"measure": measure, "set": part, "task": "", "value": scalar[0], "error": scalar[1]})


def save_scores(folder: Path, scores: Scores) -> None:
    """Write scores.csv, examples.npz and evaluation.json: the pool's composition, the choices made, and `files`."""
    write_atomic(folder / "scores.csv", scores.table.to_csv(index=False, float_format="%.9g").encode())
    save_examples(folder / "examples.npz", scores.examples)
    write_voucher(folder / "evaluation.json", scores.record)
