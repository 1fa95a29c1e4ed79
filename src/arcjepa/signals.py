"""The signals by which a scheduler announces that a job is to end: noted, and answered between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
FAILED = 128
"""What the number of a signal is added to for the exit status of who ends by it: a failure, so that the job is repeated
where its scheduler repeats jobs."""


class Noted:
    """Which of ENDING came last, None while none has."""

    last: signal.Signals | None = None

    def listen(self) -> None:
        """Have ENDING noted, also where native code has taken them since, which Python is not told of.

        LLVM takes them once it compiles a kernel of Triton's, and passes on all but SIGUSR1, which would be lost.
        """
        for number in ENDING:
            signal.signal(number, self.note)

    def note(self, number: int, _: FrameType | None) -> None:
        """A handler that does nothing else: a step, or a file, may be half done."""
        self.last = signal.Signals(number)


@contextmanager
def noted_signals() -> Iterator[Noted]:
    """Note ENDING instead of ending, wherever `listen` is called now and then. In the main thread only."""
    noted = Noted()
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        noted.listen()
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
