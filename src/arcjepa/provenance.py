"""Which code and which data a result depends on, as digests of content: mtimes lie after a checkout.

The code of a script is the script, every module of this package that it imports, directly or through others,
and the package data (styles, recorded hashes) that these modules name in a string. Imports are read from the
syntax tree: nothing is imported, so this is fast and safe when the workflow is parsed.
"""

import ast
import hashlib
import subprocess
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parent
DIGITS = 16
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields of a syntax tree's nodes that hold statements."""


def code_files(script: Path, package: Path = PACKAGE) -> list[Path]:
    """The script and the files of `package` that it needs, sorted.

    `__init__.py` counts only where a name that it defines is imported from it, so that a new version number
    reruns nothing. Errors: FileNotFoundError, SyntaxError.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            if file.suffix == ".py":
                waiting.extend(_needed_files(file, package))
    return sorted(found)


def digest(files: Iterable[Path], root: Path) -> str:
    """16 hex digits of names below `root` and contents; the same in any order and wherever `root` lies."""
    total = hashlib.sha256()
    for file in sorted(files):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{file.relative_to(root).as_posix()}\0{content}\n".encode())
    return total.hexdigest()[:DIGITS]


def files_below(path: Path) -> list[Path]:
    """The file itself, or all files at any depth of a folder, hidden ones left out; sorted."""
    if not path.is_dir():
        return [path]
    inside = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in inside if not any(part[0] == "." for part in file.relative_to(path).parts))


def commit(root: Path = Path()) -> str:
    """The commit that is checked out, 12 digits, with a + where code or params differ; "" outside git."""
    git = ["git", "-C", str(root)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return ""
    watched = ["src", "workflow", "Snakefile", "params.yaml"]
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *watched], check=False).returncode
    return head.stdout.strip() + ("+" if changed else "")


@lru_cache(maxsize=1024)
def _needed_files(file: Path, package: Path) -> tuple[Path, ...]:
    """What one file needs of the package, itself excluded."""
    source = file.read_bytes()
    tree = ast.parse(source, filename=str(file))
    needed = {path for name in _imported_names(tree, file, package) for path in _resolve(name, package)}
    return tuple(sorted((needed | set(_package_data(tree, source, package))) - {file}))


def _imported_names(tree: ast.Module, file: Path, package: Path) -> Iterator[str]:
    """Dotted names, relative to the package, of every import of it, those inside functions too."""
    prefix = package.name + "."
    for node in _running(tree):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, file, package)
            dotted = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix(prefix) for name in dotted if name.startswith(prefix))


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """The statements below a node but those of `if TYPE_CHECKING:`, which never run.

    Expressions are most of a tree and hold no statement, so none is entered.
    """
    for block in BLOCKS:
        if block == "body" and isinstance(node, ast.If) and _is_type_checking(node.test):
            continue
        for inner in getattr(node, block, ()):
            yield inner
            yield from _running(inner)


def _is_type_checking(test: ast.expr) -> bool:
    """TYPE_CHECKING or typing.TYPE_CHECKING."""
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def _absolute(node: ast.ImportFrom, file: Path, package: Path) -> str:
    """The full name of the module that `from X import ...` reads, relative ones resolved."""
    if not node.level:
        return node.module or ""
    folder = file.parents[node.level - 1].relative_to(package.parent)
    return ".".join([*folder.parts, *([node.module] if node.module else [])])


def _resolve(name: str, package: Path) -> Iterator[Path]:
    """The files behind a dotted name: the longest part of it that is a module."""
    place, parts = package, name.split(".")
    for i, part in enumerate(parts):
        if (module := place / f"{part}.py").is_file():
            yield module
            return
        place = place / part
        if not place.is_dir():
            # A name that the package's own __init__.py defines.
            if (init := place.parent / "__init__.py").is_file():
                yield init
            return
        if i + 1 == len(parts) and (init := place / "__init__.py").is_file():
            yield init


def _package_data(tree: ast.Module, source: bytes, package: Path) -> Iterator[Path]:
    """Files of the package, other than modules, whose name stands in a string of this module."""
    named = {name: path for name, path in _data_files(package).items() if name.encode() in source}
    # Most modules name none, and their trees need no second walk.
    for node in ast.walk(tree) if named else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in named:
            yield named[node.value]


@lru_cache(maxsize=8)
def _data_files(package: Path) -> dict[str, Path]:
    """Package data by name."""
    files = (path for path in package.rglob("*.*") if "__pycache__" not in path.parts)
    return {path.name: path for path in sorted(files) if path.suffix not in {".py", ".pyc"} and path.is_file()}
