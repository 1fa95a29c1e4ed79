"""Where tensors live."""

import torch

from arcjepa.errors import UserError


def resolve_device(device: str) -> str:
    """cpu or cuda. Errors: UserError where a GPU is demanded and there is none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("params.yaml: device: is cuda, and torch finds no GPU here; allowed are auto, cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
