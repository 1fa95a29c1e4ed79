"""CUDA graphs: the work of a function recorded once, then started as a whole, without Python in between."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
PLAIN_CALLS = 2
"""Calls before one is recorded: libraries choose their kernels, and the compiler compiles, in the first ones."""


class Replay(Generic[T]):
    """A function without arguments, whose inputs and state are tensors that stay where they are.

    On a GPU its work is recorded at the third call, and replayed in later ones, so that the function itself no longer
    runs: numbers in Python stay as they were, and what it returned is overwritten by the next call. It must not ask
    the device for a value. Elsewhere, or where `recorded` is False, it is called.
    """

    def __init__(self, function: Callable[[], T], recorded: bool) -> None:
        self._function, self._recorded = function, recorded
        self._calls = 0
        self._stream: torch.cuda.Stream | None = None
        """Its own, as memory that a recording is to reuse must not belong to the default stream."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: T | None = None

    def __call__(self) -> T:
        """What the function returns; on a GPU, tensors that the next call overwrites."""
        if not self._recorded:
            return self._function()
        if self._calls < PLAIN_CALLS:
            self._calls += 1
            return self._aside()
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._stream):
                self._result = self._function()
        self._graph.replay()
        assert self._result is not None
        return self._result

    def _aside(self) -> T:
        self._stream = self._stream or torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            result = self._function()
        torch.cuda.current_stream().wait_stream(self._stream)
        return result
