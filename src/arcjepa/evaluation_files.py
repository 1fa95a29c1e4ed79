"""From files to what an encoder is measured on."""

from collections.abc import Iterable
from pathlib import Path

from arcjepa.candidates import load_candidates
from arcjepa.evaluation import EvaluationData
from arcjepa.frames import load_frames
from arcjepa.ranking import TestSet
from arcjepa.tokens import load_tokens

PREFIX = "candidates-"


def load_data(
    tokens: Iterable[Path | str], candidates: Iterable[Path | str], frames: Iterable[Path | str]
) -> EvaluationData:
    """`tokens`: files named after their sets, those of candidates too; `candidates` and `frames`: one file per test
    set, in the same order.

    Errors: UserError naming a file that is missing or damaged.
    """
    stores = {Path(path).stem: load_tokens(path) for path in tokens}
    tests = {}
    for path, grids in zip(map(Path, candidates), frames, strict=True):
        name = path.stem.removeprefix(PREFIX)
        tests[name] = TestSet(load_frames(grids), stores[name], load_candidates(path), stores[path.stem])
    synthetic = next(store for name, store in stores.items() if name.startswith("synthetic"))
    rest = {name: stores[name] for name in ("training", "validation", "heldout", "rearc")}
    return EvaluationData(**rest, synthetic=synthetic, tests=tests)
