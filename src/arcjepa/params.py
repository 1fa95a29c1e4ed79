"""Read params.yaml strictly and merge overlays: duplicate and unknown keys are errors, with the nearest allowed one."""

import copy
import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from arcjepa.errors import UserError

Path_ = tuple[str, ...]
DEEPEST = 16
"""Levels of nesting; params.yaml needs 6."""
LISTED = 40
"""Names that a message says are allowed, as a line of hundreds is read by nobody."""
LARGEST = 2**63
"""Size of whole numbers."""
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}


_SCIENTIFIC = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")
"""Numbers that YAML 1.1 takes for text, and YAML 1.2 and DVC for numbers: DVC writes 1e-05 for 0.00001."""
_OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|.*:.*")
"""Whole numbers that YAML 1.1 reads to base 8 or 60, and YAML 1.2 and DVC do not: 010, 1:30."""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader of plain values alone: no tags, no aliases, no dates, nothing deep, no key twice in a mapping.

    1e-4 is a number to it.

    Not libyaml's, which is 8 ms faster: it takes tabs that Snakemake, reading the same file after us, refuses.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node, with all that is in it. Errors: MarkedYAMLError for what is not plain."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            _refuse(f"alias *{event.anchor} is not allowed; write the value out", event)
        if (tag := getattr(event, "tag", None)) is not None:
            _refuse(f"tag {tag.replace('tag:yaml.org,2002:', '!!')} is not allowed; write the value without it", event)
        self.depth += 1
        if self.depth > DEEPEST:
            _refuse(f"is nested more than {DEEPEST} levels deep", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is not None and node.tag not in _PLAIN:
            kind = node.tag.rpartition(":")[2]
            _refuse(f"{node.value} is read as a {kind}; allowed are text, numbers, true and false: quote it", node)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node. Errors: MarkedYAMLError for a number that is too large, or is none."""
        try:
            value = super().construct_object(node, deep)
        except ValueError:
            _refuse(f"{node.value:.20}... is no number that can be read", node)
        if node.tag.endswith((":int", ":float")) and _OTHER_BASE.fullmatch(node.value):
            _refuse(f"{node.value} is read as {value}; write that, or quote it", node)
        if isinstance(value, int) and abs(value) > LARGEST:
            _refuse(f"{node.value:.20}... is too large; allowed are whole numbers up to 2^63", node)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node. Errors: MarkedYAMLError for a key that is no text or is given twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                _refuse(f"key {key!r:.80} is not text", key_node)
            if key in seen:
                _refuse(f"key {key!r} is given twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _SCIENTIFIC, list("-+.0123456789"))


def _refuse(problem: str, at: Any) -> NoReturn:
    """`at`: an event or a node."""
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def read_params(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Errors: UserError naming file, line and column for a file that is missing, is not YAML, is not a mapping, gives a
    key twice or holds anything but plain values.
    """
    restore = f"restore it with: git checkout {path.name}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {restore}") from None
    try:
        text = data.decode()
        content = _StrictLoader(text).get_single_data()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {_position(data[: error.start])}: is not UTF-8 text; {restore}") from None
    except yaml.reader.ReaderError as error:
        where = _position(text[: error.position].encode())
        raise UserError(f"{path}: {where}: character {error.character:#x} is not allowed in YAML") from None
    except yaml.MarkedYAMLError as error:
        raise UserError(f"{path}: {_sentence(error)}") from None
    if content is None:
        raise UserError(f"{path}: is empty, must be a mapping of keys to values; {restore}")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else f"{content!r:.80}"
        raise UserError(f"{path}: is {kind}, must be a mapping of keys to values; {restore}")
    return content


def _position(before: bytes) -> str:
    """Of what comes after these bytes, both counted from 1."""
    lines = before.decode().split("\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"


def _sentence(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = " ".join(", ".join(filter(None, (error.context, error.problem))).split())
    return where + ("a tab cannot indent; use spaces" if r"'\t'" in problem else problem)


def check_arguments(arguments: Iterable[str]) -> None:
    """What is given to `snakemake --config`, as KEY=VALUE. UserError for a setting that is given twice, of which
    Snakemake would take the last one without a word."""
    seen: set[str] = set()
    for argument in arguments:
        key, _, value = argument.partition("=")
        try:
            read = _StrictLoader(value).get_single_data() if value[:1] in ("{", "[") else None
        except yaml.MarkedYAMLError as error:
            raise UserError(f"--config {key}: {_sentence(error)}") from None
        except yaml.reader.ReaderError as error:
            raise UserError(f"--config {key}: character {error.character:#x} is not allowed in YAML") from None
        for path in [".".join(path) for path, _ in leaves({key: read})]:
            if path in seen:
                raise UserError(f"--config {path}: is given twice; give it once")
            seen.add(path)


def typed(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What `snakemake --config` gives, whose nested values all are text, with those as YAML reads them."""
    return {key: value if isinstance(value, str) else _typed(value) for key, value in tree.items()}


def _typed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    if not isinstance(value, str):
        return value
    try:
        read = _StrictLoader(value).get_single_data()
    except yaml.YAMLError:
        return value
    return value if isinstance(read, list | dict) or not value else read


def check_plain(tree: Any, path: str = "") -> None:
    """UserError for what YAML on a command line can give and no setting is: a key that is no text, a huge number."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if not isinstance(key, str) or not key.isprintable():
                raise UserError(f"params.yaml: {path or 'top level'}: key {key!a:.80} is not text")
            check_plain(value, f"{path}.{key}" if path else key)
    elif isinstance(tree, list):
        for value in tree:
            check_plain(value, path)
    elif isinstance(tree, int) and abs(tree) > LARGEST:
        raise UserError(f"params.yaml: {path}: is too large; allowed are whole numbers up to 2^63")


def leaves(tree: Mapping[str, Any], prefix: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every (path, value) below a mapping; an empty mapping has none, a list is one leaf."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def leaf(tree: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """What stands at a dotted name ("loss.teacher.enabled"), `default` where nothing does."""
    inner: Any = tree
    for key in name.split("."):
        if not isinstance(inner, Mapping) or key not in inner:
            return default
        inner = inner[key]
    return inner


def put(tree: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`tree` itself, with these values at their dotted names; branches that it lacks are made."""
    for name, value in changes.items():
        *path, last = name.split(".")
        inner = tree
        for key in path:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return tree


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
    """'; did you mean X?' for the nearest allowed key, else the allowed ones, LISTED at most."""
    near = difflib.get_close_matches(key, list(allowed), n=1, cutoff=0.6)
    more = f" and {len(allowed) - LISTED} more" if len(allowed) > LISTED else ""
    return f"; did you mean {near[0]}?" if near else f"; allowed are {', '.join(sorted(allowed)[:LISTED])}{more}"


def misspelt(key: str, given: Iterable[str]) -> str:
    """'; did you mean KEY by X?' for the given key that is nearest to a missing one, '' where none is near."""
    near = difflib.get_close_matches(key, [name for name in given if isinstance(name, str)], n=1, cutoff=0.6)
    return f"; did you mean {key} by {near[0]}?" if near else ""


def number_hint(value: Any) -> str:
    """How to write a number that was given as text, '' for anything else."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return ""
        if math.isfinite(number):
            return f" (it is text: write {value.strip()} without quotes)"
    return ""
