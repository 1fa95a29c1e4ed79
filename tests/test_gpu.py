"""A GPU that is demanded and not there is refused in no time; one that may be there is left to torch."""

import ctypes
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from arcjepa import gpu
from arcjepa.errors import UserError


class Driver:
    """A driver that starts with a status and counts some GPUs."""

    def __init__(self, status: int, count: int) -> None:
        self.status, self.count = status, count

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        return self.status

    def cuDeviceGetCount(self, count: object) -> int:
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self.count
        return 0


def install(monkeypatch: pytest.MonkeyPatch, torch: str | None, driver: Driver | None, platform: str = "linux") -> None:
    def version(name: str) -> str:
        if torch is None:
            raise PackageNotFoundError(name)
        return torch

    def load(name: str) -> Driver:
        if driver is None:
            raise OSError(name)
        return driver

    monkeypatch.setattr(gpu, "version", version)
    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(sys, "platform", platform)


@pytest.mark.parametrize(
    ("torch", "driver", "lack"),
    [
        ("2.9.0+cpu", Driver(0, 1), "without CUDA"),
        ("2.9.0", None, "no NVIDIA driver"),
        ("2.9.0", Driver(100, 0), "finds no GPU"),
        ("2.9.0+cu128", Driver(0, 0), "finds no GPU"),
    ],
)
def test_what_lacks_is_named(monkeypatch: pytest.MonkeyPatch, torch: str, driver: Driver | None, lack: str) -> None:
    install(monkeypatch, torch, driver)
    with pytest.raises(UserError, match=rf"params\.yaml: device: is cuda, but .*{lack}; allowed are auto, cpu"):
        gpu.check_gpu()


@pytest.mark.parametrize(
    ("torch", "driver", "platform"),
    [
        ("2.9.0", Driver(0, 2), "linux"),
        ("2.9.0+rocm6.4", None, "linux"),
        (None, None, "linux"),
        ("2.9.0", None, "darwin"),
    ],
)
def test_what_may_be_there_is_left_to_torch(
    monkeypatch: pytest.MonkeyPatch, torch: str | None, driver: Driver | None, platform: str
) -> None:
    install(monkeypatch, torch, driver, platform)
    gpu.check_gpu()


def test_torch_is_not_imported() -> None:
    show = "import sys\nfrom arcjepa import gpu\ngpu._lack()\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
