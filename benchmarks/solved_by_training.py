"""How many held-out tasks a training rule of one step solves on all their pairs: what `kin` misses.

Usage: python benchmarks/solved_by_training.py [TASKS]. About a minute for 300 tasks on one core. A rule that agrees
with a held-out one on these four pairs may differ on others: `largest` and `tallest` often mean the same object.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import product

from arcjepa.config import load
from arcjepa.primitives import KINDS, NEW, OLD, PRIMITIVES, Step, step_of
from arcjepa.programs import is_held_out, parse_program
from arcjepa.regions import background_of
from arcjepa.synthetic import generate_shard
from arcjepa.tasks import Task

SHOWN = 12


def training_steps(task: Task) -> Iterator[Step]:
    """All steps that may train and name no colour but those of the task, nor its background, which no rule names."""
    grounds = {background_of(pair.input) for pair in task.pairs}
    inputs, outputs = (
        sorted({int(cell) for grid in grids for cell in grid.ravel()} - grounds)
        for grids in zip(*((pair.input, pair.output) for pair in task.pairs), strict=True)
    )
    for primitive in PRIMITIVES.values():
        spaces = [[(c,) for c in inputs] if kind == OLD else [(c,) for c in outputs] if kind == NEW else KINDS[kind]
                  for kind in primitive.kinds]  # fmt: skip
        for parts in product(*spaces):
            step = step_of(primitive, tuple(value for part in parts for value in part))
            if not is_held_out((step,)):
                yield step


def solves(step: Step, task: Task) -> bool:
    """Whether the step gives every output of the task."""
    for pair in task.pairs:
        out = step.apply(pair.input)
        if out is None or out.shape != pair.output.shape or out.tobytes() != pair.output.tobytes():
            return False
    return True


def main(count: int) -> None:
    """Print the share, and the names that stand for one another most often."""
    tasks = generate_shard(load().data.synthetic, 0, 0, count, True)
    solved: Counter[int] = Counter()
    total: Counter[int] = Counter()
    names: Counter[str] = Counter()
    for task in tasks:
        steps = len(parse_program(task.rule))
        total[steps] += 1
        found = [step for step in training_steps(task) if solves(step, task)]
        solved[steps] += bool(found)
        names.update(sorted({f"{task.rule.split('(')[0]} by {step.primitive.name}" for step in found}))
    print(f"solved by one training step: {solved.total()} of {count} held-out tasks ({solved.total() / count:.1%})")
    for steps in sorted(total):
        print(f"  of {steps} steps: {solved[steps]} of {total[steps]}")
    for name, times in names.most_common(SHOWN):
        print(f"  {times:4} {name}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
