"""How many processes train together, and what they know of one another's batches. One process is a group of one."""

import torch
from torch import distributed


def world_size() -> int:
    """Number of ranks, 1 outside of a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


@torch.no_grad()
def mean_over_ranks(x: torch.Tensor) -> torch.Tensor:
    """The mean of x over all ranks, on each of them; every rank has to ask."""
    if world_size() == 1:
        return x
    x = x.clone()
    distributed.all_reduce(x)
    return x / world_size()
