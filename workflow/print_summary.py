"""Print the comparison as a short table, and where the report is: the end of `make run`."""

import sys
from pathlib import Path

import pandas as pd

from arcjepa.config import load

COLUMNS = {
    "val_nce": "own predictor, nats",
    "readout_nce": "read-out, nats",
    "ranking_a": "ranking A",
    "ranking_b": "B",
    "ranking_c": "C",
    "retrieval_rearc": "retrieval",
    "effective_rank_target": "rank",
}


def cell(row: pd.Series, measure: str) -> str:
    """Value with its 95 % interval; a dash where the measure does not apply."""
    if pd.isna(row[measure]):
        return "-"
    return f"{row[measure]:.2f} [{row[measure + '_low']:.2f}, {row[measure + '_high']:.2f}]"


if __name__ == "__main__":
    metrics = pd.read_csv(Path("results/comparison") / load().scale / "metrics.csv").set_index("name")
    table = {heading: [cell(row, m) for _, row in metrics.iterrows()] for m, heading in COLUMNS.items()}
    print(pd.DataFrame(table, index=list(metrics.index)).to_string())
    print(f"\nReport: {Path(sys.argv[1]).resolve()}")
