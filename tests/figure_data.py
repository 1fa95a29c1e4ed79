"""Made-up runs and scores in the formats that the figures read; shapes like those of the analysed run."""

import numpy as np
import pandas as pd

from arcjepa.figures.candidates import Query
from arcjepa.figures.style import CONTROLS, PHASES

OBJECTIVES = {"baseline": "infonce", "phase1": "infonce", "phase2": "lejepa", "phase3": "lejepa"}
REFRESHES = {"baseline": (300, 600), "phase1": (), "phase2": (), "phase3": ()}
CLIPS = {"baseline": 0.5, "phase1": 0.5, "phase2": 1.0, "phase3": 1.0}
LONG = "Other units: the analysis' total holds up to 0.8 of relational loss, which this phase does not have."
CHANCE = float(np.log(8192))
# value and weight of each term as training goes from t = 0 to 1
TERMS = {
    "infonce": {
        "prediction": (lambda t: 7 * np.exp(-3 * t) + 2, 1),
        "sigreg": (lambda t: 0.4 + 0 * t, 0.1),
        "invariance": (lambda t: 0.3 - 0.1 * t, 0.1),
        "commitment": (lambda t: 0.2 + 0.1 * t, 0.15),
    },
    "lejepa": {
        "prediction": (lambda t: np.exp(-2 * t), 1),
        "sigreg": (lambda t: 50 * np.exp(-6 * t) + 1.1, 0.1),
    },
}
RELATIONAL = (lambda t: 14 + 30 * t**2, 0.025)


def epochs(names=PHASES, seeds=3, n=12) -> pd.DataFrame:
    """Every run's epochs.csv; phase1 stops early."""
    runs = [_epochs(name, seed, n if name != "phase1" else max(1, n - 3)) for name in names for seed in range(seeds)]
    return pd.concat(runs, ignore_index=True) if runs else pd.DataFrame(columns=_epochs("baseline", 0, 1).columns)


def _epochs(name: str, seed: int, n: int) -> pd.DataFrame:
    rng = np.random.default_rng([PHASES.index(name), seed])
    t = np.linspace(0, 1, n)
    table = {"name": name, "seed": seed, "epoch": np.arange(1, n + 1)}
    terms = TERMS[OBJECTIVES[name]] | ({"relational": RELATIONAL} if name == "baseline" else {})
    train_total, val_total = np.zeros(n), np.zeros(n)
    for term in ("prediction", "sigreg", "invariance", "relational", "commitment"):
        shape, weight = terms.get(term, (lambda t: np.nan * t, 1))
        raw = shape(t) * rng.normal(1, 0.03, n)
        held_out = raw * (1.02 + 0.1 * t**3)
        table |= {f"train_{term}_weighted": raw * weight, f"val_{term}_weighted": held_out * weight}
        train_total, val_total = train_total + np.nan_to_num(raw * weight), val_total + np.nan_to_num(held_out * weight)
    mean = 6 + 25 * np.exp(-((t - 0.45) ** 2) / 0.01) * (name == "baseline") + rng.random(n)
    table |= {"train_total": train_total, "val_total": val_total, "grad_norm_mean": mean / (1 + 9 * ("2" in name))}
    table |= {"grad_norm_max": table["grad_norm_mean"] * 2.2, "clipped_share": np.clip(0.9 - 0.5 * t, 0, 1)}
    return pd.DataFrame(table)


def steps(names=PHASES, seeds=3, n=38, codes=768) -> pd.DataFrame:
    """Every run's steps.csv."""
    runs = [_steps(name, seed, n, codes) for name in names for seed in range(seeds)]
    return pd.concat(runs, ignore_index=True) if runs else pd.DataFrame(columns=_steps("baseline", 0, 1, 1).columns)


def _steps(name: str, seed: int, n: int, codes: int) -> pd.DataFrame:
    place = PHASES.index(name)
    rng = np.random.default_rng([place, seed, 1])
    step = np.arange(1, n + 1) * 20
    usage = 0.15 + 0.06 * place + 0.12 * np.isin(step, REFRESHES[name]) + rng.normal(0, 0.01, n)
    table = {
        "name": name,
        "seed": seed,
        "step": step,
        "refreshed_codes": np.where(np.isin(step, REFRESHES[name]), 90, np.nan),
        "code_usage": usage,
    }
    table |= {"perplexity": usage * codes * 0.7}
    for side, gain in (("context", 1), ("target", 1.25)):
        rank = gain * (4 + (10 + 4 * place) * step / step.max()) + rng.normal(0, 0.3, n)
        table |= {f"effective_rank_{side}": rank, f"rankme_{side}": rank * 1.7}
        table |= {f"variance_{side}": 1e-3 * 10**place * step / 700}
        table |= {f"isotropy_{side}": 1e-5 * 6**place * (1 + rng.random(n))}
        table |= {f"epps_pulley_{side}": 30 / step + 1.1 + 20 * (place < 2)}
    return pd.DataFrame(table)


def metrics(names=(*PHASES, *CONTROLS)) -> pd.DataFrame:
    """metrics.csv: controls without a predictor have no own score."""
    values = dict(zip((*PHASES, *CONTROLS), (3.4, 3.3, 2.7, 2.4, 6.1, 5.4, 7.2), strict=True))
    rows = []
    for name in names:
        row = {"name": name, "seeds": 3}
        for measure, offset in {"val_nce": 0, "readout_nce": 0.6, "query_only_nce": 1.5}.items():
            known = name in PHASES or measure == "readout_nce"
            value = values[name] + offset if known else np.nan
            width = 0.02 if name == "copy" else 0.25
            row |= {measure: value, f"{measure}_low": value - width, f"{measure}_high": value + width}
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["name", "seeds"])


