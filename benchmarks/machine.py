"""What this machine is, and what it can do at best: matrix products and copies, which other figures are shares of."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import torch

from benchmarks.measuring import Job, Row, burst, seconds

TITLE = "What the machine can do"
CHARTS: tuple[()] = ()
ABOUT = "Median of 5. GPU: its own clock. CPU: CPU time of one thread. A copy's bytes are those read and those written."
PACKAGES = ("torch", "numpy", "numba", "lightly", "scikit-image", "scipy", "connected-components-3d", "reasoning-gym")
SIDE = {"cuda": 8192, "cpu": 2048}
ROUNDS = 5


def measure(job: Job) -> Iterator[Row]:
    """The peak rates of the device."""
    torch.set_num_threads(1)
    job.turn()
    side = 512 if job.small else SIDE[job.device]
    kind = "bf16" if job.device == "cuda" else "float32"
    values: dict[str, float | str] = {"TFLOP/s": product_rate(job.device, side)}
    yield Row("machine", f"matrix product, {kind}", {"side": side}, values)
    if job.device == "cuda":
        yield Row("machine", "copy", {"MiB": 1024}, {"TB/s": _copy_rate()})


def product_rate(device: str, side: int = 0) -> float:
    """TFLOP/s of a square matrix product of random numbers: bfloat16 on a GPU, float32 elsewhere."""
    side = side or SIDE[device]
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    a @ b
    found = [burst(lambda: a @ b, 10) / 1000 if a.is_cuda else seconds(lambda: a @ b) for _ in range(ROUNDS)]
    return 2 * side**3 / median(found) / 1e12


def _copy_rate() -> float:
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * 2**30 / median(burst(lambda: target.copy_(source), 10) for _ in range(ROUNDS)) / 1e9


def describe(device: str) -> str:
    """One line: processor, memory, GPU, versions."""
    parts = [_processor(), f"{os.cpu_count()} cores", f"{_memory_gib():.0f} GiB", f"Python {platform.python_version()}"]
    if device == "cuda" and torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        count, size = torch.cuda.device_count(), gpu.total_memory / 2**30
        parts.insert(0, f"{count} x {gpu.name} ({size:.0f} GiB), CUDA {torch.version.cuda}")
    return ", ".join(parts + [f"{name} {found}" for name in PACKAGES if (found := _version(name))])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
