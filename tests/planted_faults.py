"""One fault each, planted at a random size into a random healthy record, under the name of the rule that finds it.

A rule has as many plants as its fault has kinds.
"""

import numpy as np
import planted_losses as losses
from plants import PHASES, SHORTEST, Plant, of_phase
from record_cases import Healthy


@of_phase("baseline", "phase1", "phase2", "phase3")
def values_that_are_not_finite(h: Healthy) -> None:
    h.epochs.loc[h.rng.integers(h.n), "val_total"] = np.inf


@of_phase("baseline", "phase1", "phase2", "phase3")
def missing_epochs(h: Healthy) -> None:
    first = int(h.rng.integers(1, h.n - 3))
    h.epochs = h.epochs.drop(index=range(first, first + int(h.rng.integers(1, 3))))


@of_phase("baseline", "phase1", "phase2", "phase3")
def incomplete_record(h: Healthy) -> None:
    h.damaged = ("epochs.csv: line 81: 20 cells, the header has 36",)


@of_phase("baseline", "phase1", "phase2", "phase3")
def rate_that_stays_near_zero(h: Healthy) -> None:
    h.epochs["lr"] *= float(h.rng.choice([0.0, 1e-4, 0.3]))


@of_phase("baseline", "phase1", "phase2", "phase3")
def rate_without_warm_up(h: Healthy) -> None:
    """Constant, with gradients that blow up at the start and calm down."""
    h.settings["training"]["epochs"] = max(h.n, 60)
    h.epochs["lr"] = h.settings["optimizer"]["lr"]
    for name in ("grad_norm_mean", "grad_norm_max"):
        h.epochs.loc[1:3, name] = h.epochs[name].iloc[0] * h.uniform(7, 20)


@of_phase("baseline", "phase1")
def queue_not_filled(h: Healthy) -> None:
    """The loss is what it is among the fewer negatives."""
    queue, full = h.settings["loss"]["infonce"]["queue"], h.epochs["queue_fill"]
    share = h.epochs["train_prediction"] / np.log(h.batch + queue * full)
    h.epochs["queue_fill"] = float(h.rng.choice([0.0, 0.06])) * np.ones(h.n)
    h.set_term("prediction", share * np.log(h.batch + queue * h.epochs["queue_fill"]), h.epochs["val_prediction"])


