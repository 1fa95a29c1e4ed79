"""What this machine says of itself, asked of other programs and of files: importing torch may hang on a sick one."""

import errno
import re
import stat
import subprocess
import sys
from pathlib import Path

WAIT = 10
"""Seconds that another program may take to answer."""
LARGEST = 2**24
"""Bytes of a file that is small wherever it is sound."""
ASK_DRIVER = """
import ctypes
driver, able, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_int()
driver.cuDriverGetVersion(ctypes.byref(able))
driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
print(able.value, count.value)
"""
"""A program that prints the version of CUDA that the driver can, and the number of GPUs."""


def ended(*command: str) -> subprocess.CompletedProcess[str] | None:
    """A program with its status and what it printed; None where it takes too long. Errors: OSError if none starts."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=WAIT)
    except subprocess.TimeoutExpired:
        return None


def ask(*command: str) -> str | None:
    """What a program prints; None where it fails, or takes too long."""
    try:
        done = ended(*command)
    except OSError:
        return None
    return None if done is None or done.returncode else done.stdout


def size_of(path: Path) -> int:
    """Bytes of a file. Errors: OSError for what is none, too, as a pipe is waited for and a device may have no end."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "is no file", str(path))
    return facts.st_size


def check_small(path: Path) -> None:
    """Errors: OSError for what is no file, or a large one."""
    if (size := size_of(path)) > LARGEST:
        raise OSError(errno.EFBIG, f"{size} bytes, which are too many", str(path))


def read_small(path: Path) -> bytes:
    """The bytes of a file that is small wherever it is sound. Errors: OSError, as `check_small` too."""
    check_small(path)
    return path.read_bytes()


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
