"""An endless source of ARC-like tasks: random programs of primitives, each shown by several pairs on structured grids.

Training and held-out rules are disjoint whatever the seeds, and stay so under views: see `arcjepa.programs`. What a
rule needs to be inferred is checked on every pair: see `_realise`.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import NamedTuple, Protocol

import numpy as np

from arcjepa.dice import Dice
from arcjepa.errors import UserError
from arcjepa.grids import BACKED, STYLES, random_grid
from arcjepa.primitives import BASE, PRIMITIVES, Primitive, draw_step
from arcjepa.programs import Program, is_held_out, kin, rule_text
from arcjepa.regions import count_colours
from arcjepa.tasks import Pair, Task

SHARED_SCENE = 0.85  # share of tasks whose pairs have one style and one palette, as in ARC
SHARED_SIZE = 0.4  # share of tasks whose inputs have one size
BLACK = 0.75  # share of tasks with background 0, as in ARC
GRID_TRIES = (6, 16)  # grids drawn for the first pair, and for another, before the rule is dropped
RULE_TRIES = 2000  # rules dropped before the settings are called impossible
DRAW_TRIES = 20000  # rules drawn in search of one on the wanted side of the split
CROWD = 4  # held-out tasks of one kin before another of it is as likely as not dropped


class SyntheticSettings(Protocol):
    """What the generator is told."""

    @property
    def pairs(self) -> int:
        """Pairs of a task, the last of them its test; at least 2."""

    @property
    def atomic_share(self) -> float:
        """Share of tasks with a program of one step; the others have 2 to max_steps."""

    @property
    def max_steps(self) -> int:
        """Most steps of a program, 1 to 3."""

    @property
    def min_side(self) -> int:
        """Shortest side of an input, 3 to 30."""

    @property
    def max_side(self) -> int:
        """Longest side of an input, up to 30."""

    @property
    def min_colours(self) -> int:
        """Fewest colours of an input, background included; at least 2."""

    @property
    def max_colours(self) -> int:
        """Most colours of an input, background included; up to 10."""

    @property
    def noise_share(self) -> float:
        """Share of tasks on noise instead of structured grids."""

    @property
    def styles(self) -> Sequence[str] | str:
        """Names of `arcjepa.grids.STYLES`, or "all"."""

    @property
    def primitives(self) -> str:
        """ "all", or "base" for the ten of the kinds that the analysed run had."""


class _Deck(NamedTuple):
    """What is drawn from, prepared once a shard."""

    settings: SyntheticSettings
    held_out: bool
    primitives: tuple[Primitive, ...]
    cumulative: list[float]
    styles: tuple[str, ...]
    shown: Counter[str]
    """Held-out tasks so far, by kin."""


class _Scene(NamedTuple):
    """What the inputs of one task have in common."""

    style: str
    palette: tuple[int, ...]
    max_side: int  # of inputs, so that outputs fit
    size: tuple[int, int] | None  # of every input, if they share one


def generate_shard(settings: SyntheticSettings, seed: int, shard: int, count: int, held_out: bool) -> list[Task]:
    """`count` tasks, a pure function of the arguments; a smaller count gives the first of them.

    Ids are `syn-s00012-000345` (shard, number) or `held-s...`; rules are in `Task.rule`. UserError where a setting has
    an unknown name or no rule can be shown under the settings.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, shard, int(held_out)]))
    dice, deck = Dice(rng), _prepare(settings, held_out)
    prefix = "held" if held_out else "syn"
    return [_draw_task(dice, deck, f"{prefix}-s{shard:05d}-{index:06d}") for index in range(count)]


