"""Faults planted into the losses of a record, and into what validation says beside them."""

import numpy as np
from plants import of_phase
from record_cases import Healthy


@of_phase("baseline", "phase1")
def saturated_sigreg(h: Healthy) -> None:
    h.set_term("sigreg", h.uniform(0.397, 0.405) * h.jitter(h.n, 0.002))


@of_phase("baseline", "phase1")
def sigreg_saturated_after_the_first_epoch(h: Healthy) -> None:
    """Weighted alone, and without settings."""
    h.settings = {}
    saturated = h.uniform(0.0397, 0.0405) * h.jitter(h.n, 0.002)
    saturated[0] *= 1.2
    for split in ("train", "val"):
        h.epochs[f"{split}_total"] += saturated - h.epochs[f"{split}_sigreg_weighted"]
        h.epochs[f"{split}_sigreg_weighted"] = saturated
        del h.epochs[f"{split}_sigreg"]


@of_phase("phase2", "phase3")
def lambda_out_of_range(h: Healthy) -> None:
    outside = (h.uniform(0.0, 0.095), h.uniform(10.5, 100))
    h.settings["loss"]["lambda_sigreg"] = float(h.rng.choice(outside))


@of_phase("baseline", "phase1")
def sigreg_still_beside_what_is_learned(h: Healthy) -> None:
    """Of any size, from the first epoch on, in a record without ranks."""
    h.set_term("sigreg", h.uniform(0.5, 4) * h.jitter(h.n, 0.002))
    h.set_term("prediction", h.epochs["train_prediction"].iloc[0] * np.linspace(1, 0.7, h.n) * h.jitter(h.n, 0.005))
    h.steps = h.steps[["step", "code_usage"]]


@of_phase("phase2", "phase3")
def lambda_that_weights_alone_tell(h: Healthy) -> None:
    """The run names no settings."""
    h.settings = {}
    h.weigh("sigreg", float(h.rng.choice([0.02, 50.0])))


@of_phase("phase2", "phase3")
def embeddings_far_from_gaussian(h: Healthy) -> None:
    excess = h.uniform(0.035, 0.4) * h.batch
    for side in ("context", "target"):
        h.steps[f"epps_pulley_{side}"] = np.maximum(h.steps[f"epps_pulley_{side}"], 1.05 + excess)


@of_phase("baseline", "phase1")
def contrastive_loss_at_chance(h: Healthy) -> None:
    queue = h.settings["loss"]["infonce"]["queue"] * h.epochs["queue_fill"]
    share = h.uniform(0.985, 1.0) * h.jitter(h.n, 0.015)
    h.set_term("prediction", share * np.log(h.batch + queue), share * np.log(h.batch))


@of_phase("baseline", "phase1")
def validation_at_chance(h: Healthy) -> None:
    guess = h.uniform(0.985, 1.0) * np.log(h.batch) * h.jitter(h.n, 0.004)
    # Training learns next to nothing either, or that would be memorised.
    queue = h.settings["loss"]["infonce"]["queue"]
    learned = 0.75 + 0.2 * np.exp(-3 * h.t)
    h.epochs["queue_fill"] = 1.0
    h.set_term("prediction", learned * np.log(h.batch + queue) * h.jitter(h.n, 0.004), guess)


@of_phase("baseline", "phase1")
def invariance_not_learned(h: Healthy) -> None:
    """Views at right angles to their frames."""
    weights = h.settings["loss"]["invariance"]
    unrelated = 2 * sum(weights[view] for view in ("colour", "translation", "symmetry"))
    h.set_term("invariance", unrelated * h.uniform(0.96, 1.3) * h.jitter(h.n, 0.01))


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


def _small_relational(h: Healthy) -> None:
    """As above, a small share of the total."""
    start = h.epochs["train_relational"].iloc[0]
    weight = 0.03 * h.epochs["train_total"].min() / (8 * start)
    for split in ("train", "val"):
        h.epochs[f"{split}_relational_weighted"] = weight * h.epochs[f"{split}_relational"]


@of_phase("baseline")
def relational_explosion_of_an_epoch(h: Healthy) -> None:
    _small_relational(h)
    start = h.epochs["train_relational"].iloc[0]
    term = start * h.jitter(h.n, 0.03)
    term[int(h.rng.integers(h.n // 2, h.n - 2))] *= h.uniform(4.5, 8)
    h.set_term("relational", term)


@of_phase("baseline")
def relational_explosion_in_validation(h: Healthy) -> None:
    _small_relational(h)
    start = h.epochs["train_relational"].iloc[0]
    grown = start * h.grow(h.uniform(5, 8)) * h.jitter(h.n, 0.03)
    h.set_term("relational", start * h.jitter(h.n, 0.03), grown)


@of_phase("baseline")
def relational_share_throughout(h: Healthy) -> None:
    weight = (h.epochs["train_relational_weighted"] / h.epochs["train_relational"]).median()
    shares = h.uniform(0.5, 1.0) * h.epochs["train_total"], h.uniform(0.5, 1.0) * h.epochs["val_total"]
    h.set_term("relational", shares[0] / weight, shares[1] / weight)


@of_phase("baseline")
def relational_share(h: Healthy) -> None:
    """Nothing else moves, so that the share grows with the term, by less than an explosion."""
    for name in ("prediction", "invariance", "commitment"):
        h.set_term(name, 0.8 * h.epochs[f"train_{name}"].iloc[0] * h.jitter(h.n, 0.005))
    # Validation goes on falling, by a loss that no rule compares with that of training.
    h.epochs["val_prediction"] *= np.linspace(1, 0.9, h.n)
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
    """Of what early stopping watches; the total goes with it."""
    best = int(h.rng.integers(2, max(3, h.n - 4)))
    after = np.clip(np.arange(h.n) - best, 0, None) / (h.n - 1 - best)
    before = np.clip(best - np.arange(h.n), 0, None) / h.n
    shape = 1 + 0.3 * before + h.uniform(0.06, 0.4) * after
    for name in ("val_total", "val_prediction" if h.contrastive else "val_prediction_error"):
        h.epochs[name] = h.epochs[name].min() * shape * h.jitter(h.n, 0.003)


@of_phase("baseline", "phase1", "phase2", "phase3")
def plateau_of_the_total(h: Healthy) -> None:
    """Another term takes over in validation."""
    h.epochs["val_total"] = h.epochs["val_total"].iloc[0] * h.grow(h.uniform(1.3, 2)) * h.jitter(h.n, 0.003)


@of_phase("phase2", "phase3")
def plateau_without_end(h: Healthy) -> None:
    """Neither training nor validation moves after the first tenth."""
    for split in ("train", "val"):
        level = h.uniform(0.3, 0.5) * (1 + 0.5 * np.exp(-np.arange(h.n) / (0.01 * h.n)))
        h.epochs[f"{split}_prediction_error"] = level * h.jitter(h.n, 0.002)


@of_phase("phase2", "phase3")
def plateau_of_validation_alone(h: Healthy) -> None:
    """Training falls by a third more, too little to be memorised."""
    since = np.clip(1 - h.t / h.uniform(0.15, 0.4), 0, 1)
    level = h.uniform(0.3, 0.5)
    h.epochs["val_prediction_error"] = level * (1 + 0.5 * since) * h.jitter(h.n, 0.002)
    h.epochs["train_prediction_error"] = level * (1.4 - 0.7 * h.t) * h.jitter(h.n, 0.002)


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
