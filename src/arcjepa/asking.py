"""What this machine says of itself, asked of other programs and of files: importing torch may hang on a sick one."""

import re
import subprocess
import sys
from pathlib import Path

WAIT = 10
"""Seconds that another program may take to answer."""
ASK_DRIVER = """
import ctypes
driver, able, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_int()
driver.cuDriverGetVersion(ctypes.byref(able))
driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
print(able.value, count.value)
"""
"""A program that prints the version of CUDA that the driver can, and the number of GPUs."""


def ask(*command: str) -> str | None:
    """What a program prints; None where it fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def driver() -> tuple[str, int]:
    """The CUDA that NVIDIA's driver can, "" for no driver, and how many GPUs it finds; asked by another process."""
    answer = (ask(sys.executable, "-c", ASK_DRIVER) or "").split()
    return (f"{int(answer[0]) // 1000}.{int(answer[0]) % 1000 // 10}", int(answer[1])) if len(answer) == 2 else ("", 0)


def torch_cuda() -> str:
    """The CUDA that torch was made for, from its files; "" for none."""
    files = [Path(place, "torch/version.py") for place in sys.path]
    for file in filter(Path.is_file, files):
        found = re.search(r"^cuda[^=]*= '([\d.]+)'", file.read_text(encoding="utf-8"), re.MULTILINE)
        return found[1] if found else ""
    return ""
