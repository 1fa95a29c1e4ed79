"""Which encoder of a phase or scenario is published, and the card that says what it is."""

from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import Any

import pandas as pd

from arcjepa.encoder_files import LATER
from arcjepa.errors import UserError
from arcjepa.files import remake
from arcjepa.run_folders import read_object
from arcjepa.tables import read_table

CHOSEN_BY = "selection_nce"
"""The measure on tasks that are never reported, by which the seed is chosen: in nats, less is better."""
MEASURES = {
    "readout_nce": "read-out, nats among {pool:,.0f} targets (chance {chance:.2f})",
    "val_nce": "own predictor, nats (the predictor is not in the file)",
    "ranking_a": "ranking A, share right (own predictor)",
    "ranking_b": "ranking B (own predictor)",
    "ranking_c": "ranking C (own predictor)",
    "retrieval_rearc": "RE-ARC retrieval, share right",
    "effective_rank_target": "effective rank of targets",
}
"""What the card says of each; `pool` targets, of which a guess costs `chance` nats."""


def median_run(folders: Sequence[Path]) -> Path:
    """The run, of the folders of a phase's seeds, with the median `selection_nce`; of two in the middle the better one.

    Errors: UserError where a scores.csv lacks the measure.
    """
    ranked = sorted(folders, key=lambda folder: (_selection(folder / "scores.csv"), folder))
    return ranked[(len(ranked) - 1) // 2]


def _selection(scores: Path) -> float:
    """Mean `selection_nce` of an evaluated run."""
    table = read_table(scores, ["measure", "total", "weight"])
    rows = table[table["measure"] == CHOSEN_BY]
    if rows.empty:
        raise UserError(f"{scores}: has no {CHOSEN_BY}; make it again with `{remake(scores)}`")
    return float(rows["total"].sum() / rows["weight"].sum())


def model_card(phase: str, scale: str, run: Path, own: "pd.Series[Any]", row: "pd.Series[Any]") -> str:
    """Markdown: how the encoder was trained, how it is loaded, what it and its phase measure.

    Rows as of metrics.csv: `own` of this seed alone, `row` of all seeds.
    """
    record, seeds, chance = read_object(run / "run.json"), int(row["seeds"]), float(row["nce_chance"])
    settings, model = record["settings"], LATER | record["settings"]["model"]
    path = "with the additive path" if model["additive"] else "without an additive path"
    if model["additive"] and model["sketch"]:
        path += f" and a sketch of {model['sketch']} sums over cells"
    said = {name: text.format(pool=exp(chance), chance=chance) for name, text in MEASURES.items()}
    measured = [
        f"| {text} | {own[name]:.3f} | {row[name]:.3f} [{row[name + '_low']:.3f}, {row[name + '_high']:.3f}] |"
        for name, text in said.items()
        if pd.notna(row[name])
    ]
    return f"""# Encoder of {phase}, scale {scale}

Frozen encoder of ARC grids: object tokens to {model["embedding"]} dimensions (width {model["width"]}, {model["layers"]}
layers, quantiser {settings["quantizer"]["kind"]}, {path}), float16.
Of {seeds} seeds this is seed {record["seed"]}, that of median `{CHOSEN_BY}`. Trained for {record["epochs"]} epochs,
{record["steps"]} steps, on {record["device"]} with torch {record["torch"]}; weights of epoch {record["best_epoch"]}.

```python
from pathlib import Path
from arcjepa.encoder_files import load_encoder
from arcjepa.tokens import load_tokens

encoder = load_encoder(Path("results/encoders/{scale}/{phase}.safetensors"))
embedding = encoder.embed(load_tokens("data/tokens/{scale}/arc1.safetensors"))
```

This seed, and means over all {seeds} seeds with 95 % intervals over tasks and seeds:

| measure | this seed | all seeds |
|---|---|---|
{chr(10).join(measured)}

What needs no predictor is measured again by `arcjepa evaluate results/encoders/{scale}/{phase}.safetensors`, on data
that `snakemake evaluation_data --config scale={scale}` makes.

Trained on training tasks of ARC-AGI-1 (Apache-2.0, © 2019 François Chollet) and ARC-AGI-2 (Apache-2.0, © ARC Prize
Foundation), and on synthetic ones. For research on representations; it solves no task itself.
"""
