"""When the record of a run counts as faulty: the thresholds of the diagnosis, each documented beneath its field."""

from typing import Annotated

from pydantic import Field, model_validator

from arcjepa.settings import NonNegative, Number, Positive, Settings, Share

Factor = Annotated[Number, Field(gt=1)]


class Thresholds(Settings):
    explosion_start: Factor
    """Relational explosion: it starts where the term passes this many times its smallest value so far."""
    explosion: Factor
    """Relational explosion: it is one where the peak reaches this many times the smallest value before it."""
    relational_share: Share
    """Relational share: largest share of the total that the relational loss may grow to."""
    hidden_rise: Share
    """Hidden component: rise of one term, as a share of the total, that falling terms may cancel."""
    loss_rise: Factor
    """Rising training loss: final total over its smallest."""
    plateau: Share
    """Plateau: how far the final validation loss may be above the best one, as a share of it; half as much again, and
    more than its scatter explains, where too few epochs are recorded to tell how noisy it is."""
    memorisation: Factor
    """Memorisation: validation error over training error once validation improves no more; twice that while it does."""
    view_gap: Factor
    """Broken relation: training error over validation error at the end; training sees views, validation none."""
    unpredicted: Positive
    """Broken relation: squared prediction error over the variance of the target at the end; 1 is the mean."""
    chance: Share
    """Contrastive loss at chance: share of ln(candidates) that it ends at."""
    sigreg_motion: Share
    """Saturated SIGReg: the range of its values over their median that a term which regularises has at least."""
    lambda_min: NonNegative
    """Lambda out of range: smallest lambda_sigreg; lambda * N is 12.8 times it, and recipes break below about 0.5."""
    lambda_max: Positive
    """Lambda out of range: largest lambda_sigreg; above about 250, lambda * N breaks them too."""
    epps_pulley_excess: Positive
    """Epps-Pulley: how far the statistic may end above its Gaussian value of 1.05, per sequence of the batch, as it
    grows with N where embeddings are not Gaussian; 0.402 is a collapse to zero."""
    temperature_share: Share
    """Temperature at a bound: last share of the epochs that it may spend there."""
    collapse_variance: Positive
    """Complete collapse: variance of the embeddings, mean over dimensions, at the end."""
    collapse_rank: Share
    """Dimensional collapse: effective rank at the end over what it could be, the smaller of dimensions and batch."""
    codebook_jump: Factor
    """Codebook discontinuity: use of the codebook over that of the rows before, where it falls back after."""
    codebook_usage: Share
    """Codebook collapse: share of the codes in use at the end."""
    gradient_spike: Factor
    """Gradient spikes: mean gradient norm of an epoch over the median of the calm ones before it."""
    clipped_share: Share
    """Gradients above the clip: share of the steps that every epoch clips."""

    @model_validator(mode="after")
    def _ordered(self) -> "Thresholds":
        for low, high in (("explosion_start", "explosion"), ("lambda_min", "lambda_max")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} = {getattr(self, low)} must not exceed {high} = {getattr(self, high)}")
        return self
