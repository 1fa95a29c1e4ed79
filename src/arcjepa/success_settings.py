"""When a target of the analysis that has no number of its own counts as met: the thresholds of its formulas."""

from arcjepa.diagnosis_settings import Factor
from arcjepa.settings import Count, NonNegative, Positive, Settings, Share


class Success(Settings):
    stable: Factor
    """Stable: largest final over best validation loss, of the loss that early stopping watches."""
    explosion: Factor
    """No explosion: largest value of a term over its smallest one before, after warm-up."""
    balance: Factor
    """No balancing issues: how many times its smallest value before a term may reach after warm-up, while its share of
    the total grows as much."""
    material: Share
    """Explosion and balance: a term counts where its share of the total reaches this."""
    warm_up: Share
    """First share of the epochs, or of the recorded steps, that no formula reads."""
    settled: Share
    """Last share of the recorded steps, whose mean is the level that the use of the codebook settles at."""
    usage_fall: Share
    """Stable codebook: how far the share of codes in use may fall below an earlier one, after warm-up."""
    chance_gap: NonNegative
    """Losses are compared where ln(candidates) differs by no more nats from the analysed run's."""
    heuristics: Count
    """Alignment: most heuristics that are still half heuristic-free; none is 1."""
    core_lines: Positive
    """Alignment: most lines of code of a minimal training core. The limit is ours: the analysis says only what it calls
    low, up to which a core is half minimal."""
