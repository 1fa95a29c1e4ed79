"""params.yaml as a whole, and how the settings of a phase or scenario are put together from it.

`load(path)` reads it; `Params.phase_settings(name)` is what a phase or scenario trains with; `resolved(settings)` is
the same as plain values without the leaves of mechanisms that are off, which is what decides whether a result is
current.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from arcjepa.data_settings import Data, Evaluation, TokenSettings
from arcjepa.diagnosis_settings import Thresholds
from arcjepa.errors import UserError
from arcjepa.params import did_you_mean, leaves, number_hint, overlay, read_params, repeated_leaves
from arcjepa.settings import NonNegative, Phase, Settings, each_once
from arcjepa.success_settings import Success

CONTROLS = ("untrained", "tokens", "copy")
Tree = dict[str, Any]


class _Trade(Settings):
    """What a scenario may set at the top level."""

    lambda_sigreg: NonNegative


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
    base: Tree
    phases: dict[str, Tree]
    """{name: {parent: base or a phase, leaves that differ}}; all are trained and compared."""
    scenarios: dict[str, Tree] = Field(default_factory=dict)
    """The same over a phase or scenario, lambda_sigreg among its leaves; trained where a set asks for it."""
    sets: dict[str, Annotated[list[str], Field(min_length=2)]] = Field(default_factory=dict)
    """{name: phases and scenarios to compare in one table, first the one that the others are measured against}."""
    evaluation: Evaluation
    diagnosis: Thresholds
    success: Success

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: list[int]) -> list[int]:
        return each_once(seeds)

    @cached_property
    def names(self) -> list[str]:
        """Phases in the order of params.yaml."""
        return list(self.phases)

    @property
    def overlays(self) -> dict[str, Tree]:
        """Phases and scenarios by name."""
        return {**self.phases, **self.scenarios}

    def lineage(self, name: str) -> list[str]:
        """From the root ancestor to `name`. Errors: UserError for an unknown parent or a cycle."""
        chain: list[str] = []
        while name != "base":
            if name in chain:
                raise UserError(f"params.yaml: {self._where(name)}.parent: {' -> '.join([*chain, name])} is a cycle")
            of_phase = bool(chain) and chain[-1] in self.phases
            known = self.phases if of_phase else self.overlays
            if not isinstance(name, str) or name not in known:
                where = f"{self._where(chain[-1])}.parent: " if chain else ""
                hint = did_you_mean(str(name), [*known, "base"])
                raise UserError(f"params.yaml: {where}no phase {'' if of_phase else 'or scenario '}{name!r}{hint}")
            chain.append(name)
            name = known[name].get("parent", "")
        return chain[::-1]

    def phase_settings(self, name: str, where: str = "", known: dict[str, Tree] | None = None) -> Phase:
        """What a phase or scenario trains with, validated. Errors: UserError naming the overlay and the leaf.

        `where` begins the error. `known`: leaves by name that were put together before; those of `name` are added.
        """
        tree = dict(self._tree(name, {} if known is None else known))
        place = f"{where}{'scenario' if name in self.scenarios else 'phase'} {name}: "
        trade: _Trade = _validated(_Trade, {"lambda_sigreg": tree.pop("lambda_sigreg")}, place)
        loss = tree.get("loss")
        if isinstance(loss, Mapping) and "lambda_sigreg" in loss:
            raise UserError("params.yaml: base.loss.lambda_sigreg: unknown key; set lambda_sigreg at the top level")
        if isinstance(loss, Mapping) and loss.get("prediction") == "lejepa":
            tree = {**tree, "loss": {**loss, "lambda_sigreg": trade.lambda_sigreg}}
        return _validated(Phase, tree, place)

    def repetitions(self) -> list[str]:
        """Leaves of phases and scenarios that only repeat their parent's value."""
        known: dict[str, Tree] = {}
        return [
            f"{self._where(name)}.{leaf}"
            for name in self.overlays
            for leaf in repeated_leaves(self._tree(self._parent(name), known), self._changes(name))
        ]

    def _tree(self, name: str, known: dict[str, Tree]) -> Tree:
        """All leaves of `base`, a phase or a scenario, lambda_sigreg beside them; those in `known` are as they are."""
        if name in known:
            return known[name]
        parent, changes, place = self._parent(name), self._changes(name), self._where(name)
        if name not in self.scenarios and "lambda_sigreg" in changes:
            raise UserError(f"params.yaml: {place}.lambda_sigreg: unknown key; set it at the top level")
        root = {} if parent else {"lambda_sigreg": self.lambda_sigreg}
        known[name] = overlay(self._tree(parent, known), changes, place) if parent else changes | root
        return known[name]

    def _parent(self, name: str) -> str:
        return ["", "base", *self.lineage(name)][-2]

    def _changes(self, name: str) -> Tree:
        if name == "base":
            return self.base
        return {key: value for key, value in self.overlays[name].items() if key != "parent"}

    def _where(self, name: str) -> str:
        section = "scenarios." if name in self.scenarios else "phases." if name in self.phases else ""
        return section + name


def load(path: Path = Path("params.yaml")) -> Params:
    """Read, merge and validate params.yaml: every phase at every scale, every scenario and set at the chosen one.

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
        if other != scale:
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
    check_names(params, scales)
    known: dict[str, Tree] = {}
    # Scenarios at the chosen scale alone: all of them at all scales would hold up every start, for little.
    for name in params.names if where else params.overlays:
        params.phase_settings(name, where, known)
    return params


def check_names(params: Params, taken: Iterable[str]) -> None:
    """Phases, scenarios and sets have names of their own, and sets members that there are. Errors: UserError.

    `taken`: further names that none may have. Names are targets of Snakemake, and folders beside those of others.
    """
    owners = dict.fromkeys(taken, "taken") | dict.fromkeys(CONTROLS, "a control") | {"base": "taken", "all": "taken"}
    for section, names in (("phases", params.phases), ("scenarios", params.scenarios), ("sets", params.sets)):
        for name in names:
            if not re.fullmatch("[a-z][a-z0-9_]*", name):
                raise UserError(f"params.yaml: {section}.{name}: a name has a-z, 0-9 and _, and begins with a letter")
            if name in owners:
                raise UserError(f"params.yaml: {section}.{name}: is {owners[name]} already; choose another name")
            if section == "scenarios" and not set(params.scenarios[name]) - {"parent"}:
                raise UserError(f"params.yaml: scenarios.{name}: changes nothing of its parent; give it a leaf")
        owners |= dict.fromkeys(names, f"a {section[:-1]}")
    known = params.overlays
    for name, members in params.sets.items():
        for number, member in enumerate(members):
            if member not in known:
                hint = did_you_mean(member, known)
                raise UserError(f"params.yaml: sets.{name}: no phase or scenario {member!r}{hint}")
            if member in members[:number]:
                raise UserError(f"params.yaml: sets.{name}: {member!r} is given twice")


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
