"""Ranks for tests: processes on this machine that form a group, and what each of them found."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed, multiprocessing


def _rank(
    number: int, size: int, store: str, folder: Path, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=number, world_size=size)
    torch.save(work(*arguments), folder / f"{number}.pt")
    distributed.destroy_process_group()


def on_ranks(folder: Path, size: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work(*arguments)`, a function of a module, returns on each of so many ranks: tensors, numbers, text."""
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory() as place:
        multiprocessing.spawn(_rank, (size, f"{place}/store", folder, work, arguments), nprocs=size)
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in range(size)]
