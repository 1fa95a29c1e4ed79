"""Changes to try, written as lines to type that this project's params.yaml accepts."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arcjepa.config import from_mapping
from arcjepa.errors import UserError
from arcjepa.params import leaf, put

_ABSENT = object()


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
    unknown: str = ""
    """What the run is called that params.yaml does not know, so that another phase or scale stands for it."""

    def line(self, changes: Mapping[str, Any]) -> str:
        """`changes`: leaves of a phase ("optimizer.lr"), of the data or of the top level, with their new values.

        A scenario is trained by no default target, so that its line asks Snakemake for a set that has it.
        """
        settings = {self.key(leaf): value for leaf, value in changes.items()}
        if self.tree and self.scale != self.tree["scale"]:
            settings = {"scale": self.scale, **settings}
        if self.phase in self.tree.get("scenarios", {}):
            return f"snakemake {self._target()} --config {_config(settings)}"
        return "dvc exp run " + " ".join(f"-S {key}={_text(value)}" for key, value in settings.items())

    def key(self, leaf: str) -> str:
        """Where the leaf is set for this phase: the overlay that has it, else one that is put there (Hydra's plus)."""
        scenario = self.phase in self.tree.get("scenarios", {})
        section = "scenarios" if scenario else "phases"
        own, shared = f"{section}.{self.phase}.{leaf}", f"base.{leaf}"
        if self._has(own):
            return self._at_scale(own)
        if leaf == "lambda_sigreg" and scenario:
            return f"+{own}"
        if leaf == "lambda_sigreg" or leaf.split(".")[0] in self.tree:
            return self._at_scale(leaf)
        if not self.tree:
            return f"++{own}"
        if self.tree[section][self.phase].get("parent") != "base" or not self._has(shared):
            return f"+{own}"
        # All phases descend from the first, so that their common base is the same, and shorter.
        return self._at_scale(shared)

    def _at_scale(self, path: str) -> str:
        """The leaf's value for this scale, where it has several; put there where it has that of the scale's parent."""
        if not any(self._has(f"{path}.{scale}") for scale in self.tree.get("scales", {})):
            return path
        return f"{path}.{self.scale}" if self._has(f"{path}.{self.scale}") else f"+{path}.{self.scale}"

    def _target(self) -> str:
        """The smallest set that has the scenario; the file of its first diagnosis where none has."""
        sets = {name: members for name, members in self.tree.get("sets", {}).items() if self.phase in members}
        return min(
            sets, key=lambda name: len(sets[name]), default=f"results/runs/{self.scale}/{self.phase}/seed0/diagnosis.md"
        )

    def accepted(self, changes: Mapping[str, Any]) -> bool:
        """Whether params.yaml allows it, in this phase and in all others that share the leaf."""
        tree = copy.deepcopy(dict(self.tree)) | {"scale": self.scale}
        try:
            from_mapping(put(tree, {self.key(name).lstrip("+"): value for name, value in changes.items()}))
        except UserError:
            return False
        return True

    def _has(self, path: str) -> bool:
        return leaf(self.tree, path, _ABSENT) is not _ABSENT


def _config(settings: Mapping[str, Any]) -> str:
    """Settings as `snakemake --config` takes them: a mapping for each key of the top level."""
    tree = put({}, {key.lstrip("+"): value for key, value in settings.items()})
    return " ".join(
        f"'{key}={_flow(value)}'" if isinstance(value, dict) else f"{key}={_text(value)}" for key, value in tree.items()
    )


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
