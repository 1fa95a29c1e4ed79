"""Where tensors live."""

import pytest
import torch

from arcjepa.device import resolve_device
from arcjepa.errors import UserError


def test_a_gpu_is_taken_where_there_is_one_and_missed_where_it_is_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("cuda") == "cuda"
    assert resolve_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(UserError, match=r"device: is cuda.*allowed are auto, cpu"):
        resolve_device("cuda")
