"""What every rule must have, read from the files."""

import ast
import re
from pathlib import Path

import pytest
import yaml

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
UNTRACKED = {"device"}  # where it trains, which makes nothing stale


def settings_read(script: Path) -> set[str]:
    """Attributes of `settings`, or of `from_mapping(...)` itself, that a script reads."""
    found = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner == "settings" or owner.startswith("from_mapping("):
                found.add(node.attr)
    return {name for name in found if name not in UNTRACKED}


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
