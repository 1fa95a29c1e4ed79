"""A value stands in one place: for all scales, or with the scale that it is for; none is hidden by another one."""

from typing import Any

import pytest
from test_config import SCALES, committed, message_of, with_leaf

from arcjepa.config import Params, from_mapping
from arcjepa.errors import UserError
from arcjepa.params import leaf, leaves, put
from arcjepa.scales import at_scale, lineage, scale_parents

OTHERS = {
    "seeds": [7],
    "data.synthetic.held_out": 50_000,
    "base.training.epochs": 60,
    "base.training.sequences": 10_000,
}
"""Where the value of another scale does not fit."""
PARENTS = {"tiny": "", "laptop": "", "diagnostic": "production", "production": ""}
TREE = {"a": {"tiny": 1, "laptop": [2], "production": 3}, "b": {"c": 4, "d": {"laptop": 5, "tiny": 6, "production": 7}}}


def values(params: Params) -> dict[str, Any]:
    """Every leaf of params.yaml at the chosen scale, and of what its phases train with."""
    tree = params.model_dump()
    return {**tree, "phases": [params.phase_settings(name).model_dump() for name in params.names]}


@pytest.mark.parametrize(
    ("scale", "expected", "origin"),
    [("tiny", (1, 6), "tiny"), ("laptop", ([2], 5), "laptop"), ("diagnostic", (3, 7), "production")],
)
def test_a_leaf_has_the_value_of_the_scale_or_of_its_parent(scale: str, expected: tuple, origin: str) -> None:
    tree, origins = at_scale(TREE, PARENTS, scale)
    assert tree == {"a": expected[0], "b": {"c": 4, "d": expected[1]}}
    assert origins == {"a": origin, "b.d": origin}


def test_the_committed_scales_are_these_and_hold_nothing_but_parents() -> None:
    assert scale_parents(committed()["scales"], ()) == PARENTS
    assert lineage(PARENTS, "diagnostic") == ["diagnostic", "production"]


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["laptop", "diagnostic"])
def test_every_leaf_that_is_changed_for_all_scales_counts_at_each(scale: str) -> None:
    """Nothing elsewhere hides it: `-S base.training.epochs=9` is 9 epochs."""
    tree = committed(scale=scale)
    before = values(from_mapping(tree))
    del tree["scales"]
    now, _ = at_scale(tree, PARENTS, scale)
    paths = [".".join(path[:-1]) for path, _ in leaves(tree) if path[-1] == "production"]
    assert len(paths) > 20
    for path in paths:
        others = [OTHERS.get(path), *leaf(tree, path).values()]
        other = next(value for value in others if value not in (None, leaf(now, path)))
        assert values(from_mapping(put(committed(scale=scale), {path: other}))) != before, path


def test_one_scale_alone_is_changed_at_its_name() -> None:
    tree = with_leaf("base.optimizer.lr.laptop", 0.01)
    assert from_mapping(tree).phase_settings("phase2").optimizer.lr == 0.01
    assert from_mapping({**tree, "scale": "tiny"}).phase_settings("phase2").optimizer.lr == 0.002


def test_phases_may_depend_on_the_scale_too() -> None:
    tree = with_leaf("phases.phase1.stopping.patience", {"tiny": 2, "laptop": 4, "production": 15})
    assert from_mapping(tree).phase_settings("phase2").stopping.patience == 4
    assert from_mapping({**tree, "scale": "diagnostic"}).phase_settings("phase1").stopping.patience == 15


def test_a_scale_of_ones_own_needs_but_a_parent() -> None:
    tree = {**with_leaf("scales.mine", {"parent": "laptop"}), "scale": "mine"}
    mine, laptop = from_mapping(tree), from_mapping(committed())
    assert values(mine) == values(laptop) | {"scale": "mine"}


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("scales", {}, ["scales: ", "each scale"]),
        ("scales", [1], ["scales: "]),
        ("scales.laptop", 3, ["scales.laptop: is 3", "{parent: SCALE}"]),
        ("scales.Mine", {}, ["scales.Mine", "a-z, 0-9 and _"]),
        ("scales.a/x", {}, ["a-z, 0-9 and _"]),
        ("scales.epochs", {}, ["scales.epochs", "name of a setting"]),
        ("scales.diagnostic.parent", "prod", ["scales.diagnostic.parent: no scale 'prod'", "production"]),
        ("scales.diagnostic.parent", ["tiny"], ["scales.diagnostic.parent: no scale ['tiny']"]),
        ("scales.production.parent", "diagnostic", ["cycle", "diagnostic -> production -> diagnostic"]),
        ("scales.laptop.base", {"training": {"epochs": 3}}, ["scales.laptop.base", "base.training.epochs.laptop"]),
        ("scales.mine", {}, ["seeds: has no value for scale mine", "seeds.mine"]),
        ("base.training.epochs.lap", 3, ["base.training.epochs.lap: no such scale", "did you mean laptop?"]),
        ("base.training.epochs.laptop", {"a": 1}, ["base.training.epochs.laptop: is {'a': 1}", "one value"]),
    ],
)
def test_a_bad_scale_is_an_error_that_names_it(path: str, value: Any, named: list[str]) -> None:
    message = message_of(with_leaf(path, value))
    assert all(part in message for part in named), message


@pytest.mark.slow
@pytest.mark.parametrize("path", ["base.training.epochs", "seeds", "evaluation.pool"])
@pytest.mark.parametrize("scale", ["tiny", "laptop", "production"])
def test_a_leaf_without_a_value_for_a_scale_is_an_error_at_every_scale(path: str, scale: str) -> None:
    for chosen in SCALES:
        tree = committed(scale=chosen)
        del leaf(tree, path)[scale]
        message = message_of(tree)
        assert f"{path}: has no value for scale " in message
        assert f"{path}.{scale}" in message or scale == "production"


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("base.optimizer.lr.production", "5e-4", "base.optimizer.lr.production: is '5e-4', "),
        ("base.training.epochs.production", 0, "base.training.epochs.production: is 0, "),
        ("evaluation.pool.tiny", True, "evaluation.pool.tiny: is True, "),
        ("base.sequence.curriculum.epochs.diagnostic", [8, "x"], "curriculum.epochs.diagnostic[1]: is 'x', "),
    ],
)
def test_a_wrong_value_at_another_scale_is_found_at_this_one(path: str, value: Any, named: str) -> None:
    assert named in message_of(with_leaf(path, value))


def test_how_values_fit_together_is_asked_where_they_are_used() -> None:
    """So that one width for all scales may be tried at one: 100 channels have two heads at laptop, eight elsewhere."""
    tree = with_leaf("base.model.width", 100)
    assert from_mapping(tree).phase_settings("phase1").model.width == 100
    with pytest.raises(UserError, match=r"base\.model at scale production: heads = 8 must divide width = 100"):
        from_mapping({**tree, "scale": "production"})
