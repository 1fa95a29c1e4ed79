"""The kernels for GPUs against plain PyTorch, by Triton's interpreter where there is no GPU.

Skipped where Triton is not installed; PyTorch for GPUs brings it along.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


@pytest.mark.parametrize("part", ["attention", "pool", "paint", "hashes", "epps_pulley", "cos_sin"])
def test_kernels_are_the_plain_computation(part: str) -> None:
    """In a process of its own, as Triton asks once whether to interpret."""
    script = Path(__file__).parent / "kernel_cases.py"
    done = subprocess.run(
        [sys.executable, str(script), part],
        env=os.environ | ({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
