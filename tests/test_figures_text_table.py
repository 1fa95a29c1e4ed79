"""Tables of words: what belongs together stays on one line, and the ends of an interval have alike many decimals."""

import pandas as pd
import pytest
from test_figures import words

from arcjepa.figures.targets import draw_targets
from arcjepa.figures.text_table import fill


@pytest.mark.parametrize(
    "whole", ["[-0.05, +0.00]", "[1.20, 1.23]", "allowed: 7", "needed: 5 %", "findings: none", "-S phase=phase1"]
)
def test_what_belongs_together_stays_on_one_line(whole: str) -> None:
    for width in range(len(whole) + 1, len(whole) + 30):
        lines = fill(f"some words before {whole}; and some after it", width).splitlines()
        assert any(whole in line.replace("\u00a0", " ") for line in lines), width


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(1.20437, 1.23204, "[1.20, 1.23]"), (43.9926, 58.2565, "[44.0, 58.3]"), (0.0405, 0.654, "[0.041, 0.654]"),
     (-120.4, 8300.2, "[-120, 8300]")],
)  # fmt: skip
def test_both_ends_have_the_decimals_of_the_larger(low: float, high: float, told: str) -> None:
    row = {"phase": "phase3", "part": "success criteria", "target": "No loss explosions", "baseline": "", "wanted": ""}
    row |= {"reached": "grows", "low": low, "high": high, "verdict": "met", "why": ""}
    assert f"grows {told}" in words(draw_targets(pd.DataFrame([row]))).replace("\u00a0", " ")
