"""Reading what the figures show: the tables of run folders and of a comparison."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from arcjepa.errors import UserError

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


def read_table(path: Path | str, required: Iterable[str] = ("name",)) -> pd.DataFrame:
    """A CSV table that has the `required` columns; UserError otherwise."""
    path = Path(path)
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with `snakemake {path}`") from None
    except pd.errors.EmptyDataError:
        raise UserError(f"{path}: is empty; make it again with `snakemake --force {path}`") from None
    lacking = [column for column in required if column not in table]
    if lacking:
        raise UserError(f"{path}: column {lacking[0]!r} is missing, it has {', '.join(map(str, table))}")
    return table
