"""The record of a run: epochs.csv, steps.csv and run.json, plain files that figures and diagnosis read.

Shapes: N embeddings, D dimensions, K codes.
"""

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from arcjepa.objectives import Terms
from arcjepa.quantizer import usage_and_perplexity
from arcjepa.sigreg import epps_pulley

TERMS = ("prediction", "sigreg", "invariance", "relational", "commitment")
EPOCH_COLUMNS = (
    *("epoch", "step", "seconds", "sequences_per_second", "lr", "temperature", "queue_fill"),
    *("grad_norm_mean", "grad_norm_max", "clipped_share", "clip_factor_median", "admitted_share"),
    *(f"{split}_{term}{form}" for split in ("train", "val") for term in TERMS for form in ("", "_weighted")),
    *(f"{split}_{name}" for split in ("train", "val") for name in ("total", "prediction_error")),
)
_GEOMETRY = ("effective_rank", "rankme", "variance", "isotropy", "epps_pulley")
STEP_COLUMNS = (
    *("step", "epoch", "code_usage", "active_codes", "perplexity", "refreshed_codes"),
    *(f"{name}_{side}" for side in ("context", "target") for name in _GEOMETRY),
)


class Averages:
    """Collects scalars of steps without waiting for the device; `flush` gives their means."""

    def __init__(self) -> None:
        self._values: dict[str, list[torch.Tensor]] = defaultdict(list)

    def add(self, name: str, value: torch.Tensor | float) -> None:
        self._values[name].append(torch.as_tensor(value).detach().float())

    def add_terms(self, split: str, total: torch.Tensor, terms: Terms) -> None:
        """Raw and weighted values of every term, and the total."""
        self.add(f"{split}_total", total)
        for name, (raw, weight) in terms.items():
            self.add(f"{split}_{name}", raw)
            self.add(f"{split}_{name}_weighted", raw * weight)

    def values(self, name: str) -> torch.Tensor:
        """All values of one name on the CPU."""
        return torch.stack(self._values[name]).cpu()

    def means(self) -> dict[str, float]:
        """Mean per name."""
        return {name: float(torch.stack(values).mean()) for name, values in self._values.items()}


class Table:
    """A CSV file with fixed columns that grows row by row; absent values are empty."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, columns
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(columns)

    def append(self, row: dict[str, Any]) -> None:
        """One row. Errors: KeyError for a column that the schema lacks."""
        unknown = set(row) - set(self.columns)
        if unknown:
            raise KeyError(f"{self.path.name}: no column {', '.join(sorted(unknown))}")
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([_text(row.get(name)) for name in self.columns])


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """run.json: what a whole run amounts to."""
    path.write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@torch.no_grad()
def geometry(z: torch.Tensor, slices: torch.Tensor) -> dict[str, float]:
    """How embeddings z (N, D) fill their space.

    effective_rank: exp(entropy) of covariance eigenvalues, the analysed run's definition. rankme: exp(entropy) of
    singular values (Garrido et al. 2023). variance: mean over dimensions. isotropy: smallest over largest
    eigenvalue, among the min(N - 1, D) that can be above zero. epps_pulley: mean over slices, about 1.05 if healthy.
    """
    z = z.detach().double()
    centred = z - z.mean(0)
    eigenvalues = (torch.linalg.svdvals(centred) ** 2 / max(1, len(z) - 1))[: min(len(z) - 1, z.shape[1])]
    return {
        "effective_rank": _exp_entropy(eigenvalues),
        "rankme": _exp_entropy(torch.linalg.svdvals(z)),
        "variance": float(centred.square().sum(0).mean() / max(1, len(z) - 1)),
        "isotropy": float(eigenvalues[-1] / eigenvalues[0].clamp(min=1e-30)),
        "epps_pulley": float(epps_pulley(z.float() @ slices).mean()),
    }


def codes(counts: torch.Tensor) -> dict[str, float]:
    """Code usage of assignments (K,) since the last row."""
    usage, perplexity = usage_and_perplexity(counts)
    return {"code_usage": float(usage), "active_codes": int((counts > 0).sum()), "perplexity": float(perplexity)}


def _exp_entropy(values: torch.Tensor) -> float:
    share = values / values.sum().clamp(min=1e-30)
    return float(torch.exp(-(share * share.clamp(min=1e-30).log()).sum()))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
