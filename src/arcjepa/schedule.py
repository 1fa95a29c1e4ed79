"""How parameters move: the optimiser, and its learning rate over the steps."""

import math

import torch
from torch import nn

from arcjepa.settings import Phase

WARM_UP, FINAL_RATE = 0.05, 1e-3


def learning_rate(step: int, total: int, peak: float) -> float:
    """Linear warm-up over 5 % of the steps, then cosine to a thousandth of the peak; `step` counts from 0."""
    warm = max(1, round(WARM_UP * total))
    if step < warm:
        return peak * (step + 1) / warm
    progress = (step - warm) / max(1, total - warm)
    return peak * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress)))


def make_optimizer(modules: list[nn.Module], phase: Phase, rate: torch.Tensor) -> torch.optim.Optimizer:
    """AdamW at a learning rate that may change in place; norms, biases (those of attention too), positions and
    scalars are not decayed."""
    named = [(name, p) for module in modules for name, p in module.named_parameters() if p.requires_grad]
    decayed = [p for name, p in named if p.ndim >= 2 and ".bias." not in name and not name.endswith("position")]
    chosen = {id(p) for p in decayed}
    groups = [
        {"params": decayed, "weight_decay": phase.optimizer.weight_decay},
        {"params": [p for _, p in named if id(p) not in chosen], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, fused=True, capturable=rate.is_cuda)