def _prepare(settings: SyntheticSettings, held_out: bool) -> _Deck:
    """Names resolved; UserError for those that do not exist."""
    styles = tuple(STYLES) if settings.styles == "all" else tuple(settings.styles)
    unknown = [style for style in styles if style not in STYLES]
    if unknown or not styles:
        raise UserError(f"synthetic.styles: {settings.styles!r}; allowed: all, or a list of {', '.join(STYLES)}")
    if settings.primitives not in ("all", "base"):
        raise UserError(f"synthetic.primitives: {settings.primitives!r}; allowed: all, base")
    names = BASE if settings.primitives == "base" else tuple(PRIMITIVES)
    table = tuple(PRIMITIVES[name] for name in names)
    return _Deck(settings, held_out, table, list(accumulate(p.weight for p in table)), styles, Counter())


def _draw_task(dice: Dice, deck: _Deck, task_id: str) -> Task:
    """A task of a random rule; kind of scene and number of steps are drawn first, so that their shares hold."""
    settings = deck.settings
    noisy, steps = dice.chance(settings.noise_share), _draw_steps(dice, settings)
    for _ in range(RULE_TRIES):
        program = _draw_rule(dice, deck, steps)
        if deck.held_out and _crowded(dice, deck, program):
            steps = _draw_steps(dice, settings)
            continue
        pairs = _realise(dice, deck, program, noisy)
        if pairs is not None:
            deck.shown[kin(program)] += deck.held_out
            return Task(task_id, tuple(pairs[:-1]), tuple(pairs[-1:]), rule_text(program))
    raise UserError(
        f"synthetic: no rule of {steps} steps could be shown in {RULE_TRIES} tries; allowed: wider ranges of sides "
        f"({settings.min_side}..{settings.max_side}) and colours ({settings.min_colours}..{settings.max_colours}), "
        "or more styles"
    )


def _draw_steps(dice: Dice, settings: SyntheticSettings) -> int:
    atomic = dice.chance(settings.atomic_share)
    return 1 if atomic else dice.between(min(2, settings.max_steps), settings.max_steps)


def _crowded(dice: Dice, deck: _Deck, program: Program) -> bool:
    """Whether to drop a rule for the many of its kin: few kin of one step are held out, and would be most of the tasks.

    Intervals resample kin, so that a hundred tasks of one say little more than ten.
    """
    return not dice.chance(CROWD / (CROWD + deck.shown[kin(program)]))


def _draw_rule(dice: Dice, deck: _Deck, steps: int) -> Program:
    """A program on the wanted side of the split between training and held-out rules."""
    for _ in range(DRAW_TRIES):
        program = _draw_program(dice, deck, steps)
        if program is not None and is_held_out(program) == deck.held_out:
            return program
    side = "held out" if deck.held_out else "for training"
    raise UserError(
        f"synthetic.primitives: {deck.settings.primitives!r} has no rule of {steps} steps {side}; allowed: all"
    )


def _draw_program(dice: Dice, deck: _Deck, steps: int) -> Program | None:
    """A program in canonical order, or None where it would be another name for a shorter one."""
    total = deck.cumulative[-1]
    drawn = [deck.primitives[bisect(deck.cumulative, dice.point(total))] for _ in range(steps)]
    if steps == 1:
        return (draw_step(dice, drawn[0]),)
    for _ in range(steps - 1):  # recolouring commutes with turns and mirrors: it comes first
        for i in range(steps - 1):
            if drawn[i].family == "symmetry" and drawn[i + 1].family == "colours":
                drawn[i], drawn[i + 1] = drawn[i + 1], drawn[i]
    if len(set(drawn)) < steps:
        return None
    for before, after in pairwise(drawn):
        if before.summary or (before.family and before.family == after.family):
            return None
    return tuple([draw_step(dice, p) for p in drawn])


