"""Values of params.yaml that depend on the scale: `epochs: {tiny: 3, laptop: 6, production: 80}` for `epochs: 6`.

Such a mapping says all that there is to say about its leaf, so that no value is hidden by another one elsewhere. A
scale that it does not name has the value of the scale's parent.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from arcjepa.errors import UserError
from arcjepa.params import did_you_mean

NAME = re.compile("[a-z][a-z0-9_]*")
"""Names of scales, phases, scenarios and sets: they are keys, folders and targets of Snakemake."""
NAMED = ("phases", "scenarios", "sets")
"""Sections whose keys are names that the user gave, which no scale has."""
_WHERE = "unknown key; allowed is parent; values for a scale stand at their leaf, as base.training.epochs."


def scale_parents(scales: Any, taken: Collection[str]) -> dict[str, str]:
    """{scale: its parent, "" for none} from the section `scales`.

    `taken`: names of settings, which no scale may have, as it could not be told from them. Errors: UserError for a name
    that cannot be one, an unknown key or parent, and a cycle.
    """
    if not isinstance(scales, Mapping) or not scales:
        raise UserError("params.yaml: scales: must map each scale to {} or to its parent")
    found = {name: _parent(name, {} if values is None else values, scales) for name, values in scales.items()}
    for name in found:
        if not NAME.fullmatch(name):
            raise UserError(f"params.yaml: scales.{name}: a name has a-z, 0-9 and _, and begins with a letter")
        if name in taken:
            raise UserError(f"params.yaml: scales.{name}: is the name of a setting; choose another name")
        lineage(found, name)
    return found


def _parent(name: str, values: Any, scales: Mapping[str, Any]) -> str:
    if not isinstance(values, Mapping):
        raise UserError(f"params.yaml: scales.{name}: is {values!r:.80}, must be {{}} or {{parent: SCALE}}")
    for key in values:
        if key != "parent":
            raise UserError(f"params.yaml: scales.{name}.{key}: {_WHERE}{name}")
    if "parent" not in values:
        return ""
    parent = values["parent"]
    if not isinstance(parent, str) or parent not in scales:
        hint = did_you_mean(str(parent), scales)
        raise UserError(f"params.yaml: scales.{name}.parent: no scale {parent!r:.80}{hint}")
    return parent


def lineage(parents: Mapping[str, str], scale: str) -> list[str]:
    """The scale, its parent and so on. Errors: UserError for a cycle."""
    chain = [scale]
    while parent := parents[chain[-1]]:
        if parent in chain:
            raise UserError(f"params.yaml: scales.{scale}.parent: {' -> '.join([*chain, parent])} is a cycle")
        chain.append(parent)
    return chain


def at_scale(tree: Mapping[str, Any], parents: Mapping[str, str], scale: str) -> tuple[dict[str, Any], dict[str, str]]:
    """`tree` with one value for each leaf; and for leaves that have several, which scale names the one that counts.

    The keys of the latter are dotted ("base.training.epochs"). Errors: UserError naming a leaf that has no value for
    the scale, or one for a scale that does not exist.
    """
    chain, origins = lineage(parents, scale), dict[str, str]()

    def chosen(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            return value
        if path in NAMED or not parents.keys() & value.keys():
            return {key: chosen(inner, f"{path}.{key}") for key, inner in value.items()}
        _check_named(value, parents, path)
        origins[path] = next((name for name in chain if name in value), "")
        if not origins[path]:
            raise UserError(f"params.yaml: {path}: has no value for scale {scale}; add one: {path}.{scale}")
        return value[origins[path]]

    return {key: chosen(value, key) for key, value in tree.items()}, origins


def _check_named(values: Mapping[str, Any], parents: Mapping[str, str], path: str) -> None:
    for name, value in values.items():
        if name not in parents:
            raise UserError(f"params.yaml: {path}.{name}: no such scale{did_you_mean(name, parents)}")
        if isinstance(value, Mapping):
            raise UserError(f"params.yaml: {path}.{name}: is {value!r:.80}, must be one value or a list")
