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


def make_optimizer(modules: list[nn.Module], phase: Phase) -> torch.optim.Optimizer:
    """AdamW; norms, biases and scalars are not decayed."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": phase.optimizer.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=phase.optimizer.lr, fused=True)
