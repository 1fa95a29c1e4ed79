"""The page says of every phase what changed, what it bought and what is wrong, and nothing that a file did not say."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arcjepa.comparison import load_runs
from arcjepa.config import Params, load
from arcjepa.errors import UserError
from arcjepa.overview import CONTROLS, load_accounts, page
from arcjepa.scores import Scores, save_scores

RUN = {
    "epochs": 8,
    "steps": 288,
    "device": "cpu <of a laptop>",
    "seconds": 60.0,
    "sequences_per_second": 600.0,
    "hyperparameters": ["loss.lambda_sigreg"],
    "encoder_parameters": 123456,
}
LEVELS = {"untrained": 5.0, "tokens": 3.5, "copy": 4.5, "baseline": 3.0, "phase1": 3.0, "phase2": 4.0, "phase3": 2.0}
TARGETS = pd.DataFrame(
    [
        ("phase2", "hyperparameters", "8", "< 10", "met", ""),
        ("phase2", "codebook", "1 %", "> 25 %", "missed", "one code <takes> all"),
        ("phase2", "stable", "yes", "", "met", ""),
        ("phase2", "loss", "", "< 8.0", "not comparable", "another objective"),
    ],
    columns=["phase", "target", "reached", "wanted", "verdict", "why"],
)


def finding(name: str, severity: str) -> dict[str, str]:
    return {"name": name, "severity": severity, "summary": f"{name} in <epoch> 3."}


def write_runs(root: Path, findings: dict[str, list[dict[str, str]]], seeds: int = 1) -> dict[str, list[Path]]:
    folders: dict[str, list[Path]] = {}
    for name, level in LEVELS.items():
        for seed in range(seeds):
            folder = root / name / f"seed{seed}"
            folder.mkdir(parents=True)
            scores, rng = Scores(record={"pool": {"size": 128}}), np.random.default_rng(0)
            for measure in ("val_nce", "readout_nce"):
                noise = rng.normal(0, 1, 40)
                values = level + noise - noise.mean()
                scores.add_means(measure, "heldout", [f"t{i}" for i in range(40)], np.arange(40), [values])
            scores.add_means("ranking_b", "arc1", ["t"], np.zeros(4, int), [np.ones(4)])
            scores.add_means("ranking_b_chance", "arc1", ["t"], np.zeros(4, int), [np.full(4, 0.19)])
            save_scores(folder, scores)
            (folder / "run.json").write_text(json.dumps(RUN | {"steps": RUN["steps"] + 1000 * seed}))
            (folder / "diagnosis.json").write_text(json.dumps({"findings": findings.get(name, [])}))
            folders.setdefault(name, []).append(folder)
    return folders


def row(text: str, name: str) -> str:
    """The row of a phase."""
    return next(line for line in text.splitlines() if line.startswith(f"<tr><td>{name}</td>"))


@pytest.fixture(scope="module")
def params() -> Params:
    return load()


def text_of(params: Params, folders: dict[str, list[Path]]) -> str:
    runs = {name: load_runs(name, seeds) for name, seeds in folders.items()}
    return page(params, load_accounts(params, runs, folders), TARGETS, {name: runs[name] for name in CONTROLS})


@pytest.mark.slow
def test_every_phase_says_what_it_changed_and_bought(params: Params, tmp_path: Path) -> None:
    text = text_of(params, write_runs(tmp_path, {}))
    assert "the root of all phases" in row(text, "baseline")
    assert row(text, "baseline").count(", better") == 2
    assert "val_nce 5.00" in row(text, "untrained encoder")
    assert "better" not in row(text, "untrained encoder")
    assert "val_nce 3.50" in row(text, "hand-made tokens")
    assert "val_nce 4.50" in row(text, "copy of the query")
    assert "ranking_b 0.19" in text.split("<table")[0]
    assert f"chance is {np.log(128):.2f}" in text
    assert "over baseline" in row(text, "phase1")
    assert "loss.relational.enabled on → off" in row(text, "phase1")
    assert "val_nce 3.00 " in row(text, "phase1")
    assert "not apart" in row(text, "phase1")
    assert row(text, "phase2").count(", worse") == 2
    assert row(text, "phase3").count(", better") == 2


@pytest.mark.slow
def test_faults_are_named_the_most_severe_first_and_joined_over_seeds(params: Params, tmp_path: Path) -> None:
    faults = {"phase2": [finding("minor", "note"), finding("major", "critical")]}
    text = row(text_of(params, write_runs(tmp_path, faults, seeds=2)), "phase2")
    assert "2 seeds, 8 epochs, 288 to 1,288 steps" in text
    assert text.index("critical: major.") < text.index("note: minor")
    assert text.count("critical: major") == 1
    assert "(2 of 2 seeds)" in text
    assert "nothing found" not in text


@pytest.mark.slow
def test_a_phase_without_faults_says_so(params: Params, tmp_path: Path) -> None:
    assert "nothing found" in row(text_of(params, write_runs(tmp_path, {})), "phase3")


def test_targets_stand_with_their_phase(params: Params, tmp_path: Path) -> None:
    text = text_of(params, write_runs(tmp_path, {}))
    assert row(text, "phase2").index("missed</span> codebook") < row(text, "phase2").index("met</span> hyperparameters")
    assert "1 not comparable" in row(text, "phase2")
    assert "stable: yes</li>" in row(text, "phase2")
    assert "codebook: 1 %" not in row(text, "phase1")
    assert "the analysis sets none" in row(text, "baseline")


@pytest.mark.slow
def test_what_a_file_says_is_text_and_no_markup(params: Params, tmp_path: Path) -> None:
    text = text_of(params, write_runs(tmp_path, {"phase1": [finding("<b>", "note")]}))
    assert "cpu &lt;of a laptop&gt;" in text
    assert "&lt;b&gt; in &lt;epoch&gt; 3." in text
    assert "<b>" not in text


def test_a_damaged_file_is_named(params: Params, tmp_path: Path) -> None:
    folders = write_runs(tmp_path, {})
    (folders["phase1"][0] / "diagnosis.json").write_text("{")
    with pytest.raises(UserError, match=r"phase1/seed0/diagnosis\.json: not valid JSON"):
        text_of(params, folders)
