"""Rules as text and their kin: what a view of a training rule shows is never held out."""

from collections import Counter
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from arcjepa import synthetic
from arcjepa.config import load
from arcjepa.dice import Dice
from arcjepa.primitives import KINDS, NEW, OLD, PRIMITIVES, Step, draw_step, step_of
from arcjepa.programs import (
    BUCKETS,
    SYNONYMS,
    TURNED,
    Program,
    bucket,
    is_held_out,
    kin,
    parse_program,
    plain,
    rule_text,
)
from arcjepa.synthetic import generate_shard, run_program
from arcjepa.tasks import Pair

SETTINGS = load().data.synthetic
D8 = [(turns, mirror) for turns in range(4) for mirror in (False, True)]


def turned(grid: np.ndarray, turns: int, mirror: bool) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(grid.T if mirror else grid, turns))


def random_program(dice: Dice, steps: int) -> Program:
    names = dice.shuffled(list(PRIMITIVES))[:steps]
    return tuple(draw_step(dice, PRIMITIVES[name]) for name in names)


def recoloured(step: Step, colours: list[int]) -> Step:
    """The step with its colours renamed."""
    rest, values = list(step.values), []
    for kind in step.primitive.kinds:
        taken = [rest.pop(0) for _ in range(1 if kind in (OLD, NEW) else len(KINDS[kind][0]))]
        values += [colours[int(v)] for v in taken] if kind in (OLD, NEW) else taken
    return step_of(step.primitive, tuple(values))


def of_primitive(name: str, colours: tuple[int, ...]) -> Iterator[Step]:
    """Every step of a primitive with colours among the given."""
    kinds = PRIMITIVES[name].kinds
    spaces = [[(colour,) for colour in colours] if kind in (OLD, NEW) else KINDS[kind] for kind in kinds]
    for values in product(*spaces):
        yield step_of(PRIMITIVES[name], tuple(value for part in values for value in part))


def realised(rule: str, seed: int, wanted: int = 12) -> list[Pair]:
    """Pairs of a rule on grids of all styles."""
    program, dice = parse_program(rule), Dice(np.random.default_rng(seed))
    deck, pairs = synthetic._prepare(SETTINGS, False), []
    for _ in range(400):
        pairs += synthetic._realise(dice, deck, program, False) or []
        if len(pairs) >= wanted:
            break
    return pairs


def shows(step: Step, pairs: list[Pair]) -> bool:
    outputs = [(step.apply(pair.input), pair.output) for pair in pairs]
    return all(out is not None and out.shape == y.shape and (out == y).all() for out, y in outputs)


@pytest.mark.slow
def test_no_view_of_a_training_rule_shows_a_held_out_one() -> None:
    """For every primitive: turn the pairs of a rule; whatever rule of its name gives the turned pairs is of its kin."""
    dice, found = Dice(np.random.default_rng(3)), 0
    for name, primitive in PRIMITIVES.items():
        step = draw_step(dice, primitive)
        pairs = realised(str(step), 5, 40)
        if not pairs:
            continue
        for view in (D8[1], D8[dice.between(2, 7)]):
            viewed = [Pair(turned(pair.input, *view), turned(pair.output, *view)) for pair in pairs]
            names = [other for other in PRIMITIVES if TURNED.get(other, other) == TURNED.get(name, name)]
            colours = tuple(dict.fromkeys((*step.needs, *step.paints)))
            for other in (other for n in names for other in of_primitive(n, colours)):
                if shows(other, viewed):
                    found += str(other) != str(step)
                    assert kin((other,)) == kin((step,)), f"{step} by view {view} is {other}"
    assert found > 40, "views that make another rule of the table of one"


def test_colours_have_no_names() -> None:
    dice = Dice(np.random.default_rng(0))
    for steps in (1, 2, 3) * 300:
        program = random_program(dice, steps)
        renamed = tuple(recoloured(step, dice.shuffled(list(range(10)))) for step in program[:1])
        assert kin(renamed) == kin(program[:1])
        permutation = dice.shuffled(list(range(10)))
        whole = tuple(recoloured(step, permutation) for step in program)
        assert kin(whole) == kin(program), rule_text(program)


