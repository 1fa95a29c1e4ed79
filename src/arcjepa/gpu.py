"""Whether there is a GPU, asked of its driver in milliseconds: torch, which has the last word, takes seconds."""

import ctypes
import sys
from importlib.metadata import PackageNotFoundError, version

from arcjepa.errors import UserError


def check_gpu() -> None:
    """UserError where torch would find no GPU. Others than those of NVIDIA under Linux are left to torch."""
    if lack := _lack():
        raise UserError(f"params.yaml: device: is cuda, but {lack}; allowed are auto, cpu")


def _lack() -> str:
    """What is not there for a GPU to be used; CUDA_VISIBLE_DEVICES counts, as it does for torch."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        return ""
    if sys.platform != "linux" or "rocm" in torch:
        return ""
    if torch.endswith("+cpu"):
        return f"torch {torch} is without CUDA"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver"
    count = ctypes.c_int()
    found = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return "" if found else "the driver finds no GPU"
