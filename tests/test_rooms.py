"""CONTRIBUTING.md names every module, and none imports one of a room further down."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/arcjepa"
ROOMS = re.findall(r"^\| [a-z ]+ \| (`.*`) \| ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)


def top_level() -> list[str]:
    """Modules and packages."""
    modules = [path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__"]
    return sorted(modules + [f"{path.parent.name}/" for path in SOURCE.glob("*/__init__.py")])


def rooms_of(module: str) -> list[int]:
    """The rooms that name it, from the top; `*` stands for any part of a name."""
    named = [[re.escape(name).replace(r"\*", r"\w+") for name in re.findall(r"`(\S+)`", room)] for room in ROOMS]
    return [room for room, names in enumerate(named) if any(re.fullmatch(name, module) for name in names)]


def imported(path: Path) -> Iterator[str]:
    """Modules and packages of ours, wherever in the file they are imported."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "arcjepa":
            parts = (node.module or "").split(".")[1:2]
            for name in parts or [alias.name for alias in node.names]:
                yield f"{name}/" if (SOURCE / name).is_dir() else name


def test_every_module_is_named_once_and_nothing_else_is() -> None:
    assert {module: len(rooms_of(module)) for module in top_level()} == dict.fromkeys(top_level(), 1)
    named = [name for room in ROOMS for name in re.findall(r"`([^`*\s]+)`", room)]
    assert set(named) <= set(top_level())


def test_no_module_imports_one_further_down() -> None:
    down = []
    for path in sorted(SOURCE.rglob("*.py")):
        package = path.relative_to(SOURCE).parts[0]
        module = f"{package}/" if package != path.name else path.stem
        for other in imported(path):
            if other in top_level() and module in top_level() and rooms_of(other)[0] > rooms_of(module)[0]:
                down.append(f"{module} imports {other}")
    assert down == []
