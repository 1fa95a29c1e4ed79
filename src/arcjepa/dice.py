"""Fast small random draws."""

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any, TypeVar

import numpy as np
from numba import njit

T = TypeVar("T")
BLOCK = 1024


class Dice:
    """Fast small draws from a numpy Generator: uniforms are drawn by the thousand and handed out one by one."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        # An iterator that never runs Python but once a block: most of a task is draws.
        self.uniform: Callable[[], float] = chain.from_iterable(map(self._block, repeat(BLOCK))).__next__
        """A number in [0, 1)."""
        self._raw = rng.bit_generator.random_raw
        self._half = -1
        """The unused half of the last 64 bits that `cells` drew, -1 for none."""

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return self.uniform() < share

    def point(self, end: float) -> float:
        """A number in [0, end)."""
        return self.uniform() * end

    def below(self, n: int) -> int:
        """An integer in 0..n-1."""
        return int(self.uniform() * n)

    def between(self, low: int, high: int) -> int:
        """An integer in low..high, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self.uniform() * len(options))]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in random order."""
        return sorted(options, key=lambda _: self.uniform())

    def cells(self, height: int, width: int, colours: Sequence[int]) -> np.ndarray:
        """(height, width) uint8 of colours drawn independently."""
        drawn = np.empty((height, width), np.uint8)
        if len(colours) == 1:
            drawn.fill(colours[0])
            return drawn
        palette, cells, done = bytes(colours), drawn.reshape(-1), 0
        while done < len(cells):
            words = self._raw((len(cells) - done - (self._half >= 0) + 1) // 2)
            done, self._half = _choose(words, self._half, palette, cells, done)
        return drawn

    def _block(self, count: int) -> list[float]:
        return self._rng.random(count)[::-1].tolist()


@njit(cache=True, nogil=True)
def _choose(words: np.ndarray, half: Any, palette: bytes, cells: np.ndarray, done: int) -> tuple[int, int]:
    """Fills `cells` (n,) from `done` on with colours drawn independently, as far as the words of 64 bits go.

    As `Generator.integers` draws, which takes several times as long: by Lemire's method (2019, arXiv 1805.10941) from
    32 bits each, low halves first. Returns how many are filled, and the half that is left or -1.
    """
    count = np.uint64(len(palette))
    unfair = np.uint64((2**32 - len(palette)) % len(palette))
    at = 0
    while done < len(cells) and (half >= 0 or at < len(words)):
        if half >= 0:
            bits, half = np.uint64(half), -1
        else:
            bits, half = words[at] & np.uint64(0xFFFFFFFF), np.int64(words[at] >> np.uint64(32))
            at += 1
        scaled = bits * count
        if (scaled & np.uint64(0xFFFFFFFF)) >= unfair:
            cells[done] = palette[scaled >> np.uint64(32)]
            done += 1
    return done, half
