"""The losses: each a term with a raw value and a weight, summed by one objective whatever the phase.

Shapes: B sequences, F context frames, N near misses, D dimensions, S object slots, Q queue entries.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from arcjepa.jepa import Outputs, Relations
from arcjepa.ranks import gathered, mean_of_all, mean_over_ranks, merged, own_moments, rank, summed, world_size
from arcjepa.settings import PRIMARY_SIGREG, InfoNCE, Loss, Phase, Relational
from arcjepa.settings import GradNorm as Balance
from arcjepa.sigreg import sigreg, sigreg_normalised

Terms = dict[str, tuple[torch.Tensor, float | torch.Tensor]]
"""Name to (raw value, weight)."""
GRADNORM_RATE, GRADNORM_FLOOR = 0.025, 0.1
UNCERTAINTY_BOUND = 100.0
"""Largest weight, and one over the smallest, by uncertainty: a loss of nothing would be weighed without end."""
SAME = 1e-8
"""Squared distance per dimension below which two frames are one: rounding apart, equal tokens have equal embeddings."""


class Contrast(nn.Module):
    """InfoNCE (van den Oord et al. 2018) with the batch's other targets and a queue of earlier ones as negatives.

    The temperature is learned, and clamped to its bounds.
    """

    queue: torch.Tensor
    pushed: torch.Tensor

    def __init__(self, settings: InfoNCE, dim: int) -> None:
        super().__init__()
        self.log_bounds = math.log(settings.temperature_min), math.log(settings.temperature_max)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(settings.temperature)))
        self.register_buffer("queue", torch.zeros(settings.queue, dim))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    @property
    def temperature(self) -> torch.Tensor:
        """Scalar within the bounds."""
        return self.log_temperature.clamp(*self.log_bounds).exp()

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """(B, D) and (B, D) of this rank to a scalar in nats; the targets of all ranks are negatives, and in training
        the queue's."""
        if self.training:
            with torch.no_grad():  # back to the bound: beyond it the gradient is zero, which would hold it for ever
                self.log_temperature.clamp_(*self.log_bounds)
        return self.loss(prediction, target, self.training)

    def loss(self, prediction: torch.Tensor, target: torch.Tensor, queued: bool) -> torch.Tensor:
        """The same, with the queue's targets among the negatives or not."""
        prediction, target = functional.normalize(prediction, dim=-1), gathered(functional.normalize(target, dim=-1))
        logits = prediction @ target.T
        if queued and len(self.queue):
            old = prediction @ self.queue.T
            empty = torch.arange(len(self.queue), device=old.device) >= self.pushed
            # Finite, as minus infinity over a temperature has no gradient.
            logits = torch.cat([logits, old.masked_fill(empty, -1e4)], dim=1)
        own_rows = torch.arange(rank(), len(target), world_size(), device=target.device)
        return functional.cross_entropy(logits / self.temperature, own_rows)

    @torch.no_grad()
    def push(self, target: torch.Tensor) -> None:
        """Put targets (B, D), those of all ranks, into the queue, over the oldest."""
        if not len(self.queue):
            return
        target = gathered(functional.normalize(target.float(), dim=-1))[: len(self.queue)]
        rows = (self.pushed + torch.arange(len(target), device=target.device)) % len(self.queue)
        self.queue.index_copy_(0, rows, target)
        self.pushed += len(target)

    @property
    def fill(self) -> torch.Tensor:
        """Share of the queue in use."""
        return (self.pushed / max(1, len(self.queue))).clamp(max=1)


class GradNorm(nn.Module):
    """GradNorm (Chen et al. 2018): weights that equalise the gradient norms of the terms, faster ones held back.

    Weights sum to the number of terms. Each stays above a floor: SIGReg falls from 0.4 N to 1 in the first steps,
    which the restoring force would read as solved.
    """

    weights: torch.Tensor
    first: torch.Tensor

    def __init__(self, terms: int, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.register_buffer("weights", torch.ones(terms))
        self.register_buffer("first", torch.zeros(terms))

    def forward(self, losses: torch.Tensor, shared: list[torch.Tensor]) -> torch.Tensor:
        """Update from losses (n,) and the parameters that all depend on; returns the weights (n,), detached."""
        if not self.training:
            return self.weights
        by_loss = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses]
        gradients = [torch.cat([gradient.flatten() for gradient in own]) for own in by_loss]
        with torch.no_grad():
            norms = torch.stack([mean_over_ranks(gradient).norm() for gradient in gradients])
            values = mean_over_ranks(losses.detach())
            self.first.copy_(torch.where(self.first.any(), self.first, values))
            rate = (values / self.first).clamp(min=1e-6)
            weighted = self.weights * norms
            aim = weighted.mean() * (rate / rate.mean()) ** self.alpha
            step = GRADNORM_RATE * torch.sign(weighted - aim)
            above = (self.weights - step - GRADNORM_FLOOR).clamp(min=0)
            spare = len(above) * (1 - GRADNORM_FLOOR)
            self.weights.copy_(GRADNORM_FLOOR + above * spare / above.sum())
        return self.weights.clone()


