"""One fault each, planted at a random size into a random healthy record, under the name of the rule that finds it."""

from collections.abc import Callable

import numpy as np
from record_cases import Healthy

Plant = Callable[[Healthy], None]
PHASES: dict[str, tuple[str, ...]] = {}
"""Which phases have the mechanism, by the name of the function."""


def of_phase(*phases: str) -> Callable[[Plant], Plant]:
    """Which phases have the mechanism."""

    def mark(plant: Plant) -> Plant:
        PHASES[plant.__name__] = phases
        return plant

    return mark


@of_phase("baseline", "phase1", "phase2", "phase3")
def values_that_are_not_finite(h: Healthy) -> None:
    h.epochs.loc[h.rng.integers(h.n), "val_total"] = np.inf


@of_phase("baseline", "phase1", "phase2", "phase3")
def missing_epochs(h: Healthy) -> None:
    first = int(h.rng.integers(1, h.n - 3))
    h.epochs = h.epochs.drop(index=range(first, first + int(h.rng.integers(1, 3))))


@of_phase("baseline", "phase1", "phase2", "phase3")
def complete_collapse(h: Healthy) -> None:
    at = int(h.rng.integers(2, len(h.steps) - 6))
    h.steps.loc[at:, f"variance_{h.rng.choice(['context', 'target'])}"] = 10 ** h.uniform(-12, -6)


@of_phase("baseline", "phase1", "phase2", "phase3")
def dimensional_collapse(h: Healthy) -> None:
    """From the start, or from a step on."""
    at, side = int(h.rng.integers(2, len(h.steps) - 6)), h.rng.choice(["context", "target"])
    h.steps.loc[at * h.rng.integers(2) :, f"effective_rank_{side}"] = h.uniform(1.0, 2.5)


@of_phase("baseline", "phase1")
def saturated_sigreg(h: Healthy) -> None:
    h.set_term("sigreg", h.uniform(0.397, 0.405) * h.jitter(h.n, 0.002))


@of_phase("phase2", "phase3")
def lambda_out_of_range(h: Healthy) -> None:
    outside = (h.uniform(0.0, 0.095), h.uniform(10.5, 100))
    h.settings["loss"]["lambda_sigreg"] = float(h.rng.choice(outside))


@of_phase("phase2", "phase3")
def embeddings_far_from_gaussian(h: Healthy) -> None:
    excess = h.uniform(0.035, 0.4) * h.batch
    for side in ("context", "target"):
        h.steps[f"epps_pulley_{side}"] = np.maximum(h.steps[f"epps_pulley_{side}"], 1.05 + excess)


@of_phase("baseline", "phase1")
def contrastive_loss_at_chance(h: Healthy) -> None:
    queue = h.settings["loss"]["infonce"]["queue"] * h.epochs["queue_fill"]
    share = h.uniform(0.985, 1.0)
    h.set_term("prediction", share * np.log(h.batch + queue), np.full(h.n, share * np.log(h.batch)))


@of_phase("baseline", "phase1")
def temperature_at_a_bound(h: Healthy) -> None:
    stuck = h.t >= h.uniform(0.0, 0.5)
    bound = h.settings["loss"]["infonce"][h.rng.choice(["temperature_min", "temperature_max"])]
    h.epochs.loc[stuck, "temperature"] = bound


@of_phase("baseline")
def relational_explosion(h: Healthy) -> None:
    start = h.epochs["train_relational"].iloc[0]
    # A small share of the total, so that this is all that is wrong.
    weight = 0.03 * h.epochs["train_total"].min() / (8 * start)
    for split in ("train", "val"):
        h.epochs[f"{split}_relational_weighted"] = weight * h.epochs[f"{split}_relational"]
    h.set_term("relational", start * h.grow(h.uniform(4.5, 8.0)) * h.jitter(h.n, 0.03))


@of_phase("baseline")
def relational_share(h: Healthy) -> None:
    """Nothing else moves, so that the share grows with the term, by less than an explosion."""
    for name in ("prediction", "invariance", "commitment"):
        h.set_term(name, 0.8 * h.epochs[f"train_{name}"].iloc[0] * h.jitter(h.n, 0.005))
    h.set_term("sigreg", h.decay(10, 2))
    h.epochs["queue_fill"] = 1.0
    others = h.epochs["train_total"] - h.epochs["train_relational_weighted"]
    weight = (h.epochs["train_relational_weighted"] / h.epochs["train_relational"]).median()
    weighted = 0.055 * others.iloc[0] * h.grow(2.8, 0.2) * h.jitter(h.n, 0.01)
    h.set_term("relational", weighted / weight, np.full(h.n, weighted[0] / weight))


@of_phase("baseline", "phase1", "phase2", "phase3")
def hidden_component(h: Healthy) -> None:
    total = h.epochs["train_total"].iloc[0]
    moved = h.uniform(0.15, 0.3) * total * h.t
    rising, falling = ("sigreg", "prediction") if h.contrastive else ("prediction", "sigreg")
    for name, values in ((rising, 0.1 * total + moved), (falling, 0.5 * total - moved)):
        weight = (h.epochs[f"train_{name}_weighted"] / h.epochs[f"train_{name}"]).median()
        h.set_term(name, values / weight * h.jitter(h.n, 0.005))


