"""Processes that train together, each on its own rows of the same batches, and what they know of one another.

One process is a group of one, for which everything here gives back what it is given. Of a global batch of B sequences,
rank r of W has those at r, r + W, r + 2 W, ...: so `gathered` has them in the global order whatever the blocks are that
a tensor is made of. Gradients of ranks are averaged (`mean_of_all`), so that a loss that is a mean over the local rows
has the gradient of the mean over all.
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

# As PyTorch calls it since 2.13.
_all_gather = getattr(distributed, "all_gather_single", None) or distributed.all_gather_into_tensor


MOST = 8
"""Ranks of a group: what is drawn or cut for all has a size that any number of them up to this divides."""
LATE = "timed out waiting for a rank"
LAST_RESORT = 60.0
"""Seconds after which NCCL aborts a process, with pages of words, that still waits when it should have ended itself."""
PIECE = 2**14
"""Numbers that a processor of a GPU copies at a time."""
_patience = {"seconds": 600.0}
_on_cpu: list[distributed.ProcessGroup] = []
"""Where there are GPUs: the group for exchanges between processors, with a deadline of its own."""


def form_group(seconds: float) -> None:
    """Join the group that the environment names, as torchrun does; after so long, one that does not answer is dead."""
    _patience["seconds"] = seconds
    if not torch.cuda.is_available():
        distributed.init_process_group("gloo", timeout=timedelta(seconds=seconds))
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl", timeout=timedelta(seconds=seconds + LAST_RESORT))
    _on_cpu[:] = [distributed.new_group(backend="gloo", timeout=timedelta(seconds=seconds))]


def _group(x: torch.Tensor) -> distributed.ProcessGroup | None:
    return _on_cpu[0] if _on_cpu and x.device.type == "cpu" else None


def wait_for_device() -> None:
    """Before a GPU is asked for a number: it may be waiting for a rank, in recorded work that nothing else watches.

    Errors: RuntimeError where it waits for too long.
    """
    if world_size() == 1 or not torch.cuda.is_available():
        return
    done, end = torch.cuda.Event(), time.monotonic() + _patience["seconds"]
    done.record()
    while not done.query():
        if time.monotonic() > end:
            raise RuntimeError(LATE)
        time.sleep(0.0005)


def world_size() -> int:
    """Number of ranks, 1 outside of a process group."""
    return distributed.get_world_size() if _grouped() else 1


def rank() -> int:
    """Which of them this process is, 0 outside of a process group."""
    return distributed.get_rank() if _grouped() else 0


def _grouped() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def own(x: torch.Tensor) -> torch.Tensor:
    """The rows of x (B, ...) of the global batch, or of several such one after the other, that are this rank's."""
    return x[rank() :: world_size()]


def gathered(x: torch.Tensor) -> torch.Tensor:
    """The rows (B / W, ...) of all ranks as they are in the global batch (B, ...); gradients find their way back."""
    return x if world_size() == 1 else _Gathered.apply(x)


def summed(x: torch.Tensor) -> torch.Tensor:
    """The sum of x over all ranks, on each of them; gradients find their way back."""
    return x if world_size() == 1 else _Summed.apply(x)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        everyone = x.new_empty(world_size() * len(x), *x.shape[1:])
        _all_gather(everyone, x.contiguous(), group=_group(x))
        return everyone.unflatten(0, (world_size(), -1)).transpose(0, 1).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total, group=_group(total))
        return own(total)


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return _total(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return _total(gradients[0])


def _total(x: torch.Tensor) -> torch.Tensor:
    x = x.contiguous().clone()
    distributed.all_reduce(x, group=_group(x))
    return x


def mean_and_variance(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the rows x (M, C) of all ranks, M alike: (C,) and (C,), in one exchange; gradients find their way back."""
    return merged(gathered(own_moments(x)[None]))


def own_moments(x: torch.Tensor) -> torch.Tensor:
    """(2, C): mean and variance of the rows x (M, C) of this rank."""
    return torch.stack([x.mean(0), x.var(0, unbiased=False)])


def merged(moments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (C,) of all rows, from the `own_moments` (W, 2, C) of all ranks, whose rows are alike."""
    means, variances = moments.unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


@torch.no_grad()
def placed(x: torch.Tensor) -> torch.Tensor:
    """x in this rank's place of (W, ...), whose mean over all by `mean_of_all` holds the x of every rank in its own."""
    if world_size() == 1:
        return x[None]
    places = x.new_zeros(world_size(), *x.shape)
    places[rank()] = world_size() * x
    return places


@torch.no_grad()
def mean_over_ranks(x: torch.Tensor) -> torch.Tensor:
    """The mean of x over all ranks, on each of them; every rank has to ask."""
    return x if world_size() == 1 else _total(x) / world_size()


@torch.no_grad()
def mean_of_all(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Of each of these tensors the mean over all ranks, in one exchange: float32, one after the other in memory."""
    if world_size() == 1 or not tensors:
        return list(tensors)
    together = torch.empty(sum(x.numel() for x in tensors), device=tensors[0].device)
    parts = together.split([x.numel() for x in tensors])
    # In pieces, as a large one is copied by few processors, and not by `cat`, which takes its time with many tensors.
    torch._foreach_copy_(_pieces(parts), _pieces([x.detach().reshape(-1) for x in tensors]))
    if together.is_cuda:
        distributed.all_reduce(together, distributed.ReduceOp.AVG)
    else:
        distributed.all_reduce(together, group=_group(together))
        together.div_(world_size())
    return [part.view(x.shape) for part, x in zip(parts, tensors, strict=True)]


def _pieces(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [piece for x in tensors for piece in x.split(PIECE)]


@torch.no_grad()
def largest(x: torch.Tensor) -> torch.Tensor:
    """The elementwise maximum of x over all ranks."""
    if world_size() == 1:
        return x
    x = x.contiguous().clone()
    distributed.all_reduce(x, distributed.ReduceOp.MAX, group=_group(x))
    return x


@torch.no_grad()
def from_first(x: torch.Tensor) -> torch.Tensor:
    """x of rank 0, which all others overwrite theirs with."""
    if world_size() > 1:
        distributed.broadcast(x, 0, group=_group(x))
    return x


@torch.no_grad()
def all_rows(x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Rows x (n, W) of all ranks, n not alike, ordered by the frame (n,) of the global batch that each belongs to.

    `frames` counts those of this rank: its frame m is frame W m + r of all.
    """
    if world_size() == 1:
        return x
    count = torch.tensor([len(x)], device=x.device)
    room = int(largest(count))
    padded = x.new_zeros(room, x.shape[1])
    places = frames.new_full((room,), torch.iinfo(frames.dtype).max)
    padded[: len(x)], places[: len(x)] = x, frames * world_size() + rank()
    order = gathered(places).sort(stable=True)
    return gathered(padded)[order.indices[: int(_total(count))]]
