"""params.yaml as a whole, and how the settings of a phase or scenario are put together from it.

`load(path)` reads it; `Params.phase_settings(name)` is what a phase or scenario trains with; `resolved(settings)` is
the same as plain values without the leaves of mechanisms that are off, which is what decides whether a result is
current.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator

from arcjepa.data_settings import Data, Evaluation, TokenSettings, each_once
from arcjepa.diagnosis_settings import Thresholds
from arcjepa.errors import UserError
from arcjepa.limits import Ranks, check_pool, check_ranks
from arcjepa.messages import dotted, problems, revalidated, validated
from arcjepa.params import check_plain, did_you_mean, leaves, misspelt, overlay, read_params, repeated_leaves
from arcjepa.scales import NAME, at_scale, scale_parents
from arcjepa.settings import NonNegative, Phase, Seed, Settings
from arcjepa.success_settings import Success

CONTROLS = ("untrained", "tokens", "copy")
Tree = dict[str, Any]


class _Trade(Settings):
    """What a scenario may set at the top level."""

    lambda_sigreg: NonNegative


class Params(Settings):
    """params.yaml at one scale."""

    scale: str
    phase: str
    lambda_sigreg: NonNegative
    device: Literal["auto", "cpu", "cuda"]
    """auto: the GPU where there is one; cuda: fail where there is none."""
    ranks: Ranks
    """Processes that train together, each with a GPU of its own where there are GPUs; auto: one for every GPU that the
    job was given, one in a job that the workflow asks Slurm for. Numbers are the same but for rounding and what each
    rank draws for itself (dropout), so that nothing is stale after a change."""
    rank_timeout: Annotated[int, Field(ge=1, le=86400)]
    """Seconds that ranks wait for one another before they take one for dead."""
    change_ranks: bool
    """Whether a training that was interrupted may go on with another number of ranks."""
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=1000)]
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
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    """For leaves with values by scale, which scale names the one that counts, for errors."""

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
            if "parent" not in known[name]:
                allowed = "base and phases" if name in self.phases else "base, phases and scenarios"
                hint = misspelt("parent", known[name])
                raise UserError(f"params.yaml: {self._where(name)}.parent: is missing; allowed are {allowed}{hint}")
            name = known[name]["parent"]
        return chain[::-1]

    def phase_settings(self, name: str, known: dict[str, Tree] | None = None) -> Phase:
        """What a phase or scenario trains with, validated. Errors: UserError naming the leaf where it is written.

        `known`: leaves by name that were put together before; those of `name` are added.
        """
        phase = self._phase(name, {} if known is None else known)
        assert phase is not None
        return phase

    def check_phase(self, name: str, known: dict[str, Tree]) -> None:
        """UserError where a setting is wrong by itself, whatever the others are."""
        self._phase(name, known, between=False)

    def _phase(self, name: str, known: dict[str, Tree], between: bool = True) -> Phase | None:
        tree = self._complete(name, known)
        return validated(Phase, tree, lambda problem: self._place(name, known, problem), between)

    def _complete(self, name: str, known: dict[str, Tree]) -> Tree:
        """What the settings of a phase are validated from, lambda_sigreg in its place."""
        tree = dict(self._tree(name, known))
        strength = {"lambda_sigreg": tree.pop("lambda_sigreg")}
        line = ["base", *self.lineage(name)]
        giver = next((one for one in reversed(line) if "lambda_sigreg" in self._changes(one)), "")
        validated(_Trade, strength, lambda problem: dotted(self._where(giver), problem["loc"], self._origins))
        loss = tree.get("loss")
        if isinstance(loss, Mapping) and "lambda_sigreg" in loss:
            raise UserError("params.yaml: base.loss.lambda_sigreg: unknown key; set lambda_sigreg at the top level")
        if isinstance(loss, Mapping) and loss.get("prediction") == "lejepa":
            tree["loss"] = {**loss, **strength}
        return tree

    def _place(self, name: str, known: dict[str, Tree], problem: Any) -> str:
        """The key of a problem, in the first ancestor that has it."""
        told = (problem["loc"], problem["msg"])
        line = ["base", *self.lineage(name)]
        first = next((one for one in line if told in problems(Phase, self._complete(one, known))), name)
        return _key(self._where(first), problem, self.scale, self._origins)

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
    """Read, merge and validate params.yaml: every phase at every scale, every scenario at the chosen one and at
    those that it has values for, every set.

    Errors: UserError naming file, key, value and what is allowed.
    """
    return from_mapping(read_params(path))


def from_mapping(tree: Mapping[str, Any]) -> Params:
    """As `load`, from a mapping that was read already (with command line overrides merged in)."""
    check_plain(tree)
    tree = dict(tree)
    settings = {name for section in Settings.__subclasses__() for name in section.model_fields}
    parents = scale_parents(tree.pop("scales", None), settings)
    scale = tree.get("scale")
    if "scale" not in tree:
        raise UserError(f"params.yaml: scale: is missing{misspelt('scale', tree)}")
    if not isinstance(scale, str) or scale not in parents:
        raise UserError(f"params.yaml: scale: {scale!r:.80} is not allowed{did_you_mean(str(scale), parents)}")
    params = _params(tree, parents, scale)
    assert params is not None
    if params.phase not in params.phases:
        hint = did_you_mean(params.phase, params.names)
        raise UserError(f"params.yaml: phase: {params.phase!r} is not allowed{hint}")
    check_names(params, parents)
    known: dict[str, Tree] = {}
    for name in params.overlays:
        check_ranks(params, name, params.phase_settings(name, known))
    check_pool(params)
    for other in parents:
        if other != scale:
            _check_scale(tree, parents, other)
    return params


def _params(tree: Tree, parents: Mapping[str, str], scale: str, between: bool = True) -> Params | None:
    values, origins = at_scale(tree, parents, scale)
    params = validated(Params, values, lambda problem: _key("", problem, scale, origins), between)
    if params:
        params._origins = origins
    return params


def _key(section: str, problem: Any, scale: str, origins: Mapping[str, str]) -> str:
    """Of a problem; with the scale where several settings make it."""
    several = problem["type"] == "value_error" and isinstance(problem["input"], Mapping)
    return dotted(section, problem["loc"], origins) + (f" at scale {scale}" if several else "")


def _check_scale(tree: Tree, parents: Mapping[str, str], scale: str) -> None:
    """UserError where a value for a scale that was not chosen is wrong by itself.

    How values fit together is asked where the scale is chosen, so that one value for all scales may be tried at one.
    Scenarios without values by scale are left out: all of them at all scales would hold up every start, for little.
    """
    if params := _params(tree, parents, scale, between=False):
        known: dict[str, Tree] = {}
        scaled = {path.split(".")[1] for path in params._origins if path.startswith("scenarios.")}
        for name in [*params.names, *(name for name in params.scenarios if name in scaled)]:
            params.check_phase(name, known)


def check_names(params: Params, taken: Iterable[str]) -> None:
    """Phases, scenarios and sets have names of their own, and sets members that there are. Errors: UserError.

    `taken`: further names that none may have. Names are targets of Snakemake, and folders beside those of others.
    """
    owners = dict.fromkeys(taken, "taken") | dict.fromkeys(CONTROLS, "a control") | {"base": "taken", "all": "taken"}
    for section, names in (("phases", params.phases), ("scenarios", params.scenarios), ("sets", params.sets)):
        for name in names:
            if not NAME.fullmatch(name):
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


class _Start(Settings):
    """What a run is started with, beside its phase."""

    seed: Seed
    device: Literal["auto", "cpu", "cuda"]


def checked_start(phase: Phase, seed: int, device: str) -> Phase:
    """The phase, once it and what it is started with are found valid, wherever they come from. Errors: UserError."""
    if not isinstance(phase, Phase):
        raise UserError(f"Phase: is {phase!r:.80}; allowed is what Params.phase_settings gives")
    validated(_Start, {"seed": seed, "device": device}, lambda problem: dotted("", problem["loc"], {}), source="Run")
    return revalidated(phase)


def canonical(tree: Any) -> str:
    """One JSON text per value: equal settings give equal texts."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hyperparameters(phase: Phase) -> list[str]:
    """The numeric or categorical leaves of loss, quantizer, optimizer and stopping whose mechanism is on."""
    tree = {name: resolved(getattr(phase, name)) for name in ("loss", "quantizer", "optimizer", "stopping")}
    return [".".join(path) for path, value in leaves(tree) if not isinstance(value, bool)]
