"""Ranks for tests: processes on this machine that form a group, and what each of them found."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing


def _rank(
    number: int, size: int, port: int, folder: Path, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    distributed.init_process_group("gloo", rank=number, world_size=size)
    torch.save(work(*arguments), folder / f"{number}.pt")
    distributed.destroy_process_group()


def on_ranks(folder: Path, size: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work(*arguments)`, a function of a module, returns on each of so many ranks: tensors, numbers, text."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_rank, (size, port, folder, work, arguments), nprocs=size)
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in range(size)]
