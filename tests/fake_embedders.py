"""Embedders whose scores are known (one knows every answer, one guesses, one collapsed), and small data."""

import hashlib
from dataclasses import replace

import numpy as np

from arcjepa.data_settings import TokenSettings
from arcjepa.embeddings import Embedding
from arcjepa.frames import Frames
from arcjepa.pool import grid_key
from arcjepa.tasks import Pair, Task
from arcjepa.tokens import Tokens, tokenise
from arcjepa.yardstick import READOUT

SETTINGS = TokenSettings(connectivity=8, background="most_frequent", max_objects=62)
DIMENSIONS = 24
RULES = ("flip_rows", "recolour(1>2)", "crop|flip_cols", "transpose")


class Guessing:
    """Unrelated vectors for different grids, and a prediction that is unrelated to the target."""

    sequence = READOUT

    def embed(self, tokens, frames=None, view=None):
        frames = np.arange(len(tokens)) if frames is None else frames
        vectors = [vector(grid_key(tokens, frame)) for frame in frames]
        made = np.array(vectors, dtype=np.float32).reshape(len(frames), DIMENSIONS)
        return Embedding(frame=made, projected=made)

    def predict(self, projected):
        return np.array([vector(x.tobytes()) for x in projected], dtype=np.float32)

    def code_counts(self, tokens, frames=None):
        return None


class Oracle(Guessing):
    """Knows the target of every query in the given stores."""

    def __init__(self, *stores: Tokens) -> None:
        self.answers = {}
        for tokens in stores:
            made = self.embed(tokens).projected.reshape(-1, 2, DIMENSIONS)
            self.answers |= {x.tobytes(): y for x, y in made}

    def predict(self, projected):
        return np.array([self.answers[np.ascontiguousarray(x[-1]).tobytes()] for x in projected])


class Collapsed(Guessing):
    """One vector for everything."""

    def embed(self, tokens, frames=None, view=None):
        made = np.full((len(tokens) if frames is None else len(frames), DIMENSIONS), 0.5, dtype=np.float32)
        return Embedding(frame=made, projected=made)

    def predict(self, projected):
        return projected[:, -1]

    def code_counts(self, tokens, frames=None):
        return np.array([0, 3 * len(frames), 0, 0])


def vector(key: bytes) -> np.ndarray:
    """A standard normal vector that depends on the key alone."""
    seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
    return np.random.default_rng(seed).normal(size=DIMENSIONS)


def make_frames(count: int, pairs: int = 4, seed: int = 0, prefix: str = "task") -> Frames:
    """Random grids of 5 to 8 cells a side, a fifth of them symmetric; the last pair of each task is its test."""
    rng = np.random.default_rng(seed)

    def grid() -> np.ndarray:
        made = rng.integers(0, rng.integers(2, 7), rng.integers(5, 9, 2)).astype(np.uint8)
        return np.maximum(made, made[:, ::-1]) if rng.random() < 0.2 else made

    made = []
    for t in range(count):
        shown = tuple(Pair(grid(), grid()) for _ in range(pairs))
        made.append(Task(f"{prefix}{t:03d}", shown[:-1], shown[-1:], RULES[t % len(RULES)]))
    return Frames.from_tasks(made)


def with_kin(tokens: Tokens) -> Tokens:
    """The tokens with a rule for each task, each of which has a kin with two tasks."""
    offsets = [(rows, columns) for rows in range(20) for columns in range(rows, 20) if columns]
    names = ("translate", "wrap", "crop|translate")
    rules = tuple("{}({},{})".format(names[t // 2 % 3], *offsets[t // 2]) for t in range(len(tokens.rules)))
    return replace(tokens, rules=rules)


def make_tokens(count: int, pairs: int = 4, seed: int = 0, prefix: str = "task") -> Tokens:
    """`make_frames`, tokenised."""
    return tokenise(make_frames(count, pairs, seed, prefix), SETTINGS)
