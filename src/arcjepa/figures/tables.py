"""Reading what the figures show: the tables of run folders and of a comparison."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from arcjepa.errors import UserError
from arcjepa.tables import read_table

RUN_COLUMNS = {"epochs.csv": ["epoch"], "steps.csv": ["step"]}


def read_runs(paths: Iterable[Path | str]) -> pd.DataFrame:
    """All runs' epochs.csv or steps.csv in one table, with `name` and `seed` from .../{name}/seed{n}/{file} in front.

    Raises UserError naming the file that is missing, empty or elsewhere. No paths: an empty table.
    """
    tables = [read_run(Path(path)) for path in paths]
    return pd.concat(tables, ignore_index=True) if tables else no_runs()


def no_runs() -> pd.DataFrame:
    """The table of no runs, which every figure draws as phases that were not run."""
    return pd.DataFrame(columns=["name", "seed", "epoch", "step", "grad_norm_mean", "grad_norm_max", "refreshed_codes"])


def read_run(path: Path) -> pd.DataFrame:
    """One run's table, named after its folders."""
    name, seed = path.parent.parent.name, path.parent.name
    if not name or not seed.removeprefix("seed").isdigit():
        raise UserError(f"{path}: a run's table lies in .../PHASE/seedN/; type `snakemake -n` to see the runs")
    table = read_table(path, RUN_COLUMNS.get(path.name, []))
    table.insert(0, "name", name)
    table.insert(1, "seed", int(seed.removeprefix("seed")))
    return table
