"""Provenance: an edit changes the digest of what depends on it, and of nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from arcjepa.provenance import PACKAGE, _needed_files, code_files, digest

MODULES = {
    "__init__.py": '__version__ = "1"\n',
    "grids.py": "",
    "tokens.py": "from toy.grids import x\n",
    "model.py": "if TYPE_CHECKING:\n    from toy import unused\ndef build():\n    from . import tokens\n",
    "figures/__init__.py": "",
    "figures/bars.py": "from .style import look\nimport toy.tokens\n",
    "figures/style.py": 'STYLE = "look.mplstyle"\n',
    "version.py": "from toy import __version__\n",
    "look.mplstyle": "a: b\n",
    "unused.py": "from toy import model\n",
}
SCRIPTS = {
    "train.py": "import torch\nfrom toy import model\n",
    "plot.py": "from toy.figures.bars import draw\n",
    "stamp.py": "import toy.version\n",
    "alone.py": "from toyota import car\nimport os\n",
}
NEEDS = {
    "train.py": {"grids.py", "tokens.py", "model.py"},
    "plot.py": {"figures/bars.py", "figures/style.py", "grids.py", "tokens.py", "look.mplstyle"},
    "stamp.py": {"version.py", "__init__.py"},
    "alone.py": set(),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder, files in (("toy", MODULES), ("scripts", SCRIPTS)):
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return tmp_path


def digests(project: Path) -> dict[str, str]:
    _needed_files.cache_clear()
    package = project / "toy"
    return {name: digest(code_files(project / "scripts" / name, package), project) for name in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS)
def test_code_is_the_script_and_what_it_imports(project: Path, script: str) -> None:
    found = code_files(project / "scripts" / script, project / "toy")
    expected = {project / "toy" / name for name in NEEDS[script]} | {project / "scripts" / script}
    assert set(found) == expected


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    {}\nexcept ImportError:\n    pass\n",
        "try:\n    pass\nexcept ImportError:\n    {}\n",
        "try:\n    pass\nexcept ImportError:\n    pass\nelse:\n    {}\n",
        "try:\n    pass\nfinally:\n    {}\n",
        "if x:\n    pass\nelif y:\n    {}\n",
        "if not TYPE_CHECKING:\n    {}\n",
        "if TYPE_CHECKING:\n    pass\nelse:\n    {}\n",
        "for x in y:\n    while z:\n        {}\n",
        "with x:\n    {}\n",
        "match x:\n    case 1:\n        {}\n",
        "class A:\n    async def b(self):\n        {}\n",
    ],
)
def test_import_is_found_in_every_block_that_runs(project: Path, text: str) -> None:
    script = project / "scripts" / "nested.py"
    script.write_text(text.format("import toy.grids"))
    assert code_files(script, project / "toy") == [script, project / "toy" / "grids.py"]


@pytest.mark.parametrize("name", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_import_for_type_checkers_is_no_dependency(project: Path, name: str) -> None:
    script = project / "scripts" / "typed.py"
    script.write_text(f"if {name}:\n    import toy.grids\n")
    assert code_files(script, project / "toy") == [script]


@pytest.mark.parametrize("edited", MODULES)
def test_edit_changes_the_digest_of_its_users_and_no_others(project: Path, edited: str) -> None:
    before = digests(project)
    with (project / "toy" / edited).open("a") as file:
        file.write("\n")
    after = digests(project)
    changed = {name for name in SCRIPTS if before[name] != after[name]}
    assert changed == {name for name in SCRIPTS if edited in NEEDS[name]}


def test_digest_is_the_same_elsewhere_and_after_touch(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "deeper"
    project.rename(elsewhere)
    before = digests(elsewhere)
    (elsewhere / "toy" / "grids.py").touch()
    elsewhere.rename(project)
    assert digests(project) == before


def test_digest_sees_a_rename_and_swapped_contents(tmp_path: Path) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_text("1")
    b.write_text("2")
    before = digest([a, b], tmp_path)
    a.write_text("2")
    b.write_text("1")
    assert digest([a, b], tmp_path) != before
    assert digest([b, a], tmp_path) == digest([a, b], tmp_path)


@pytest.mark.slow
def test_finds_every_module_that_python_loads() -> None:
    """Importing one real module loads nothing that the syntax tree did not show."""
    show = "import sys, arcjepa.config; print(*[m.__file__ for n, m in sys.modules.items() if 'arcjepa.' in n])"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
    found = {path.name for path in code_files(PACKAGE / "config.py")}
    assert {Path(name).name for name in loaded.split()} <= found
