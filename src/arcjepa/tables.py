"""CSV tables of jobs: written whole, read only where they are whole."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from arcjepa.errors import UserError
from arcjepa.files import read_vouched, remake, write_atomic


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Numbers with six digits; no reader ever sees half of it."""
    write_atomic(Path(path), table.to_csv(index=False, float_format="%.6g").encode())


def read_rows(path: str | Path, names: Iterable[str]) -> pd.DataFrame:
    """A table with a row for each of these names, in its column `name`. UserError as `read_table`, or without a row."""
    table = read_table(path, ["name"])
    if lacking := [name for name in names if name not in set(table["name"])]:
        raise UserError(f"{path}: no row of {lacking[0]!r}; make it again with `{remake(path)}`")
    return table


def read_table(path: str | Path, required: Iterable[str] = (), **options: Any) -> pd.DataFrame:
    """A table that has the `required` columns; `options` are those of pandas.read_csv.

    UserError names a file that is missing, empty, cut short, no table, or without a column.
    """
    path = Path(path)
    content, again = read_vouched(path), f"make it again with `{remake(path)}`"
    if not content.strip():
        raise UserError(f"{path}: is empty; {again}")
    if not content.endswith(b"\n"):
        raise UserError(f"{path}: is cut short, as its last line has no end; {again}")
    try:
        table = pd.read_csv(io.BytesIO(content), **options)
    except ValueError as error:  # of pandas' parser, and of UTF-8
        raise UserError(f"{path}: is no CSV table: {' '.join(str(error).split())[:200]}; {again}") from None
    if lacking := [column for column in required if column not in table]:
        has = ", ".join(map(str, table))
        raise UserError(f"{path}: column {lacking[0]!r} is missing, it has {has[:200]}; {again}")
    return table
