"""What every column says of the tables that are read most: those of a run's record, and the metrics of all phases.

Of the record, `record.SCHEMA` says it, which is what writes the files; METRICS says it of metrics.csv.
"""

import pandas as pd

from arcjepa.errors import UserError
from arcjepa.record import Column, schema

INTERVALS = {"low": "lower", "high": "upper"}
_NATS, _SHARE = "nats", "share"
_RANK = "dimensions"
_TOP = "share of queries whose true output scores first among "
_POOL = "to tell the true output from the pool of held-out ones with "
_RANKED = {
    "a": "other tasks' outputs",
    "b": "the outputs of its demonstrations and a copy of the query",
    "c": "its near misses",
}
_GEOMETRY = {
    "rankme": (_RANK, "exp(entropy) of the singular values, mean not removed (RankMe)"),
    "variance": ("squared units", "variance, mean over dimensions"),
    "isotropy": ("ratio", "smallest over largest eigenvalue of the covariance"),
    "lidar": (_RANK, "exp(entropy) of the eigenvalues between tasks relative to those within (LiDAR)"),
    "epps_pulley": ("1", "Epps-Pulley statistic of 128 embeddings, mean over slices; about 1.05 on Gaussian data"),
}
_SIDES = {"context": "query frames of the pool", "target": "target frames of the pool"}
_EFFECTIVE_RANK = (_RANK, "exp(entropy) of the eigenvalues of the covariance")
MEASURES: dict[str, tuple[str, str]] = {
    "val_nce": (_NATS, f"{_POOL}the encoder's own predictor; chance is nce_chance"),
    "readout_nce": (_NATS, f"{_POOL}one ridge read-out of the context, fitted alike for all; chance is nce_chance"),
    **{f"ranking_{kind}": (_SHARE, f"{_TOP}{others}, in ARC-AGI-1 evaluation") for kind, others in _RANKED.items()},
    "retrieval_rearc": (_SHARE, "share of RE-ARC pairs whose nearest other pair is of the same task"),
    "retrieval_augmented": (_SHARE, "the same of ARC-AGI-1 evaluation pairs under independent views"),
    "query_only_nce": (_NATS, f"{_POOL}a read-out of the query alone, without demonstrations"),
    "selection_nce": (_NATS, "as val_nce, on other tasks and rules: the one to choose settings by"),
    **{f"effective_rank_{side}": (_RANK, f"{_EFFECTIVE_RANK[1]}; {frames}") for side, frames in _SIDES.items()},
    "code_usage": (_SHARE, "codes used by target frames of held-out rules, over all codes"),
    "code_perplexity": ("codes", "exp(entropy) of their assignments"),
    **{
        f"{name}_{part}": (_NATS, f"{name} of the pool's {tasks} alone")
        for name in ("val_nce", "readout_nce")
        for part, tasks in (("heldout", "synthetic tasks of held-out rules"), ("validation", "real validation tasks"))
    },
    **{f"ranking_{kind}_mrr": (_SHARE, f"mean reciprocal rank in ranking_{kind}") for kind in _RANKED},
    "retrieval_rearc_map": (_SHARE, "mean average precision in retrieval_rearc"),
    "retrieval_rearc_selection": (_SHARE, "as retrieval_rearc, on tasks of validation: to choose settings by"),
    "retrieval_augmented_map": (_SHARE, "mean average precision in retrieval_augmented"),
    **{
        f"{name}_{side}": (unit, f"{meaning}; {frames}")
        for name, (unit, meaning) in _GEOMETRY.items()
        for side, frames in _SIDES.items()
    },
    **{
        f"{name}_{side}_frame": (unit, f"{meaning}; {frames}, before projector and additive path")
        for name, (unit, meaning) in {"effective_rank": _EFFECTIVE_RANK, "rankme": _GEOMETRY["rankme"]}.items()
        for side, frames in _SIDES.items()
    },
}
"""Unit and meaning of what has an interval."""


def _with_interval(name: str, unit: str, meaning: str) -> tuple[Column, ...]:
    bounds = (Column(f"{name}_{end}", unit, f"{side} end of its 95 % interval") for end, side in INTERVALS.items())
    return (Column(name, unit, meaning), *bounds)


METRICS: tuple[Column, ...] = (
    Column("name", "name", "phase, scenario or control"),
    Column("seeds", "runs", "seeds that were evaluated"),
    Column(
        "hyperparameters", "leaves", "settings of loss, quantizer, optimizer and stopping in use; none of a control"
    ),
    *(column for name, told in MEASURES.items() for column in _with_interval(name, *told)),
    Column("nce_chance", _NATS, "val_nce, readout_nce and query_only_nce of a guess: ln(size of the pool)"),
    *(Column(f"ranking_{kind}_chance", _SHARE, f"ranking_{kind} of a random order") for kind in _RANKED),
    *(
        Column(f"retrieval_{kind}_chance", _SHARE, f"retrieval_{kind} of a random order")
        for kind in ("rearc", "augmented")
    ),
    *_with_interval(
        "readout_gain", "nats, signed", "readout_nce of the untrained control less this one's, paired by task and seed"
    ),
    Column(
        "apart_from_untrained",
        "name",
        "yes where the interval of readout_gain is above zero, worse where below; else no",
    ),
    Column("missing", "name", "seeds without scores"),
)
_FROM_ZERO = "0 or more"
RANGES: dict[str, str] = {
    "name": "any text",
    "version": "any text",
    "digests": "by file",
    "share": "0 to 1",
    "nats, signed": "any number",
    **dict.fromkeys(("loss", "nats", "nats, or squared units", "squared units", "squared length"), _FROM_ZERO),
    "processes": "1 to 8",
    **dict.fromkeys(("1", "ratio", "seconds", "1/second", "dimensions", "codes"), _FROM_ZERO),
    **dict.fromkeys(("steps", "epochs", "runs", "tasks", "frames", "sequences", "parameters", "leaves"), _FROM_ZERO),
}
"""What values of a unit can be."""


def dictionary(file: str = "") -> pd.DataFrame:
    """Every column: file, name, unit, range, meaning; of one file where it is named. Errors: UserError if unknown."""
    metrics = pd.DataFrame([("metrics.csv", *column) for column in METRICS], columns=["file", *Column._fields])
    table = pd.concat([schema(), metrics], ignore_index=True)
    table.insert(3, "range", table["unit"].map(RANGES))
    known = list(table["file"].unique())
    if file and file not in known:
        raise UserError(f"{file}: its columns are not told; of {', '.join(known)} they are")
    return table[table["file"] == file] if file else table


def as_text(table: pd.DataFrame) -> str:
    """The columns of each file, to read: name, unit, range, meaning."""
    parts = []
    for file, columns in table.groupby("file", sort=False):
        widths = [max(map(len, columns[name])) for name in ("name", "unit", "range")]
        rows = columns[["name", "unit", "range", "meaning"]].itertuples(index=False)
        lines = ["  ".join(str(cell).ljust(w) for cell, w in zip(row, [*widths, 0], strict=True)) for row in rows]
        parts.append("\n".join([str(file), *lines]))
    return "\n\n".join(parts)
