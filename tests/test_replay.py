"""A replayed function is the function: a fake graph stands in for the GPU's."""

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from arcjepa.replay import PLAIN_CALLS, Replay


class FakeGraph:
    """Runs what was recorded in it."""

    recording: "FakeGraph | None" = None

    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> list[FakeGraph]:
    made: list[FakeGraph] = []

    @contextmanager
    def nothing(_: Any) -> Any:
        yield

    @contextmanager
    def recorded(_: Any, stream: Any) -> Any:
        assert stream is own  # that of the plain calls: what they left belongs to it
        yield

    own, stream = (SimpleNamespace(wait_stream=lambda other: None) for _ in range(2))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: made.append(FakeGraph()) or made[-1])
    monkeypatch.setattr(torch.cuda, "graph", recorded)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: own)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", nothing)
    return made


def test_without_a_gpu_it_is_called() -> None:
    calls: list[int] = []
    replay = Replay(lambda: calls.append(len(calls)) or len(calls), recorded=False)
    assert [replay() for _ in range(5)] == [1, 2, 3, 4, 5]


def test_it_is_recorded_once_and_then_replayed(fake_gpu: list[FakeGraph]) -> None:
    calls: list[int] = []

    def function() -> list[int]:
        calls.append(len(calls))
        return calls

    replay = Replay(function, recorded=True)
    for _ in range(PLAIN_CALLS + 4):
        assert replay() is calls
    # While it is recorded the function runs in Python but not on the device: every one of the four is a replay.
    assert len(calls) == PLAIN_CALLS + 1
    assert [graph.replays for graph in fake_gpu] == [4]
