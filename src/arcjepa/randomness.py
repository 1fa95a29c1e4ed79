"""Random numbers as pure functions of (seed, stream, step): no generator state to lose, the same on every device."""

import math

import torch

from arcjepa import kernels

Number = int | torch.Tensor
Key = tuple[Number, int, Number]
"""(seed, stream, step), each a non-negative integer; seed and step may be on the device, and the step of many steps."""

_GOLDEN, _MIX_1, _MIX_2 = kernels.SPLITMIX.values()


def hashes(key: Key, shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """64 random bits per element as int64 of `shape`; of many steps (n,) (n, *shape).

    SplitMix64 (Steele, Lea, Flood 2014) in counter form: element i of a key is mix(mix(key) + i * golden).
    """
    seed, stream, step = key
    if isinstance(seed, torch.Tensor) and isinstance(step, torch.Tensor) and step.is_cuda and step.dim() == 0:
        # One kernel, where the compiler would spend seconds on the arithmetic of all that is drawn in a step.
        return kernels.hashes(seed, stream, step, math.prod(shape)).reshape(shape)
    start = torch.zeros((), dtype=torch.int64, device=device)
    for part in key:
        start = _mix(start + (start.new_zeros(()) + part + 1) * _GOLDEN)
    # `| 0` makes plain numbers of what the compiler would fold into its own index arithmetic, which may not overflow.
    index = torch.arange(1, math.prod(shape) + 1, dtype=torch.int64, device=device) | 0
    return _mix(start[..., None] + index * _GOLDEN).reshape(*start.shape, *shape)


def uniform(key: Key, shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """float64 in [0, 1), 53 random bits each."""
    return _shift_right(hashes(key, shape, device), 11).double() * 2.0**-53


def normal(key: Key, shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """float32 from N(0, 1), by Box-Muller."""
    u = uniform(key, (2, *shape), device)
    return (torch.sqrt(-2 * torch.log1p(-u[0])) * torch.cos(2 * math.pi * u[1])).float()


def integers(key: Key, high: int, shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """int64 in [0, high)."""
    return (uniform(key, shape, device) * high).long()


def permutations(key: Key, count: int, size: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """(count, size) int64: a random permutation of 0..size-1 per row."""
    return hashes(key, (count, size), device).argsort(dim=-1)


def _shift_right(x: torch.Tensor, bits: int) -> torch.Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: torch.Tensor) -> torch.Tensor:
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)