def _draw_scene(dice: Dice, deck: _Deck, program: Program, noisy: bool) -> _Scene | None:
    """Style, palette and sizes that suit the program; None where the settings leave no room for it.

    No step paints with the background: recolouring to it would only be another name for deleting.
    """
    settings = deck.settings
    needs = tuple(dict.fromkeys(colour for step in program for colour in step.needs))
    fewest = max(settings.min_colours, len(needs) + 1)
    longest = min(settings.max_side, 30 // prod(step.growth for step in program))
    most = min(settings.max_colours, program[0].primitive.colours)
    if fewest > most or longest < settings.min_side:
        return None
    count = dice.between(fewest, most)
    spare = dice.shuffled([c for c in range(10) if c not in needs])
    grounds = [c for c in spare if not any(c in step.paints for step in program)]
    if not grounds:
        return None
    background = 0 if dice.chance(BLACK) and 0 in grounds else grounds[0]
    palette = (background, *needs, *(c for c in spare if c != background))[:count]
    size = _draw_size(dice, settings.min_side, longest) if dice.chance(SHARED_SIZE) else None
    return _Scene("noise" if noisy else dice.pick(_styles_for(deck, program)), palette, longest, size)


def _styles_for(deck: _Deck, program: Program) -> tuple[str, ...]:
    """Styles among the allowed that show the first step that needs some, better also the next; else all allowed."""
    suited = deck.styles
    for step in program:
        both = tuple(style for style in step.primitive.styles if style in suited)
        suited = both or suited
    return suited


def _realise(dice: Dice, deck: _Deck, program: Program, noisy: bool) -> list[Pair] | None:
    """Pairs that show a program, or None.

    No pair is unchanged, inputs differ, the outputs are not all equal, and every step shows in a demonstration.
    """
    scene = _draw_scene(dice, deck, program, noisy)
    if scene is None:
        return None
    pairs: list[Pair] = []
    seen, results = set(), set()
    shared = dice.chance(SHARED_SCENE)
    for number in range(deck.settings.pairs):
        if number and not shared:
            scene = _draw_scene(dice, deck, program, noisy) or scene
        pair = _draw_pair(dice, deck.settings, program, scene, GRID_TRIES[number > 0])
        if pair is None or pair.input.tobytes() in seen:
            return None
        pairs.append(pair)
        seen.add(pair.input.tobytes())
        results.add((pair.output.shape, pair.output.tobytes()))
    return pairs if len(results) > 1 and _every_step_shows(program, pairs[:-1]) else None


def _every_step_shows(program: Program, demonstrations: list[Pair]) -> bool:
    """Whether the program without any one of its steps fails, or differs, on some demonstration."""
    if len(program) == 1:
        return True
    shorter = [program[:i] + program[i + 1 :] for i in range(len(program))]
    return all(any(_differs(rest, pair) for pair in demonstrations) for rest in shorter)


def _differs(program: Program, pair: Pair) -> bool:
    output = run_program(program, pair.input)
    return output is None or not _same(output, pair.output)


def _draw_size(dice: Dice, low: int, high: int) -> tuple[int, int]:
    """Height and width, equal half of the time."""
    height = dice.between(low, high)
    return height, height if dice.chance(0.5) else dice.between(low, high)


def _draw_pair(dice: Dice, settings: SyntheticSettings, program: Program, scene: _Scene, tries: int) -> Pair | None:
    """An input and what the program makes of it; None after some failures."""
    backed = scene.style in BACKED
    for _ in range(tries):
        height, width = scene.size or _draw_size(dice, settings.min_side, scene.max_side)
        grid = random_grid(dice, scene.style, height, width, scene.palette)
        colours, background = count_colours(grid)
        enough = settings.min_colours <= colours <= settings.max_colours
        if not enough or (backed and background != scene.palette[0]):
            continue
        output = run_program(program, grid)
        if output is not None and not _same(output, grid):
            return Pair(grid, output)
    return None


def run_program(program: Program, grid: np.ndarray) -> np.ndarray | None:
    """The output; None where a step does not apply, or leaves one colour although it does not sum up the grid."""
    for step in program:
        result = step.apply(grid)
        if result is None or not (step.primitive.summary or _varied(result)):
            return None
        grid = result
    return grid


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and first.tobytes() == second.tobytes()


def _varied(grid: np.ndarray) -> bool:
    return grid.tobytes().count(grid.item(0).to_bytes(1, "big")) < grid.size
