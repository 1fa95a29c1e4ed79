"""Each contradiction by its computed number, and that it follows the tables."""

import math
from pathlib import Path

import pandas as pd
import pytest
from analysis_cases import ANALYSIS, alter, copied

from arcjepa.claims import Tables
from arcjepa.contradictions import COLUMNS, Statement, checks, contradictions, half_unit
from arcjepa.errors import UserError
from arcjepa.plan_claims import alignment_score

COMPUTED: dict[str, tuple[float, ...]] = {
    "gap to the best loss": (100 * (8.224 / 8.3 - 1),),
    "relational increase": (100 * (1.101 / 0.351 - 1),),
    "relational start value": (0.499,),
    "codebook collapse": (33.6 - 16.4,),
    "codebook range after collapse": (13, 36),
    "context rank in range": (15.53,),
    "target rank in range": (19.34,),
    "plateau": (100 * (1 - 8.224 / 8.43),),
    "gradient at the relational peak": (49.23,),
    "no SIGReg": (0.0401,),
    "InfoNCE rise": (7.567 - 7.430,),
    "relational share at the end": (100 * 0.845 / 8.469,),
    "relational dominance": (100 * 1.101 / 8.667,),
    "relational peak epoch": (71,),
    "start of the explosion": (40,),
    "rank range": (7.25, 15.53),
    "quadratic growth": (math.log(0.845 / 0.499) / math.log(15.53 / 7.25),),
    "inevitable growth": (100 * (0.182 / 0.351 - 1),),
    "cause of the last rise": (100 * (0.845 - 0.831) / (8.469 - 8.313),),
    "InfoNCE in the last rise": (7.567 - 7.430,),
    "refresh epoch": (3000 / 95,),
    "refresh count": (2,),
    "stable isotropy": (6.53e-5 / 8.86e-6,),
    "reduction of the learning rate": (36.38 / 0.5,),
    "raw over weighted": (40, 40),
    "raw loss at the peak": (1.101 / 0.025,),
    "relational share at the peak": (100 * 1.101 / 8.667,),
    "epochs of the evidence": (80 - 71,),
    "single loss component": (2,),
    "change of patience": (15 - 30,),
    "epoch of the stop": (69 + 15,),
    "removed term as improvement": (100 * 0.831 / 8.224,),
    "usage wanted of phase 1": (15, 22),
    "usage without refresh": (13, 27),
    "hyperparameters of L-JEPA": (6,),
    "teacher in phase 2": (2,),
    "bands at epoch 20": (2,),
    "usage of the codebook": (13, 36),
    "stop-gradient": (1,),
    "loss wanted of phase 1": (8.1,),
    "improvement in all": (100 * (1 - 7.8 / 8.224),),
    "usage wanted of phase 3": (25,),
    "rank wanted of phase 3": (22,),
    "loss components after phase 1": (3,),
    "codebook quality in all": (100 * (25 / 33.6 - 1),),
    "alignment at the start": (30, 40),
    "target of the best loss": (8.3,),
    "final performance": (8.487,),
    "alignment in all": (100 * (80 / 30 - 1),),
    "days of a phase": (1, 2),
    "active codes, steps 100-500": (100 * 167 / 768, 100 * 206 / 768),
    "active codes, steps 5100-7600": (100 * 145 / 768, 100 * 276 / 768),
    "alignment, phase2": (87.5,),
    "VQ Usage, phase3": (100 * (25 / 22 - 1), 100 * (25 / 15 - 1)),
}
"""Every contradiction, with its value from numbers as they stand in the analysis."""
ALTERED = [  # table, printed text, other text, rows that have to change
    ("validation_points", "best,69,8.224", "best,66,8.124", "gap to the best loss; plateau; epoch of the stop"),
    ("validation_points", "final,80,8.487", "final,80,8.221", "final performance"),
    (
        *("training_losses", "0.0139,1.101", "0.0139,0.901"),
        "relational increase; relational dominance; raw loss at the peak; relational share at the peak",
    ),
    ("training_losses", "0.0139,1.101", "0.0139,0.751", "relational peak epoch; gradient at the relational peak"),
    ("training_losses", "0.0245,0.499", "0.0245,0.351", "relational start value; quadratic growth"),
    (
        *("training_losses", "80,7.567,0.0401,0.0164,0.845", "80,7.467,0.0301,0.0164,0.945"),
        "InfoNCE rise; InfoNCE in the last rise; cause of the last rise; no SIGReg; relational share at the end",
    ),
    ("training_losses", "0.0120,0.831", "0.0120,0.731", "removed term as improvement"),
    ("training_losses", "0.0223,0.182", "0.0223,0.382", "inevitable growth"),
    ("training_losses", "40,7.805", "39,7.805", "start of the explosion"),
    ("appendix_gradients", "16.36,49.23", "16.36,79.23", "gradient at the relational peak"),
    ("appendix_embeddings", "19.34,33.6", "19.34,13.6", "codebook collapse; codebook quality in all"),
    ("codebook_usage", "22,36,145,276", "14,18,170,270", "codebook range after collapse; usage of the codebook"),
    ("codebook_usage", "22,36,145,276", "22,36,170,270", "active codes, steps 5100-7600"),
    ("codebook_usage", "23,27,167,206", "18,21,177,206", "active codes, steps 100-500; usage without refresh"),
    ("effective_rank", "15.53,19.34", "11.53,14.34", "context rank in range; target rank in range"),
    ("effective_rank", "7.25,8.63", "7.50,8.63", "rank range; quadratic growth"),
    ("variance_isotropy", "6.53e-5", "1.53e-5", "stable isotropy"),
    ("gradient_norms", "37,36.38", "37,56.38", "reduction of the learning rate"),
    ("run_settings", "training.steps,7600", "training.steps,12640", "refresh epoch"),
    ("run_settings", "vq_refresh_interval,3000", "vq_refresh_interval,7000", "refresh epoch; refresh count"),
    ("run_settings", "relational_loss.weight,0.025", "relational_loss.weight,0.01", "raw over weighted"),
    ("run_settings", "use_target_encoder,,true", "use_target_encoder,,false", "stop-gradient"),
    ("balance_evidence", "9.04,7.51", "9.04,7.57", "epochs of the evidence"),
    ("lejepa_gap", "SIGReg + L2", "SIGReg", "single loss component"),
    ("proposed_settings", "set,30,15", "set,15,30", "change of patience; epoch of the stop"),
    ("proposed_settings", "minimal,object_encoder.commitment_cost", ",x", "hyperparameters of L-JEPA"),
    ("proposed_settings", "Fix 2.2,,loss.use_target_encoder,remove", "Fix 2.2,,loss.x,remove", "teacher in phase 2"),
    (
        "proposed_settings",
        "A,relational_loss.weight,set,,0.0",
        "A,relational_loss.weight,set,,0.1",
        "loss components after phase 1",
    ),
    ("curriculum", "1,0,20,20", "1,0,20,21", "bands at epoch 20"),
    ("success_metrics", ",15,22,7,", ",15,20,5,", "usage wanted of phase 1"),
    ("success_metrics", "VQ Usage,15,22,,>,25", "VQ Usage,15,22,,>,20", "VQ Usage, phase3; usage wanted of phase 3"),
    ("success_metrics", "19.3,,,>,22", "19.3,,,>,20", "rank wanted of phase 3"),
    ("success_criteria", "val loss,<,8.1", "val loss,<,8.0", "loss wanted of phase 1"),
    ("success_criteria", "val loss,<,7.8", "val loss,<,7.4", "improvement in all"),
    ("alignment_overall", "C-,30,40", "C-,30,30", "alignment at the start"),
    ("alignment_phase2", "EMA optional,Medium", "EMA optional,Low", "alignment, phase2"),
    ("key_findings", "< 8.3,,8.3", "< 8.3,,8.0", "gap to the best loss; target of the best loss"),
    ("expected_outcomes", "alignment,30,80", "alignment,32,80", "alignment in all"),
    ("durations", "heading,1,2", "heading,5,7", "days of a phase"),
]
ROUNDS = 6


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tables, to be altered."""
    return copied(tmp_path)


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return contradictions(ANALYSIS).set_index("name")


@pytest.fixture(scope="module")
def checked() -> pd.DataFrame:
    return checks(ANALYSIS).set_index("name")


def values(row: pd.Series) -> list[float]:
    return [value for value in (row["computed"], row["computed_high"]) if not math.isnan(value)]


@pytest.mark.parametrize("name", COMPUTED)
def test_a_contradiction_has_the_number_that_follows_from_the_tables(found: pd.DataFrame, name: str) -> None:
    assert values(found.loc[name]) == pytest.approx(list(COMPUTED[name]), rel=1e-9)


def test_these_are_all_contradictions_and_each_says_what_stands_where(found: pd.DataFrame) -> None:
    assert set(found.index) == set(COMPUTED)
    assert found.index.is_unique
    assert list(found.reset_index()) == [name for name in COLUMNS if name != "contradicts"]
    assert (found[["section", "says", "relation", "unit", "verdict"]] != "").all(axis=None)
    assert found[["printed_low", "computed"]].notna().all(axis=None)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("gap to the best loss", "met, not missed"),
        ("relational increase", "an increase of 214 %"),
        ("relational share at the end", "10.0 %"),
        ("relational share at the peak", "12.7 %"),
        ("raw over weighted", "makes it 40"),
        ("improvement in all", "is 5.2 %"),
        ("change of patience", "from 30 to 15"),
        ("codebook collapse", "ends at 33.6 %"),
        ("stop-gradient", "gives 18.75 %, not 31.25"),
        ("refresh epoch", "epoch 31.6"),
        ("gradient at the relational peak", "49.23 at the relational peak, epoch 71"),
    ],
)
def test_a_verdict_says_it_in_words(found: pd.DataFrame, name: str, part: str) -> None:
    assert part in found.loc[name, "verdict"]


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_altered_tables_change_what_is_computed(copy: Path, checked: pd.DataFrame, turn: int) -> None:
    """Several alterations at once, as each check reads all tables."""
    for name, old, new, _ in ALTERED[turn::ROUNDS]:
        alter(copy, name, old, new)
    after = checks(copy).set_index("name")
    for *edit, rows in ALTERED[turn::ROUNDS]:
        for row in rows.split("; "):
            assert values(after.loc[row]) != pytest.approx(values(checked.loc[row]), rel=1e-6), (row, edit)


def test_every_contradiction_is_altered_by_some_table() -> None:
    assert {row for *_, rows in ALTERED for row in rows.split("; ")} == set(COMPUTED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "row"),
    [
        ("key_findings", "< 8.3,,8.3", "< 8.0,,8.0", "target of the best loss"),
        ("run_settings", "training.steps,7600", "training.steps,12640", "refresh epoch"),
        ("run_settings", "use_target_encoder,,true", "use_target_encoder,,false", "stop-gradient"),
        ("proposed_settings", "set,30,15", "set,15,30", "change of patience"),
        ("alignment_phase2", "EMA optional,Medium", "EMA optional,Low", "alignment, phase2"),
        ("durations", "heading,1,2", "heading,5,7", "days of a phase"),
        ("statements", "(314% increase),equals,314", "(214% increase),equals,214", "relational increase"),
    ],
)
def test_a_contradiction_is_gone_once_the_numbers_agree(copy: Path, name: str, old: str, new: str, row: str) -> None:
    alter(copy, name, old, new)
    assert row not in set(contradictions(copy)["name"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "row"),
    [
        ("training_losses", "8.313", "8.317", "totals"),
        ("appendix_embeddings", "14.56", "14.66", "appendix against text"),
        ("appendix_losses", "7.507", "7.570", "appendix against text"),
        ("validation_ranges", "8.43,8.26", "8.41,8.26", "validation ranges"),
        ("appendix_losses", "8.587", "8.577", "validation ranges"),
        ("effective_rank", "14.56,16.06", "7.20,16.06", "continuous rank growth"),
        ("success_metrics", "-5.2,", "-6.2,", "Best Val Loss, all"),
        ("alignment_phase1", "Still auxiliary,,,Low", "Still auxiliary,,,High", "alignment, phase1"),
    ],
)
def test_what_agrees_is_checked_too(copy: Path, checked: pd.DataFrame, name: str, old: str, new: str, row: str) -> None:
    assert not checked.loc[row, "contradicts"]
    alter(copy, name, old, new)
    assert row in set(contradictions(copy)["name"])


@pytest.mark.parametrize(
    ("relation", "low", "high", "holding", "breaking"),
    [
        ("equals", "81", "", [80.5, 81.0, 81.99], [80.4, 82.0]),
        ("equals", "7.5", "", [7.45, 7.59], [7.44, 7.6]),
        ("equals", "8.0", "", [7.95, 8.09], [8.1, 7.9]),
        ("equals", "-5.2", "", [-5.16, -5.29], [5.2, -5.3, -5.1]),
        ("equals", "150", "", [149.5, 150.9], [151, 166.7]),
        ("exactly", "8.0", "", [8.0], [8.01]),
        ("within", "66", "81", [66.7, 81.9], [65.4, 82.0]),
        ("below", "3", "", [2.99], [3.0]),
        ("above", "13", "", [13.01], [13.0, 12.7]),
        ("at least", "20", "", [20.0], [19.9]),
    ],
)
def test_a_printed_number_stands_for_what_rounds_or_is_cut_to_it(
    relation: str, low: str, high: str, holding: list[float], breaking: list[float]
) -> None:
    statement = Statement("", "", "", relation, low, high, "")
    assert [statement.holds((value,)) for value in holding] == [True] * len(holding)
    assert [statement.holds((value,)) for value in breaking] == [False] * len(breaking)


def test_two_ends_that_are_tens_are_right_to_tens() -> None:
    assert Statement("", "", "", "equals", "10", "160", "").holds((13.3, 163.2))
    assert not Statement("", "", "", "equals", "10", "160", "").holds((13.3, 170))
    assert not Statement("", "", "", "equals", "10", "165", "").holds((13.3, 165))
    assert Statement("", "", "", "among", "70", "", "").holds((50, 112))
    assert not Statement("", "", "", "among", "70", "", "").holds((75, 112))


def test_the_last_digit_of_a_printed_number() -> None:
    assert [half_unit(text) for text in ("81", "0.040", "8.67e-5")] == pytest.approx([0.5, 5e-4, 5e-8])


def test_the_ticks_give_the_shares_of_the_checklist() -> None:
    tables = Tables(ANALYSIS)
    assert [alignment_score(tables, stage) for stage in ("production", "phase1", "phase2")] == [31.25, 43.75, 87.5]


@pytest.mark.slow
def test_what_cannot_be_checked_is_named(copy: Path) -> None:
    alter(copy, "statements", "relational factor", "relational faktor")
    with pytest.raises(UserError, match="nothing computes 'relational faktor'"):
        checks(copy)
    alter(copy, "statements", "relational faktor", "relational factor")
    alter(copy, "statements", "(3x),equals", "(3x),resembles")
    with pytest.raises(UserError, match=r"relational factor: relation is 'resembles'; allowed: equals"):
        checks(copy)
    alter(copy, "training_losses", "80,7.567", "79,7.567")
    with pytest.raises(UserError, match=r"lacks the row 80"):
        checks(copy)
