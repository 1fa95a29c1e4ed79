"""Records for the tests of the diagnosis: random healthy ones, and the settings that go with them."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arcjepa.config import from_mapping, resolved
from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.records import Record, make_record
from arcjepa.findings.schedules import WARM_UP
from arcjepa.params import read_params

PARAMS = Path(__file__).parents[1] / "params.yaml"
PHASES = ("baseline", "phase1", "phase2", "phase3")
SCALES = ("laptop", "diagnostic", "production")
Tables = tuple[pd.DataFrame, pd.DataFrame]


@cache
def tree() -> dict[str, Any]:
    """The committed params.yaml."""
    return read_params(PARAMS)


@cache
def thresholds() -> Thresholds:
    return from_mapping(tree()).diagnosis


@cache
def settings_of(phase: str, scale: str) -> dict[str, Any]:
    """What a phase trains with, cured of what the analysed run did wrong on purpose."""
    settings = resolved(from_mapping({**tree(), "scale": scale}).phase_settings(phase))
    if settings["loss"]["prediction"] == "infonce":
        settings["loss"]["sigreg"]["form"] = "published"
        settings["optimizer"]["clip"] = 5.0
    settings["stopping"] = {"enabled": False}
    return settings


class Healthy:
    """A random healthy run of one phase: losses that decay with noise, embeddings that spread, codes in use."""

    def __init__(self, seed: int, phase: str | None = None, shortest: int = 8, noise: float = 0.06) -> None:
        self.rng = np.random.default_rng([seed, 77])
        self.phase = phase or PHASES[seed % 4]
        self.scale = str(self.rng.choice(SCALES))
        self.settings = copy.deepcopy(settings_of(self.phase, self.scale))
        self.contrastive = self.settings["loss"]["prediction"] == "infonce"
        self.batch = self.settings["training"]["batch_size"]
        self.n = int(self.rng.integers(shortest, 100))
        self.settings["training"]["epochs"] = self.n
        self.t = np.linspace(0, 1, self.n)
        self.noise = float(self.rng.uniform(0.002, noise))
        self.epochs, self.steps = self._epochs(), self._steps()
        self.damaged: tuple[str, ...] = ()

    def record(self, **changes: Any) -> Record:
        """As a record; `changes` replaces arguments of make_record."""
        arguments: dict[str, Any] = {
            "name": f"{self.scale}/{self.phase}/seed0",
            "epochs": self.epochs,
            "steps": self.steps,
            "summary": {"settings": self.settings, "epochs": self.n, "best_epoch": self.n},
        }
        return replace(make_record(**(arguments | changes)), damaged=self.damaged)

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def decay(self, start: float, floor: float, noise: float | None = None) -> np.ndarray:
        """From start to floor, at a random rate."""
        curve = floor + (start - floor) * np.exp(-self.uniform(2, 12) * self.t)
        return curve * self.jitter(self.n, noise)

    def jitter(self, n: int, noise: float | None = None) -> np.ndarray:
        return np.exp(self.rng.normal(0, self.noise if noise is None else noise, n))

    def grow(self, factor: float, start: float = 0.3) -> np.ndarray:
        """1 up to the share `start` of the epochs, then linearly to `factor`."""
        return 1 + (factor - 1) * np.clip((self.t - start) / (1 - start), 0, 1)

    def scale_term(self, name: str, by: np.ndarray | float) -> None:
        """Multiply a term, raw and weighted, in training and validation; the totals follow."""
        self.set_term(name, self.epochs[f"train_{name}"] * by, self.epochs[f"val_{name}"] * by)

    def weigh(self, name: str, by: float) -> None:
        """Multiply the weight of a term; the totals follow."""
        for split in ("train", "val"):
            before = self.epochs[f"{split}_{name}_weighted"]
            self.epochs[f"{split}_total"] += (by - 1) * before
            self.epochs[f"{split}_{name}_weighted"] = by * before

    def set_term(self, name: str, train: np.ndarray, val: np.ndarray | None = None) -> None:
        """Replace a term that the run has, with its weight and the totals."""
        for split, values in (("train", train), ("val", train if val is None else val)):
            weight = (self.epochs[f"{split}_{name}_weighted"] / self.epochs[f"{split}_{name}"]).median()
            before = self.epochs[f"{split}_{name}_weighted"]
            self.epochs[f"{split}_{name}"] = values
            self.epochs[f"{split}_{name}_weighted"] = weight * values
            self.epochs[f"{split}_total"] += self.epochs[f"{split}_{name}_weighted"] - before

    def _epochs(self) -> pd.DataFrame:
        steps = max(4, self.settings["training"]["sequences"] // self.batch)
        table: dict[str, Any] = {"epoch": np.arange(1, self.n + 1), "step": steps * np.arange(1, self.n + 1)}
        gap = self.uniform(0.8, 1.4)
        error = self.decay(self.uniform(0.4, 1.3), self.uniform(0.05, 0.35))
        table |= {"train_prediction_error": error, "val_prediction_error": error * gap * self.jitter(self.n)}
        table |= self._contrastive(table["step"]) if self.contrastive else self._lejepa(error, gap)
        for split in ("train", "val"):
            terms = [name for name in table if name.startswith(split) and name.endswith("_weighted")]
            table[f"{split}_total"] = sum(table[name] for name in terms)
        table |= self._pace(table["step"])
        clip = self.settings["optimizer"]["clip"]
        norms = self.decay(clip * self.uniform(0.5, 3), clip * self.uniform(0.1, 0.7), self.uniform(0.03, 0.25))
        table |= {"grad_norm_mean": norms, "grad_norm_max": norms * self.rng.uniform(1.2, 3, self.n)}
        table |= {"clipped_share": np.clip(norms / clip - 0.3, 0, 1), "clip_factor_median": np.minimum(1, clip / norms)}
        return pd.DataFrame(table)

    def _pace(self, step: np.ndarray) -> dict[str, Any]:
        """Learning rate and speed; the machine is shared."""
        warm, peak = WARM_UP * step[-1], self.settings["optimizer"]["lr"]
        rate = peak * np.where(step < warm, step / warm, 0.5 + 0.5 * np.cos(np.pi * (step - warm) / (step[-1] - warm)))
        seconds = self.uniform(2, 200) * np.random.default_rng(self.n).uniform(1, 1.3, self.n)
        return {"lr": rate, "seconds": seconds, "sequences_per_second": step[0] * self.batch / seconds}

    def _contrastive(self, step: np.ndarray) -> dict[str, Any]:
        queue = self.settings["loss"]["infonce"]["queue"]
        fill = np.minimum(1, step * self.batch / queue)
        start = self.uniform(0.5, 1.0)
        share = self.decay(start, start * self.uniform(0.1, 0.9))
        table: dict[str, Any] = {"queue_fill": fill, "temperature": np.clip(self.decay(0.07, 0.1, 0.002), 0.055, 0.15)}
        chance = np.minimum(1, share) * np.log(self.batch + queue * fill), share * np.log(self.batch)
        table |= self._term("prediction", *chance, 1.0)
        sigreg = self.decay(0.3 * self.batch, 1.05 + self.uniform(0.1, 0.008 * self.batch))
        table |= self._term("sigreg", sigreg, sigreg, 0.1 * 12.8 / self.batch)
        table |= self._small("invariance", 1.0, 0.02, 0.3)
        table |= self._small("commitment", 0.15, 0.01, 1.0)
        if self.phase == "baseline":
            table |= self._small("relational", 0.025, 0.5, 14)
        return table

    def _lejepa(self, error: np.ndarray, gap: float) -> dict[str, Any]:
        spread = 1 - np.exp(-8 * (self.t + 0.05))
        table = self._term("prediction", error * spread, error * spread * gap, 1.0)
        sigreg = self.decay(0.3 * self.batch, 1.05 + self.uniform(0.1, 0.008 * self.batch))
        table |= self._term("sigreg", sigreg, sigreg * self.uniform(1, 4), 12.8 / self.batch)
        if self.phase == "phase2" and self.settings["quantizer"]["commitment"]["enabled"]:
            table |= self._small("commitment", 0.15, 0.01, 0.3)
        else:
            admitted = np.select([self.t < 0.25, self.t < 0.6], [1 / 3, 2 / 3], 1.0)
            table["train_prediction"] = table["train_prediction"] * (0.8 + 0.2 * admitted)
            table["admitted_share"] = admitted
        return table

    def _small(self, name: str, weight: float, low: float, high: float) -> dict[str, Any]:
        start = self.uniform(low, high)
        values = self.decay(start, start * self.uniform(0.2, 0.95))
        return self._term(name, values, values * self.jitter(self.n), weight)

    def _term(self, name: str, train: np.ndarray, val: np.ndarray, weight: float) -> dict[str, Any]:
        pairs = {"train": train, "val": val}
        return {f"{split}_{name}": values for split, values in pairs.items()} | {
            f"{split}_{name}_weighted": weight * values for split, values in pairs.items()
        }

    def _steps(self) -> pd.DataFrame:
        rows = int(self.rng.integers(15, 80))
        u = np.linspace(0, 1, rows)
        noise = self.uniform(0.005, 0.05)
        possible = min(self.settings["model"]["embedding"], self.batch)
        level = self.uniform(0.1, 0.9)
        usage = np.clip((level + (1 - level) * np.exp(-40 * u)) * self.jitter(rows, noise), 0, 1)
        table: dict[str, Any] = {"step": (100 * np.arange(1, rows + 1)), "code_usage": usage}
        table |= {"active_codes": np.round(768 * usage), "perplexity": 500 * usage}
        top, variance = self.uniform(0.1, 0.6) * possible, 1.0 if not self.contrastive else self.uniform(1e-3, 0.4)
        gaussian = self.uniform(0.1, 0.008 * self.batch)
        for side in ("context", "target"):
            table[f"effective_rank_{side}"] = (3 + (top - 3) * (1 - np.exp(-5 * u))) * self.jitter(rows, noise)
            table[f"rankme_{side}"] = 1.8 * table[f"effective_rank_{side}"]
            table[f"variance_{side}"] = variance * (1.05 - np.exp(-20 * u)) * self.jitter(rows, noise)
            floor = 1.05 + gaussian if not self.contrastive else 0.2 * self.batch
            table[f"epps_pulley_{side}"] = (floor + 0.3 * self.batch * np.exp(-30 * u)) * self.jitter(rows, noise)
        return pd.DataFrame(table)
