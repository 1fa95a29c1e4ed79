"""When the record of a run counts as faulty: the thresholds of the diagnosis, each documented beneath its field."""

from typing import Annotated

from pydantic import Field, model_validator

from arcjepa.settings import NonNegative, Number, Positive, Settings, Share

Factor = Annotated[Number, Field(gt=1)]


class Thresholds(Settings):
    gaps: Annotated[int, Field(ge=0)]
    """Missing epochs, values that are not finite, incomplete record: how many of each are no fault."""
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
    stalled: Share
    """Plateau: last share of the epochs in which neither validation nor training need to improve."""
    left_behind: Share
    """Plateau: last share of the epochs in which validation need not improve while training falls by a tenth or more,
    and validation by less than a tenth of that."""
    memorisation: Factor
    """Memorisation: validation error over training error once validation improves no more; twice that while it does,
    and three quarters of that where it gets worse."""
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
    invariance: Share
    """Invariance not learned: share of what views unrelated to their frames have that the loss may end at."""
    temperature_share: Share
    """Temperature at a bound: last share of the epochs that it may spend there."""
    collapse_variance: Positive
    """Complete collapse: variance of the embeddings, mean over dimensions, at the end."""
    shrunk_variance: Share
    """Complete collapse: that variance over what it was, or under LeJEPA over the 1 that SIGReg asks for."""
    collapse_rank: Share
    """Dimensional collapse: effective rank at the end over what it could be, the smaller of dimensions and batch."""
    rank_fall: Share
    """Dimensional collapse: effective rank at the end over the largest that it was once it had left its start."""
    codebook_jump: Factor
    """Codebook discontinuity: use of the codebook over that of the rows before, where it falls back after; or the
    inverse, where a refresh makes it fall for good."""
    codebook_usage: Share
    """Codebook collapse: share of the codes in use at the end."""
    codebook_perplexity: Share
    """Codebook collapse: perplexity over the number of codes at the end, codes that are hardly used counting little; a
    perplexity of 2 in a small codebook."""
    gradient_spike: Factor
    """Gradient spikes: mean gradient norm over the median of the calm epochs some time before, for three epochs; a
    tenth more for two, three tenths more for one."""
    gradient_peak: Factor
    """Gradient spikes: the same of the largest norm of an epoch, where the mean stays calm."""
    gradient_growth: Factor
    """Growing gradients: mean gradient norm at the end over its smallest."""
    gradient_vanished: Share
    """Vanished gradient: mean gradient norm at the end over its largest."""
    clipped_share: Share
    """Gradients above the clip: share of the steps that every epoch clips."""
    learning_rate: Share
    """Learning rate off its schedule: share of optimizer.lr that it reaches once the warm-up is over."""
    queue_fill: Share
    """Queue not filled: share of the negatives pushed so far, or of the queue, that it holds at the end."""
    admitted: Share
    """Curriculum stuck: share of the tasks that it admits once its last band is due."""
    throughput: Share
    """Slower epochs: sequences per second in the last third of the epochs over those in the fastest third."""

    @model_validator(mode="after")
    def _ordered(self) -> "Thresholds":
        for low, high in (("explosion_start", "explosion"), ("lambda_min", "lambda_max")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} = {getattr(self, low)} must not exceed {high} = {getattr(self, high)}")
        return self
