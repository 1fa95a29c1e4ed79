"""params.yaml for benchmarks: a scale, and leaves put over it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import unchecked
from benchmarks.measuring import ROOT

if TYPE_CHECKING:
    from arcjepa.config import Params


def params_at(scale: str, changes: dict[str, Any] | None = None, path: Path = ROOT / "params.yaml") -> "Params":
    """The settings at a scale, with `changes` by dotted name ("phases.phase3.sequence.window": 7)."""
    unchecked.install()
    from arcjepa.config import from_mapping
    from arcjepa.params import put, read_params

    return from_mapping(put(read_params(path), {"scale": scale, **(changes or {})}))
