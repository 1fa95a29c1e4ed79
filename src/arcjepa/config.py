"""params.yaml as a whole, and how a phase's settings are put together from it.

`load(path)` reads it; `Params.phase_settings(name)` is what a phase trains with; `resolved(settings)` is the same as
plain values without the leaves of mechanisms that are off, which is what decides whether a result is current.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from arcjepa.data_settings import Data, Evaluation, TokenSettings
from arcjepa.diagnosis_settings import Thresholds
from arcjepa.errors import UserError
from arcjepa.params import did_you_mean, leaves, number_hint, overlay, read_params, repeated_leaves
from arcjepa.settings import NonNegative, Phase, Settings


class Params(Settings):
    """params.yaml with the scale's overlay applied."""

    scale: str
    phase: str
    lambda_sigreg: NonNegative
    device: Literal["auto", "cpu", "cuda"]
    """auto: the GPU where there is one; cuda: fail where there is none."""
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]
    data: Data
    tokens: TokenSettings
    base: dict[str, Any]
    phases: dict[str, dict[str, Any]]
    evaluation: Evaluation
    diagnosis: Thresholds

    @cached_property
    def names(self) -> list[str]:
        """Phases in the order of params.yaml."""
        return list(self.phases)

    def lineage(self, name: str) -> list[str]:
        """From the root ancestor to `name`. Errors: UserError for an unknown parent or a cycle."""
        chain: list[str] = []
        while name != "base":
            if name in chain:
                raise UserError(f"params.yaml: phases.{name}.parent: {' -> '.join([*chain, name])} is a cycle")
            if not isinstance(name, str) or name not in self.phases:
                hint = did_you_mean(str(name), [*self.names, "base"])
                where = f"phases.{chain[-1]}.parent: " if chain else ""
                raise UserError(f"params.yaml: {where}no phase {name!r}{hint}")
            chain.append(name)
            name = self.phases[name].get("parent", "")
        return chain[::-1]

    def phase_settings(self, name: str, where: str = "") -> Phase:
        """The settings that a phase trains with, validated. Errors: UserError naming the overlay and the leaf."""
        tree = self.base
        for ancestor in self.lineage(name):
            tree = overlay(tree, _changes(self.phases[ancestor]), f"phases.{ancestor}")
        loss = tree.get("loss")
        if isinstance(loss, Mapping) and "lambda_sigreg" in loss:
            raise UserError("params.yaml: base.loss.lambda_sigreg: unknown key; set lambda_sigreg at the top level")
        if isinstance(loss, Mapping) and loss.get("prediction") == "lejepa":
            tree = {**tree, "loss": {**loss, "lambda_sigreg": self.lambda_sigreg}}
        return _validated(Phase, tree, f"{where}phase {name}: ")

    def repetitions(self) -> list[str]:
        """Leaves of phase overlays that only repeat their parent's value."""
        found = []
        for name in self.names:
            tree = self.base
            for ancestor in self.lineage(name)[:-1]:
                tree = overlay(tree, _changes(self.phases[ancestor]), f"phases.{ancestor}")
            found += [f"phases.{name}.{leaf}" for leaf in repeated_leaves(tree, _changes(self.phases[name]))]
        return found


def load(path: Path = Path("params.yaml")) -> Params:
    """Read, merge and validate params.yaml: the scale's overlay and every phase.

    Errors: UserError naming file, key, value and what is allowed.
    """
    return from_mapping(read_params(path))


def from_mapping(tree: Mapping[str, Any]) -> Params:
    """As `load`, from a mapping that was read already (with command line overrides merged in)."""
    tree = dict(tree)
    scales = tree.pop("scales", None)
    if not isinstance(scales, Mapping) or not scales:
        raise UserError("params.yaml: scales: must map the name of a scale to what it changes")
    scale = tree.get("scale")
    if not isinstance(scale, str) or scale not in scales:
        raise UserError(f"params.yaml: scale: {scale!r} is not allowed{did_you_mean(str(scale), list(scales))}")
    chosen = _at_scale(tree, scales, scale, "")
    for other in scales:
        _at_scale(tree, scales, other, f"scale {other}: ")
    return chosen


def _at_scale(tree: Mapping[str, Any], scales: Mapping[str, Any], scale: str, where: str) -> Params:
    changes = {} if scales[scale] is None else scales[scale]
    if not isinstance(changes, Mapping):
        raise UserError(f"params.yaml: scales.{scale}: is {changes!r}, must be a mapping of settings")
    params: Params = _validated(Params, overlay(tree, changes, f"scales.{scale}"), where)
    if params.phase not in params.phases:
        hint = did_you_mean(params.phase, params.names)
        raise UserError(f"params.yaml: phase: {params.phase!r} is not allowed{hint}")
    for name in params.names:
        params.phase_settings(name, where)
    return params


def resolved(settings: Settings) -> dict[str, Any]:
    """Plain values of what is switched on: where `enabled` is false, or another choice reads a leaf, it is gone."""
    if getattr(settings, "enabled", True) is False:
        return {"enabled": False}
    hidden: set[str] = set()
    for selector, choices in settings.read_by.items():
        hidden |= choices[getattr(settings, selector)]
    return {
        name: resolved(value) if isinstance(value, Settings) else value
        for name, value in settings
        if name not in hidden
    }


def canonical(tree: Any) -> str:
    """One JSON text per value: equal settings give equal texts."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hyperparameters(phase: Phase) -> list[str]:
    """The numeric or categorical leaves of loss, quantizer, optimizer and stopping whose mechanism is on."""
    tree = {name: resolved(getattr(phase, name)) for name in ("loss", "quantizer", "optimizer", "stopping")}
    return [".".join(path) for path, value in leaves(tree) if not isinstance(value, bool)]


def _changes(phase: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in phase.items() if key != "parent"}


def _validated(model: type[Settings], tree: Mapping[str, Any], prefix: str = "") -> Any:
    try:
        return model.model_validate(dict(tree))
    except ValidationError as error:
        raise UserError("params.yaml: " + prefix + "; ".join(_sentence(e, model) for e in error.errors()[:5])) from None


def _sentence(error: Any, model: type[Settings]) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "value"
    value = error.get("input")
    if error["type"] == "missing":
        return f"{key}: is missing"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(str(error['loc'][-1]), list(_fields_at(model, error['loc'][:-1])))}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    shown = "" if isinstance(value, dict) else f"is {value!r}, "
    return f"{key}: {shown}{message}{number_hint(value)}"


def _fields_at(model: Any, location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = field.annotation if field else None
    return list(model.model_fields) if hasattr(model, "model_fields") else []