@of_phase("phase3")
def curriculum_stuck(h: Healthy) -> None:
    """In the first band, or in the second."""
    bands = [max(2, h.n // 4), max(3, h.n // 2)]
    h.settings["sequence"]["curriculum"]["epochs"] = bands
    late = (h.epochs["epoch"] >= bands[0]) & (h.rng.random() < 0.5)
    h.epochs["admitted_share"] = np.where(late, 2 / 3, 1 / 3)


@of_phase("baseline", "phase1", "phase2", "phase3")
def slower_epochs(h: Healthy) -> None:
    late = h.t >= h.uniform(0.2, 0.6)
    h.epochs.loc[late, "seconds"] *= 3
    h.epochs.loc[late, "sequences_per_second"] /= 3


@of_phase("baseline", "phase1", "phase2", "phase3")
def complete_collapse(h: Healthy) -> None:
    at = int(h.rng.integers(2, len(h.steps) - 6))
    h.steps.loc[at:, f"variance_{h.rng.choice(['context', 'target'])}"] = 10 ** h.uniform(-12, -6)


@of_phase("baseline", "phase1", "phase2", "phase3")
def collapse_that_passes(h: Healthy) -> None:
    rows = len(h.steps)
    h.steps.loc[rows // 3 : rows // 3 + int(h.rng.integers(2, 5)), "variance_target"] = 10 ** h.uniform(-12, -6)


@of_phase("baseline", "phase1", "phase2", "phase3")
def rank_that_falls_without_settings(h: Healthy) -> None:
    """No settings say how many dimensions there are."""
    h.settings = {}
    rows = len(h.steps)
    h.steps["effective_rank_context"] = np.geomspace(h.uniform(20, 60), 1.2, rows) * h.jitter(rows, 0.02)


@of_phase("baseline", "phase1", "phase2", "phase3")
def rank_that_falls_to_a_third(h: Healthy) -> None:
    """Slowly, and not to what is few by itself."""
    rows, possible = len(h.steps), min(h.settings["model"]["embedding"], h.batch - 1)
    fall = h.uniform(0.4, 0.6) * possible * np.interp(np.linspace(0, 1, rows), [0, 0.3, 0.9, 1], [1, 1, 0.28, 0.26])
    h.steps["effective_rank_target"] = fall * h.jitter(rows, 0.02)


@of_phase("baseline", "phase1", "phase2", "phase3")
def dimensional_collapse(h: Healthy) -> None:
    """From the start, or from a step on."""
    at, side = int(h.rng.integers(2, len(h.steps) - 6)), h.rng.choice(["context", "target"])
    h.steps.loc[at * h.rng.integers(2) :, f"effective_rank_{side}"] = h.uniform(1.0, 2.5)


@of_phase("baseline", "phase1", "phase2", "phase3")
def codebook_discontinuity(h: Healthy) -> None:
    low = h.uniform(0.1, 0.4)
    usage = low * h.jitter(len(h.steps), 0.03)
    usage[int(h.rng.integers(4, len(h.steps) - 2))] = low * h.uniform(1.7, 2.4)
    h.steps["code_usage"] = usage


@of_phase("baseline", "phase1", "phase2", "phase3")
def codebook_that_falls(h: Healthy) -> None:
    """At a refresh, for good."""
    rows = len(h.steps)
    at, high = int(h.rng.integers(6, rows - 4)), h.uniform(0.25, 0.7)
    h.steps["code_usage"] = np.where(np.arange(rows) < at, high, high / h.uniform(1.9, 3)) * h.jitter(rows, 0.02)
    h.steps["refreshed_codes"] = 0
    # Late in a row's steps, so that the next row shows it, or early.
    h.steps.loc[at - int(h.rng.integers(2)), "refreshed_codes"] = 200


@of_phase("baseline", "phase1", "phase2", "phase3")
def codebook_that_moves_without_a_refresh(h: Healthy) -> None:
    """Down for good, down for some rows, or up for good."""
    rows, places = len(h.steps), np.arange(len(h.steps))
    at, low, factor = int(h.rng.integers(5, rows - 6)), h.uniform(0.12, 0.3), h.uniform(1.9, 2.8)
    apart = [places < at, (places < at) | (places >= at + 2), places >= at]
    high = apart[int(h.rng.integers(3))]
    h.steps["code_usage"] = np.where(high, factor * low, low) * h.jitter(rows, 0.02)
    h.steps["refreshed_codes"] = 0


@of_phase("baseline", "phase1", "phase2", "phase3")
def codes_that_take_all(h: Healthy) -> None:
    h.steps["perplexity"] = h.uniform(1.0, 1.8) + 300 * np.exp(-np.arange(len(h.steps)))


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
def gradients_that_spike_for_a_step(h: Healthy) -> None:
    """The largest norm of some epochs, not their mean."""
    calm = h.settings["optimizer"]["clip"] * h.uniform(0.2, 0.6) * h.jitter(h.n, 0.05)
    largest = 1.5 * calm
    largest[h.rng.choice(np.arange(6, h.n), 3, replace=False)] *= h.uniform(7, 30)
    h.epochs["grad_norm_mean"], h.epochs["grad_norm_max"] = calm, largest


@of_phase("baseline", "phase1", "phase2", "phase3")
def growing_gradients(h: Healthy) -> None:
    norms = 0.02 * h.settings["optimizer"]["clip"] * np.geomspace(1, h.uniform(14, 24), h.n) * h.jitter(h.n, 0.02)
    h.epochs["grad_norm_mean"], h.epochs["grad_norm_max"] = norms, 1.5 * norms


@of_phase("baseline", "phase1", "phase2", "phase3")
def vanished_gradient(h: Healthy) -> None:
    late = h.t >= h.uniform(0.1, 0.6)
    h.epochs.loc[late, ["grad_norm_mean", "grad_norm_max"]] = 10 ** h.uniform(-12, -6)


@of_phase("baseline", "phase1", "phase2", "phase3")
def gradients_above_the_clip(h: Healthy) -> None:
    norms = h.settings["optimizer"]["clip"] * h.uniform(5, 40) * h.jitter(h.n, 0.1)
    h.epochs["grad_norm_mean"], h.epochs["grad_norm_max"] = norms, 2 * norms
    h.epochs["clipped_share"], h.epochs["clip_factor_median"] = 1.0, h.settings["optimizer"]["clip"] / norms


FAULTS: dict[str, tuple[Plant, ...]] = {
    "incomplete record": (incomplete_record,),
    "values that are not finite": (values_that_are_not_finite,),
    "missing epochs": (missing_epochs,),
    "learning rate off its schedule": (rate_that_stays_near_zero, rate_without_warm_up),
    "queue not filled": (queue_not_filled,),
    "curriculum stuck": (curriculum_stuck,),
    "slower epochs": (slower_epochs,),
    "complete collapse": (complete_collapse, collapse_that_passes),
    "dimensional collapse": (dimensional_collapse, rank_that_falls_without_settings, rank_that_falls_to_a_third),
    "saturated SIGReg": (
        losses.saturated_sigreg,
        losses.sigreg_saturated_after_the_first_epoch,
        losses.sigreg_still_beside_what_is_learned,
    ),
    "lambda out of range": (losses.lambda_out_of_range, losses.lambda_that_weights_alone_tell),
    "embeddings far from Gaussian": (losses.embeddings_far_from_gaussian,),
    "contrastive loss at chance": (losses.contrastive_loss_at_chance, losses.validation_at_chance),
    "invariance not learned": (losses.invariance_not_learned,),
    "temperature at a bound": (losses.temperature_at_a_bound,),
    "relational explosion": (
        losses.relational_explosion,
        losses.relational_explosion_of_an_epoch,
        losses.relational_explosion_in_validation,
    ),
    "relational share": (losses.relational_share, losses.relational_share_throughout),
    "hidden component": (losses.hidden_component,),
    "rising training loss": (losses.rising_training_loss,),
    "plateau": (
        losses.plateau,
        losses.plateau_of_the_total,
        losses.plateau_without_end,
        losses.plateau_of_validation_alone,
    ),
    "memorisation": (losses.memorisation,),
    "broken relation": (losses.broken_relation,),
    "codebook discontinuity": (codebook_discontinuity, codebook_that_falls, codebook_that_moves_without_a_refresh),
    "codebook collapse": (codebook_collapse, codes_that_take_all),
    "gradient spikes": (gradient_spikes, gradients_that_spike_for_a_step),
    "growing gradients": (growing_gradients,),
    "vanished gradient": (vanished_gradient,),
    "gradients above the clip": (gradients_above_the_clip,),
}


def planted(name: str, seed: int, kind: int = 0) -> Healthy:
    """A record with one fault, of one of its kinds."""
    plant = FAULTS[name][kind]
    phases = PHASES[plant.__name__]
    healthy = Healthy(seed, phases[seed % len(phases)], shortest=SHORTEST.get(plant.__name__, 12))
    plant(healthy)
    return healthy
