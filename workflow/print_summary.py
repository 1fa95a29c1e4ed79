"""Print the comparison as three short tables, and where the report is: the end of `make run`."""

import sys
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from arcjepa.comparison import CONTROLS
from arcjepa.config import load

NATS = {
    "val_nce": "own predictor",
    "val_nce_validation": "on real tasks alone",
    "readout_nce": "read-out",
    "query_only_nce": "query alone",
    "selection_nce": "selection (choose by it)",
}
SHARES = {
    "ranking_a": "ranking A",
    "ranking_b": "B",
    "ranking_c": "C",
    "retrieval_rearc": "retrieval",
    "effective_rank_target": "rank",
}
APART = "apart_from_untrained"
DIFFERENCES = {
    "val_nce": "own predictor",
    "val_nce_validation": "on real tasks",
    "readout_nce": "read-out",
    "ranking_b": "B",
    "ranking_c": "C",
    "retrieval_rearc": "retrieval",
}


def cell(row: pd.Series, measure: str) -> str:
    """Value with its 95 % interval; a dash where the measure does not apply."""
    if pd.isna(row.get(measure)):
        return "-"
    return f"{row[measure]:.2f} [{row[measure + '_low']:.2f}, {row[measure + '_high']:.2f}]"


def chance(metrics: pd.DataFrame, measure: str) -> str:
    """What guessing gets; a dash where that is not known."""
    column = "nce_chance" if measure in NATS and measure != "selection_nce" else f"{measure}_chance"
    known = metrics[column].dropna() if column in metrics else []
    return f"{known.iloc[0]:.2f}" if len(known) else "-"


def summary(metrics: pd.DataFrame) -> str:
    """Nats, where less is better, then what counts as good where it is high. `metrics`: metrics.csv by name."""
    tables = [
        pd.DataFrame(
            {
                heading: [*(cell(row, m) for _, row in metrics.iterrows()), chance(metrics, m)]
                for m, heading in columns.items()
            }
        )
        for columns in (NATS, SHARES)
    ]
    if APART in metrics:
        tables[0]["apart from untrained"] = [*metrics[APART].fillna("-"), "-"]
    texts = [table.set_axis([*metrics.index, "chance"]).to_string() for table in tables]
    return f"Nats, less is better:\n{texts[0]}\n\nShares that are right, and dimensions:\n{texts[1]}"


def paired(differences: pd.DataFrame, controls: Collection[str]) -> str:
    """Every phase against those before it. `differences`: differences.csv; `controls`: what is left out of it.
    Empty where there is one phase."""
    table: dict[str, dict[str, str]] = {heading: {} for heading in DIFFERENCES.values()}
    for row in differences[~differences["other"].isin(controls)].itertuples():
        if row.measure in DIFFERENCES:
            shown = "-" if pd.isna(row.value) else f"{row.value:+.2f} [{row.low:.2f}, {row.high:.2f}]"
            table[DIFFERENCES[row.measure]][f"{row.name} on {row.other}"] = shown
    if not any(table.values()):
        return ""
    heading = "Differences, paired by task and seed (better: nats below 0, shares above)"
    return f"\n{heading}:\n{pd.DataFrame(table).to_string()}"


if __name__ == "__main__":
    folder = Path("results/comparison") / load().scale
    print(summary(pd.read_csv(folder / "metrics.csv").set_index("name")))
    print(paired(pd.read_csv(folder / "differences.csv"), CONTROLS))
    print(f"\nReport: {Path(sys.argv[1]).resolve()}")
    print("For snakemake, dvc and arcjepa by name: source .venv/bin/activate")