def ranking(names=(*PHASES, *CONTROLS), sets=("arc1", "arc2")) -> pd.DataFrame:
    """ranking.csv: A, B, C and augmented retrieval per test set, RE-ARC on its own."""
    chance = {"ranking_a": 0.0625, "ranking_b": 0.19, "ranking_c": 0.0625, "retrieval_augmented": 0.003}
    level = {"ranking_a": 0.85, "ranking_b": 0.45, "ranking_c": 0.15, "retrieval_augmented": 0.3}
    rows = []
    for test_set in sets:
        for place, name in enumerate(names):
            for measure, value in level.items():
                rows.append((name, test_set, measure, value * (1 - 0.05 * place), 0.03, chance[measure]))
    rows += [(name, "rearc", "retrieval_rearc", 0.4, 0.05, 0.005) for name in names]
    table = pd.DataFrame(rows, columns=["name", "set", "measure", "value", "width", "chance"])
    return table.assign(low=table["value"] - table["width"], high=table["value"] + table["width"])


def embeddings(names=PHASES, n=240, kinds=4) -> tuple[dict[str, np.ndarray], list[str]]:
    """Clouds that part by label, less so in earlier phases."""
    labels = [f"kind {i % kinds}" for i in range(n)]
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(kinds, 16))
    which = np.arange(n) % kinds
    return {name: centres[which] * PHASES.index(name) + rng.normal(size=(n, 16)) for name in names}, labels


def queries(names=PHASES, n=2) -> list[Query]:
    """Random grids; each phase ranks the true one at another place, phase3 beyond those shown."""
    rng = np.random.default_rng(5)

    def grid() -> np.ndarray:
        return rng.integers(0, 10, rng.integers(1, 31, 2)).astype(np.uint8) * (rng.random() < 0.7)

    made = []
    for i in range(n):
        pairs = [(grid(), grid()) for _ in range(2 + i)]
        orders = {name: np.roll(np.arange(16), 4 * PHASES.index(name)) for name in names}
        made.append(Query(f"task 00{i}b{i}a · set B", pairs, grid(), [grid() for _ in range(16)], 1, orders))
    return made


def targets(names=PHASES) -> pd.DataFrame:
    """targets.csv with all verdicts, parts, bounds, texts and a long reason; the baseline has no targets."""
    nan, rows = float("nan"), []
    for name in (*PHASES[1:], "all"):
        part = "ultimate success" if name == "all" else "success metrics"
        found = [
            (part, "Best Val Loss", "8.224", "< 8.1", "2.31", 2.2, 2.4, "not comparable", LONG),
            (part, "Hyperparameter Count", "20+", "< 10", "9", nan, nan, "met", ""),
            (part, "Loss Components", "4", "1-2", "4 (prediction, SIGReg, invariance)", nan, nan, "missed", nan),
            ("success criteria", "No relational explosion", nan, nan, "", nan, nan, "met", "short"),
        ]
        not_run = ("", nan, nan, "not comparable", "not run")
        ran = (PHASES[-1] if name == "all" else name) in names
        rows += [(name, *(row if ran else (*row[:4], *not_run))) for row in found[: 3 if name == "all" else 4]]
    columns = ["phase", "part", "target", "baseline", "wanted", "reached", "low", "high", "verdict", "why"]
    return pd.DataFrame(rows, columns=columns)


def alignment(names=PHASES) -> pd.DataFrame:
    """alignment.csv with all scores; the last phase has no printed ones."""
    nan, rows = float("nan"), []
    for place, name in enumerate(PHASES):
        for number, principle in enumerate(("Heuristic-free", "Single hyperparameter", "Minimal core", "Overall")):
            whole = principle == "Overall"
            score = 0.6875 if whole else (number + place) % 3 / 2
            printed = nan if name == PHASES[-1] else 0.3125 if whole else 0.5
            told = "B-" if whole else "5: temperature clamp, queue, codebook refresh, EMA codebook, EMA teacher"
            ran = (score, printed, told) if name in names else (nan, printed, "not run")
            rows.append((name, principle, *ran, "1: nothing of it is left at all; 1/2: at most two are; 0: else" * 2))
    return pd.DataFrame(rows, columns=["phase", "principle", "score", "printed", "evidence", "rule"])


LINE = (
    "dvc exp run -S phases.phase3.sequence.curriculum.enabled=false -S phases.phase3.quantizer.kind=vq -S phase=phase3"
)
NUMBERS = "phase3 on phase2: val_nce -0.02 [-0.08, +0.03], 8 to 18 % of the codes in use"


def gates(names=PHASES) -> pd.DataFrame:
    """gates.csv with all outcomes; phase1 is judged beside the baseline."""
    rows = []
    for name, needs in zip(PHASES[1:], (PHASES[:2], PHASES[2:3], PHASES[3:]), strict=True):
        for outcome in ("fired", "not fired", "cannot be judged"):
            absent = [need for need in needs if need not in names]
            judged = ("cannot be judged", "", f"{', '.join(absent)}: not run") if absent else (outcome, NUMBERS, LONG)
            rows.append((name, "Fix 1.1", "performance degrades without relational", "normalised", *judged, LINE))
    return pd.DataFrame(rows, columns=["phase", "source", "condition", "then", "outcome", "numbers", "why", "next"])


def risks(names=PHASES) -> pd.DataFrame:
    """risks.csv, from the gates."""
    table = gates(names).rename(columns={"condition": "risk", "numbers": "evidence", "next": "mitigated"})
    occurred = table["outcome"].map({"fired": "yes", "not fired": "no"}).fillna("cannot be judged")
    return table.assign(
        probability=30.0, impact="Medium", mitigation="Monitor usage, reduce codebook", occurred=occurred
    )
