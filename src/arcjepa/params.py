"""Read params.yaml strictly and merge overlays: duplicate and unknown keys are errors, with the nearest allowed one."""

import copy
import difflib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from arcjepa.errors import UserError

Path_ = tuple[str, ...]


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice in one mapping.

    Not libyaml's, which is 8 ms faster: it takes tabs that Snakemake, reading the same file after us, refuses.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node. Errors: MarkedYAMLError for a key that is no text or is given twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is not text", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_params(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Errors: UserError naming file, line and key for a file that is missing, is not YAML, is not a mapping or
    gives a key twice.
    """
    try:
        content = _StrictLoader(path.read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; restore it with: git checkout {path.name}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(f"{path}: line {line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: must be a mapping of keys to values, is {type(content).__name__}")
    return content


def leaves(tree: Mapping[str, Any], prefix: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every (path, value) below a mapping; an empty mapping has none, a list is one leaf."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`base` with the leaves of `changes` put over it.

    `where` names the overlay in errors ("phases.phase2"). Errors: UserError for a key that `base` lacks, with
    the nearest one that it has, and for a mapping put where `base` has a value or the reverse.
    """
    merged = copy.deepcopy(dict(base))
    for key, value in changes.items():
        name = f"{where}.{key}" if where else key
        if key not in merged:
            raise UserError(f"params.yaml: {name}: unknown key{did_you_mean(key, merged)}")
        inner = merged[key]
        if isinstance(inner, Mapping) != isinstance(value, Mapping):
            kind = "a mapping of settings" if isinstance(inner, Mapping) else "one value"
            raise UserError(f"params.yaml: {name}: is {value!r}, must be {kind}")
        merged[key] = overlay(inner, value, name) if isinstance(inner, Mapping) else copy.deepcopy(value)
    return merged


def repeated_leaves(base: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
    """Leaves of `changes` that say what `base` says already."""
    known = dict(leaves(base))
    return [".".join(path) for path, value in leaves(changes) if path in known and known[path] == value]


def did_you_mean(key: str, allowed: Mapping[str, Any] | list[str]) -> str:
    """'; did you mean X?' for the nearest allowed key, else the list of the allowed ones."""
    near = difflib.get_close_matches(key, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; allowed are {', '.join(sorted(allowed))}"


def number_hint(value: Any) -> str:
    """How to write a number that YAML read as text, '' for anything else."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return ""
        if math.isfinite(number):
            mantissa, _, exponent = value.lower().partition("e")
            return f" (YAML reads {value} as text: write {float(mantissa)}e{int(exponent):+03d})" if exponent else ""
    return ""