class Uncertainty(nn.Module):
    """Uncertainty weighting (Kendall et al. 2018): weights exp(-s), where s descends on exp(-s) * loss + s.

    They go to one over the loss.
    """

    spread: torch.Tensor

    def __init__(self, terms: int) -> None:
        super().__init__()
        self.register_buffer("spread", torch.zeros(terms))

    @torch.no_grad()
    def forward(self, losses: torch.Tensor, shared: list[torch.Tensor]) -> torch.Tensor:
        """Update from losses (n,); returns the weights (n,). `shared` is what GradNorm takes gradients of."""
        if self.training:
            self.spread.sub_(GRADNORM_RATE * (1 - (-self.spread).exp() * mean_over_ranks(losses)))
            self.spread.clamp_(-math.log(UNCERTAINTY_BOUND), math.log(UNCERTAINTY_BOUND))
        return (-self.spread).exp()


def make_balance(settings: Balance) -> GradNorm | Uncertainty | None:
    """What weighs the prediction and SIGReg terms, None where their weights are fixed."""
    if not settings.enabled:
        return None
    return GradNorm(2, settings.alpha) if settings.rule == "gradnorm" else Uncertainty(2)


class Objective(nn.Module):
    """All terms of a phase; `forward` is the one path from outputs to a loss."""

    def __init__(self, loss: Loss, dim: int) -> None:
        super().__init__()
        self.loss = loss
        self.contrast = Contrast(loss.infonce, dim) if loss.prediction == "infonce" else None
        self.gradnorm = make_balance(loss.gradnorm)

    def forward(
        self, outputs: Outputs, slices: torch.Tensor, commitment: float, kinds: torch.Tensor, shared: list[torch.Tensor]
    ) -> tuple[torch.Tensor, Terms]:
        """The total and its terms. `slices` (D, S) for SIGReg, `commitment` the quantiser's weight, `kinds` (B,) of
        each sequence's view (0 colour, 1 translation, 2 symmetry), `shared` parameters for GradNorm."""
        terms: Terms = {"prediction": (self._prediction(outputs), 1.0)}
        terms |= self._sigreg(outputs, slices)
        if self.gradnorm is not None:
            losses = torch.stack([raw * weight for raw, weight in terms.values()])
            balance = self.gradnorm(losses, shared)
            terms = {name: (raw, weight * balance[i]) for i, (name, (raw, weight)) in enumerate(terms.items())}
        if self.loss.invariance.enabled:
            terms["invariance"] = self._invariance(outputs, kinds), 1.0
        if outputs.relations is not None:
            terms["relational"] = relational(outputs.relations, self.loss.relational), self.loss.relational.weight
        if self.loss.hard_negatives.enabled:
            unit = self.contrast is not None
            raw = hard_negatives(outputs, self.loss.hard_negatives.temperature, unit)
            terms["hard_negatives"] = raw, self.loss.hard_negatives.weight
        if outputs.quantized.commitment is not None:
            terms["commitment"] = outputs.quantized.commitment, commitment
        return torch.stack([raw * weight for raw, weight in terms.values()]).sum(), terms

    def _prediction(self, outputs: Outputs) -> torch.Tensor:
        if self.contrast is not None:
            return self.contrast(outputs.prediction, outputs.target)
        return functional.mse_loss(outputs.prediction, outputs.target)

    def _sigreg(self, outputs: Outputs, slices: torch.Tensor) -> Terms:
        """The mean over frame positions, each tested by itself; a teacher's target has no gradient: left out."""
        frames = outputs.context.transpose(0, 1)
        if not self.loss.teacher.enabled:
            frames = torch.cat([frames, outputs.target[None]])
        size = len(outputs.context) * world_size()
        if self.loss.prediction == "lejepa":
            assert self.loss.lambda_sigreg is not None
            weight, statistic = self.loss.lambda_sigreg * PRIMARY_SIGREG / size, sigreg
        elif not self.loss.sigreg.enabled:
            return {}
        elif self.loss.sigreg.form == "published":
            weight, statistic = self.loss.sigreg.weight * PRIMARY_SIGREG / size, sigreg
        else:
            weight, statistic = self.loss.sigreg.weight, sigreg_normalised
        return {"sigreg": (statistic(frames, slices).mean(), weight)}

    def _invariance(self, outputs: Outputs, kinds: torch.Tensor) -> torch.Tensor:
        assert outputs.view is not None
        query = functional.normalize(outputs.context[:, -1], dim=-1)
        distance = (query - functional.normalize(outputs.view, dim=-1)).square().sum(-1)
        each = self.loss.invariance.colour, self.loss.invariance.translation, self.loss.invariance.symmetry
        weights = sum(weight * (kinds == kind) for kind, weight in enumerate(each))
        # Each sequence shows one kind of three: times 3 for the mean over sequences of every kind.
        return (3 * weights * distance).mean()


