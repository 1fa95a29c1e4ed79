"""Changes to try, written as `dvc exp run` lines that this project's params.yaml accepts."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arcjepa.config import from_mapping
from arcjepa.errors import UserError


@dataclass(frozen=True)
class Experiments:
    """Writes lines that change what one phase or scenario trains with, and as few others as can be."""

    phase: str = "baseline"
    scale: str = ""
    """The scale to run it at."""
    tree: Mapping[str, Any] = field(default_factory=dict)
    """params.yaml as it was read, scales included."""
    now: Mapping[str, Any] = field(default_factory=dict)
    """What the leaves were for the run, or are for its phase at that scale, by dotted name."""

    def line(self, changes: Mapping[str, Any]) -> str:
        """`changes`: leaves of a phase ("optimizer.lr"), of the data or of the top level, with their new values."""
        settings = {self.key(leaf): value for leaf, value in changes.items()}
        if self.tree and self.scale != self.tree["scale"]:
            settings = {"scale": self.scale, **settings}
        return "dvc exp run " + " ".join(f"-S {key}={_text(value)}" for key, value in settings.items())

    def key(self, leaf: str) -> str:
        """Where the leaf is set for this phase: the overlay that has it, else one that is put there (Hydra's plus)."""
        scale = f"scales.{self.scale}"
        section = "scenarios" if self.phase in self.tree.get("scenarios", {}) else "phases"
        own, shared = f"{section}.{self.phase}.{leaf}", f"base.{leaf}"
        if self._has(own):
            return own
        if leaf == "lambda_sigreg" or leaf.split(".")[0] in self.tree:
            return f"{scale}.{leaf}" if self._has(f"{scale}.{leaf}") else leaf
        if not self.tree:
            return f"++{own}"
        if self.tree[section][self.phase].get("parent") != "base" or not self._has(shared):
            return f"+{own}"
        # All phases descend from the first, so that their common base is the same, and shorter.
        return f"{scale}.{shared}" if self._has(f"{scale}.{shared}") else shared

    def accepted(self, changes: Mapping[str, Any]) -> bool:
        """Whether params.yaml allows it, in this phase and in all others that share the leaf."""
        tree = copy.deepcopy(dict(self.tree)) | {"scale": self.scale}
        for leaf, value in changes.items():
            *path, last = self.key(leaf).lstrip("+").split(".")
            inner = tree
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = value
        try:
            from_mapping(tree)
        except UserError:
            return False
        return True

    def _has(self, path: str) -> bool:
        inner: Any = self.tree
        for part in path.split("."):
            if not isinstance(inner, Mapping) or part not in inner:
                return False
            inner = inner[part]
        return True


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