@of_phase("baseline", "phase1", "phase2", "phase3")
def rising_training_loss(h: Healthy) -> None:
    h.epochs["train_total"] = h.epochs["train_total"].iloc[0] * h.grow(h.uniform(1.6, 4)) * h.jitter(h.n, 0.02)


@of_phase("baseline", "phase1", "phase2", "phase3")
def plateau(h: Healthy) -> None:
    best = int(h.rng.integers(2, max(3, h.n - 4)))
    after = np.clip(np.arange(h.n) - best, 0, None) / (h.n - 1 - best)
    before = np.clip(best - np.arange(h.n), 0, None) / h.n
    shape = 1 + 0.3 * before + h.uniform(0.06, 0.4) * after
    h.epochs["val_total"] = h.epochs["val_total"].min() * shape * h.jitter(h.n, 0.003)


@of_phase("baseline", "phase1", "phase2", "phase3")
def memorisation(h: Healthy) -> None:
    train = h.decay(1.0, h.uniform(0.01, 0.06), 0.02)
    h.epochs["train_prediction_error"] = train
    h.epochs["val_prediction_error"] = np.maximum(train, h.uniform(0.3, 0.6)) * h.jitter(h.n, 0.01)


@of_phase("phase2", "phase3")
def broken_relation(h: Healthy) -> None:
    """No better than the mean, or better in validation alone."""
    unpredicted = h.rng.random() < 0.5
    level = h.uniform(0.95, 1.05) if unpredicted else h.uniform(0.4, 0.7)
    h.epochs["train_prediction_error"] = h.decay(1.2, level, 0.01)
    h.epochs["val_prediction_error"] = h.decay(1.2, level / (1 if unpredicted else h.uniform(1.8, 4)), 0.01)


@of_phase("baseline", "phase1", "phase2", "phase3")
def codebook_discontinuity(h: Healthy) -> None:
    low = h.uniform(0.1, 0.4)
    usage = low * h.jitter(len(h.steps), 0.03)
    usage[int(h.rng.integers(4, len(h.steps) - 2))] = low * h.uniform(1.7, 2.4)
    h.steps["code_usage"] = usage


@of_phase("baseline", "phase1", "phase2", "phase3")
def codebook_collapse(h: Healthy) -> None:
    rows = len(h.steps)
    h.steps["code_usage"] = h.uniform(0.001, 0.035) + np.exp(-0.7 * np.arange(rows)) * 0.9


@of_phase("baseline", "phase1", "phase2", "phase3")
def gradient_spikes(h: Healthy) -> None:
    length = int(h.rng.integers(1, 4)) if h.n < 20 else int(h.rng.integers(1, 9))
    first = int(h.rng.integers(5, max(6, h.n - length)))
    calm = h.settings["optimizer"]["clip"] * h.uniform(0.2, 0.6) * h.jitter(h.n, 0.08)
    calm[first : first + length] *= h.uniform(6, 20)
    h.epochs["grad_norm_mean"], h.epochs["grad_norm_max"] = calm, 2 * calm


@of_phase("baseline", "phase1", "phase2", "phase3")
def gradients_above_the_clip(h: Healthy) -> None:
    norms = h.settings["optimizer"]["clip"] * h.uniform(5, 40) * h.jitter(h.n, 0.1)
    h.epochs["grad_norm_mean"], h.epochs["grad_norm_max"] = norms, 2 * norms
    h.epochs["clipped_share"], h.epochs["clip_factor_median"] = 1.0, h.settings["optimizer"]["clip"] / norms


FAULTS: dict[str, Plant] = {
    "values that are not finite": values_that_are_not_finite,
    "missing epochs": missing_epochs,
    "complete collapse": complete_collapse,
    "dimensional collapse": dimensional_collapse,
    "saturated SIGReg": saturated_sigreg,
    "lambda out of range": lambda_out_of_range,
    "embeddings far from Gaussian": embeddings_far_from_gaussian,
    "contrastive loss at chance": contrastive_loss_at_chance,
    "temperature at a bound": temperature_at_a_bound,
    "relational explosion": relational_explosion,
    "relational share": relational_share,
    "hidden component": hidden_component,
    "rising training loss": rising_training_loss,
    "plateau": plateau,
    "memorisation": memorisation,
    "broken relation": broken_relation,
    "codebook discontinuity": codebook_discontinuity,
    "codebook collapse": codebook_collapse,
    "gradient spikes": gradient_spikes,
    "gradients above the clip": gradients_above_the_clip,
}


def planted(name: str, seed: int) -> Healthy:
    """A record with one fault."""
    plant = FAULTS[name]
    phases = PHASES[plant.__name__]
    healthy = Healthy(seed, phases[seed % len(phases)], shortest=12)
    plant(healthy)
    return healthy
