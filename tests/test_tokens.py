"""Tokens lose nothing that fits, count what does not, and come back from disk as they were or not at all."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from token_cases import Settings, distinct_real_grids, grids, real_frames, settings

from arcjepa.errors import UserError
from arcjepa.frames import Frames, Grids
from arcjepa.tokens import Tokens, detokenise, load_tokens, manifest_path, overflow_summary, save_tokens, tokenise


def fits(tokens: Tokens) -> np.ndarray:
    return tokens.residual.sum(1) == 0


def words_of(tokens: Tokens, i: int) -> bytes:
    """All that the tokens say about frame i."""
    part = slice(tokens.object_start[i], tokens.object_start[i + 1])
    rows = slice(tokens.row_start[part.start], tokens.row_start[part.stop])
    head = np.array([tokens.height[i], tokens.width[i], tokens.background[i]], np.int32)
    return head.tobytes() + tokens.columns[part].tobytes() + tokens.rows[rows].tobytes()


@pytest.mark.slow
def test_every_real_grid_that_fits_comes_back_and_has_tokens_of_its_own() -> None:
    stored = distinct_real_grids()
    tokens = tokenise(Grids.from_list(stored), Settings())
    fitting = np.flatnonzero(fits(tokens))
    assert len(fitting) > 0.8 * len(stored)
    assert all(np.array_equal(detokenise(tokens, i), stored[i]) for i in fitting)
    assert len({words_of(tokens, i) for i in fitting}) == len(fitting)


@given(grids, settings)
@hypothesis_settings(max_examples=100, deadline=None)
def test_nothing_is_lost(grid: np.ndarray, rules: Settings) -> None:
    """What does not fit is drawn as colour 10, at its place; every other cell comes back."""
    tokens = tokenise(Grids.from_list([grid]), rules)
    drawn = detokenise(tokens, 0)
    merged = drawn == 10
    assert np.array_equal(drawn[~merged], grid[~merged])
    np.testing.assert_array_equal(tokens.residual[0], np.bincount(grid[merged], minlength=10))
    kept = tokens.object_start[1] - merged.any()
    assert kept <= rules.max_objects
    assert merged.any() == (tokens.n_components[0] > kept)


@pytest.mark.parametrize("colour", [0, 3])
def test_background_only_has_no_objects(colour: int) -> None:
    tokens = tokenise(Grids.from_list([np.full((30, 1), colour, np.uint8)] * 3), Settings())
    assert len(tokens.columns) == len(tokens.rows) == 0
    assert (tokens.background == colour).all()
    assert (detokenise(tokens, 2) == colour).all()


def test_no_frames() -> None:
    tokens = tokenise(Frames.from_tasks([]), Settings())
    assert len(tokens) == 0
    assert overflow_summary(tokens)["overflowing_share"] == 0


def test_overflow_is_counted() -> None:
    """Twenty lone cells; two more beside them are larger and stay."""
    grid = np.zeros((30, 30), np.uint8)
    grid[::3, ::15] = 1
    grid[1, 5:8] = grid[4, 5:7] = 2
    summary = overflow_summary(tokenise(Grids.from_list([grid, grid[:3], grid * 0]), Settings()))
    assert summary["frames"] == 3
    assert summary["components"] == 22 + 3
    assert summary["most_components"] == 22
    assert summary["overflowing_frames"] == 1
    assert summary["merged_components"] == summary["merged_cells"] == 6
    assert summary["merged_cell_share"] == pytest.approx(6 / (900 + 90 + 900))


def test_the_cut_never_parts_objects_that_tie() -> None:
    """Four cells at one distance from the centre: three would fit, but which three depends on the view."""
    grid = np.zeros((9, 9), np.uint8)
    grid[4, 4] = grid[2, 2] = grid[2, 6] = grid[6, 2] = grid[6, 6] = 1
    tokens = tokenise(Grids.from_list([grid]), Settings(max_objects=4))
    assert tokens.columns[:, [0, 5]].tolist() == [[1, 1], [10, 4]]


def test_pairs_are_carried_along() -> None:
    frames = real_frames().select([5, 0])
    tokens = tokenise(frames, Settings())
    for name in ("height", "width", "pair_task", "pair_is_test", "task_ids", "rules"):
        assert np.array_equal(getattr(tokens, name), getattr(frames, name))


@pytest.mark.parametrize(
    "rules", [Settings(6), Settings(background="black"), Settings(max_objects=63), Settings(max_objects=0)]
)
def test_settings_out_of_range(rules: Settings) -> None:
    with pytest.raises(UserError, match=r"tokens\.(connectivity|background|max_objects): .*; allowed: "):
        tokenise(Grids.from_list([]), rules)


@pytest.mark.parametrize(
    "broken",
    [
        Grids(np.array([10], np.uint8), np.array([1], np.uint8), np.array([1], np.uint8)),
        Grids(np.zeros(31, np.uint8), np.array([31], np.uint8), np.array([1], np.uint8)),
        Grids(np.zeros(3, np.uint8), np.array([2], np.uint8), np.array([2], np.uint8)),
        Grids(np.zeros(1, np.int64), np.array([1], np.uint8), np.array([1], np.uint8)),
    ],
)
def test_broken_grids_never_reach_compiled_code(broken: Grids) -> None:
    with pytest.raises(ValueError, match=r"cells|height"):
        tokenise(broken, Settings())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_tokens(tmp_path / "a.tokens", tokenise(real_frames().select(range(4)), Settings()))
    save_tokens(tmp_path / "b.tokens", tokenise(real_frames().select(range(4, 8)), Settings()))
    return tmp_path / "a.tokens"


def test_saved_tokens_come_back(saved: Path) -> None:
    expected, found = tokenise(real_frames().select(range(4)), Settings()), load_tokens(saved)
    for name in (field.name for field in fields(Tokens)):
        a, b = getattr(expected, name), getattr(found, name)
        assert type(a) is type(b)
        assert np.array_equal(a, b)
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)


def test_the_same_tokens_give_the_same_bytes(saved: Path) -> None:
    before = saved.read_bytes(), manifest_path(saved).read_bytes()
    save_tokens(saved, load_tokens(saved))
    assert (saved.read_bytes(), manifest_path(saved).read_bytes()) == before
    assert sorted(path.name for path in saved.parent.iterdir()) == sorted(
        f"{name}.tokens{end}" for name in "ab" for end in ("", ".json")
    )


def swap_pairs(a: Path, b: Path) -> None:
    swap(a, b)
    swap(manifest_path(a), manifest_path(b))


def flip(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 4
    path.write_bytes(data)


def swap(a: Path, b: Path) -> None:
    spare = a.with_name("spare")
    for source, target in ((a, spare), (b, a), (spare, b)):
        source.rename(target)


DAMAGE = {
    **{f"flipped at {at}": lambda a, at=at: flip(a, at) for at in (0.0, 0.01, 0.5, 1.0)},
    **{f"manifest flipped at {at}": lambda a, at=at: flip(manifest_path(a), at) for at in (0.0, 0.1, 0.5, 0.9, 1.0)},
    "truncated": lambda a: a.write_bytes(a.read_bytes()[:-1]),
    "empty": lambda a: a.write_bytes(b""),
    "manifest truncated": lambda a: manifest_path(a).write_bytes(manifest_path(a).read_bytes()[:-5]),
    "swapped": lambda a: swap(a, a.with_name("b.tokens")),
    "swapped with manifest": lambda a: swap_pairs(a, a.with_name("b.tokens")),
    "missing": Path.unlink,
    "manifest missing": lambda a: manifest_path(a).unlink(),
    "a folder": lambda a: (a.unlink(), a.mkdir()),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(saved: Path, damage: str) -> None:
    DAMAGE[damage](saved)
    with pytest.raises(UserError, match=r"a\.tokens") as caught:
        load_tokens(saved)
    assert "\n" not in str(caught.value)


def test_reading_tokens_does_not_import_numba() -> None:
    """Half a second of every command that only looks at results."""
    code = "import sys, arcjepa.tokens; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