def test_which_colours_are_equal_matters() -> None:
    assert kin(parse_program("recolour(3>5)|outline(5)")) != kin(parse_program("recolour(3>5)|outline(7)"))
    assert kin(parse_program("recolour(3>5)|outline(5)")) == kin(parse_program("recolour(4>6)|outline(6)"))


def test_steps_that_commute_are_of_one_kin() -> None:
    assert kin(parse_program("crop|flip_rows")) == kin(parse_program("flip_cols|crop"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gravity(up)", "gravity(left)"),
        ("translate(1,-2)", "translate(2,1)"),
        ("translate(1,-2)", "move_objects(all,2,1)"),
        ("rotate(90)", "rotate(270)"),
        ("tile(1,3)", "tile(3,1)"),
        ("keep_objects(tallest)", "keep_objects(widest)"),
        ("delete_objects(top)", "delete_objects(right)"),
        ("shear(rows,1)", "shear(cols,-1)"),
        ("swap(3>7)|recolour(7>1)", "recolour(2>9)|swap(2>4)"),
    ],
)
def test_one_kin(one: str, other: str) -> None:
    assert kin(parse_program(one)) == kin(parse_program(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rotate(90)", "rotate(180)"),
        ("translate(1,2)", "translate(1,1)"),
        ("keep_objects(largest)", "keep_objects(smallest)"),
        ("gravity(up)", "extend(up)"),
        ("flip_rows", "transpose"),
        ("recolour(1>2)", "recolour(1>2)|flip_rows"),
    ],
)
def test_different_kin(one: str, other: str) -> None:
    assert kin(parse_program(one)) != kin(parse_program(other))


@pytest.mark.parametrize(("name", "value"), SYNONYMS)
def test_synonyms_are_one_rule(name: str, value: int | str | None) -> None:
    dice = Dice(np.random.default_rng(1))
    step = next(
        s for s in (draw_step(dice, PRIMITIVES[name]) for _ in range(2000)) if value is None or value == s.values[0]
    )
    other = plain(step)
    assert other.primitive.name != name
    assert kin((step,)) == kin((other,))
    pairs = realised(str(step), 2)
    outputs = [(run_program((other,), pair.input), pair.output) for pair in pairs]
    both = [(output, wanted) for output, wanted in outputs if output is not None]
    assert both, "a name that applies where the other does"
    for output, wanted in both:
        assert np.array_equal(output, wanted), f"{step} is not {other}"


def test_buckets_are_stable_and_even() -> None:
    assert bucket("recolour(0,1)") == 7
    counts = np.bincount([bucket(f"rule({i})") for i in range(20000)], minlength=BUCKETS)
    assert counts.min() > 1800
    assert counts.max() < 2200


def test_generated_rules_keep_to_their_side() -> None:
    held = generate_shard(SETTINGS, 5, 0, 60, True)
    training = generate_shard(SETTINGS, 5, 0, 120, False)
    assert all(is_held_out(parse_program(task.rule)) for task in held)
    assert not any(is_held_out(parse_program(task.rule)) for task in training)
    assert not {kin(parse_program(task.rule)) for task in held} & {kin(parse_program(task.rule)) for task in training}


@pytest.mark.slow
def test_held_out_tasks_are_of_many_kin() -> None:
    """Few kin of one step are held out: without a limit, a few of them would be most of the tasks."""
    counts = Counter(kin(parse_program(task.rule)) for task in generate_shard(SETTINGS, 5, 0, 300, True))
    assert max(counts.values()) < 20
    assert 300**2 / sum(n * n for n in counts.values()) > 60


def test_unknown_steps_are_named() -> None:
    with pytest.raises(ValueError, match="sparkle"):
        parse_program("flip_rows|sparkle(3)")
