"""Fast small random draws."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Fast small draws from a numpy Generator: uniforms are drawn by the thousand and handed out one by one."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._pool: list[float] = []

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return self._uniform() < share

    def point(self, end: float) -> float:
        """A number in [0, end)."""
        return self._uniform() * end

    def below(self, n: int) -> int:
        """An integer in 0..n-1."""
        return int(self._uniform() * n)

    def between(self, low: int, high: int) -> int:
        """An integer in low..high, both included."""
        return low + int(self._uniform() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self._uniform() * len(options))]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in random order."""
        return sorted(options, key=lambda _: self._uniform())

    def cells(self, height: int, width: int, colours: Sequence[int]) -> np.ndarray:
        """(height, width) uint8 of colours drawn independently."""
        drawn = self._rng.integers(0, len(colours), (height, width))
        return np.array(colours, np.uint8)[drawn]

    def _uniform(self) -> float:
        try:
            return self._pool.pop()
        except IndexError:
            self._pool = self._rng.random(1024).tolist()
            return self._pool.pop()