def hard_negatives(outputs: Outputs, temperature: float, unit: bool) -> torch.Tensor:
    """Nats to tell the target from its near misses and from the frames of its own context, by the prediction.

    -log softmax of minus the squared distance to the prediction, per dimension and over the temperature. With `unit`
    all vectors are brought to length sqrt(D). A context frame that is the target itself is no negative.
    """
    others = torch.cat([outputs.context.transpose(0, 1), outputs.near_misses])
    prediction, target = outputs.prediction, outputs.target
    if unit:
        scale = target.shape[-1] ** 0.5
        prediction, target, others = (scale * functional.normalize(x, dim=-1) for x in (prediction, target, others))
    same = (others.detach() - target.detach()).square().mean(-1) < SAME
    distances = (prediction - torch.cat([target[None], others])).square().mean(-1)
    logits = -distances / temperature
    # Finite, as minus infinity has no gradient.
    logits = torch.cat([logits[:1], logits[1:].masked_fill(same, -1e4)])
    return (logits.logsumexp(0) - logits[0]).mean()


def relational(relations: Relations, settings: Relational) -> torch.Tensor:
    """How much distances between adjacent objects differ between context and target, over `weight`.

    D (F + 1, B, S, S): squared distances of object embeddings, zero where not adjacent. The mean squared difference
    between the mean over context frames and the target, plus `self_share` times the variance over context frames.
    Distances are over sqrt(W), which brings the term near the analysed run's, whose code vectors were shorter than
    ours. The raw form grows with the fourth power of the embeddings' scale.
    """
    objects = relations.objects.float() / relations.objects.shape[-1] ** 0.25
    norms = objects.square().sum(-1)
    distances = norms[..., :, None] + norms[..., None, :] - 2 * objects @ objects.transpose(-1, -2)
    distances = distances.clamp(min=0) * relations.adjacent
    if settings.form == "normalised":
        seen = relations.adjacent.any(-1)[..., None]
        count = summed(seen.sum()).clamp(min=1) * objects.shape[-1]
        mean = summed((objects * seen).sum()) / count
        distances = distances / summed(((objects - mean).square() * seen).sum()).div(count).add(1e-6)
    context, target = distances[:-1], distances[-1]
    error = (context.mean(0) - target).square().mean()
    return error + settings.self_share * context.var(0, unbiased=False).mean()


def global_terms(
    total: torch.Tensor, terms: Terms, others: Sequence[torch.Tensor] = ()
) -> tuple[torch.Tensor, Terms, list[torch.Tensor]]:
    """The same of the global batch, detached, from each rank's: every term is a mean over its own rows.

    And the means over ranks of other tensors, which cost no exchange of their own.
    """
    raw = [value.detach() for value, _ in terms.values()]
    mean, *means = mean_of_all([total.detach(), *raw, *others])
    of_all = zip(terms.items(), means, strict=False)
    return mean, {name: (value, weight) for (name, (_, weight)), value in of_all}, means[len(raw) :]


def prediction_error(outputs: Outputs, phase: Phase) -> torch.Tensor:
    """Squared error of the prediction over the variance of the target: 1 where it is no better than the mean.

    On unit-length embeddings under InfoNCE, which sees directions only. Over the batches of all ranks.
    """
    return relative_error(gathered(error_moments(outputs, phase)[None]), len(outputs.target) * world_size())


def error_moments(outputs: Outputs, phase: Phase) -> torch.Tensor:
    """(2, 1 + D): mean and variance over this rank's rows of the squared error of a prediction, and of the target."""
    prediction, target = outputs.prediction.detach().float(), outputs.target.detach().float()
    if phase.loss.prediction == "infonce":
        prediction, target = functional.normalize(prediction, dim=-1), functional.normalize(target, dim=-1)
    return own_moments(torch.cat([(prediction - target).square().mean(1, keepdim=True), target], 1))


def relative_error(moments: torch.Tensor, rows: int) -> torch.Tensor:
    """`prediction_error` of so many rows, from the `error_moments` (W, 2, 1 + D) of all ranks."""
    mean, variance = merged(moments)
    return mean[0] / (variance[1:].mean() * rows / (rows - 1)).clamp(min=1e-12)
