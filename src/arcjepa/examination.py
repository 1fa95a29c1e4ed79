"""What an examination of a project finds, one line each; one that breaks off is a finding too, and ends no other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from arcjepa.archives import reason
from arcjepa.errors import UserError
from arcjepa.files import show

FAILURES = (OSError, ValueError, ArithmeticError, LookupError, TypeError, RuntimeError, MemoryError)
"""What reading a sick place raises, in our code and in that of packages: no permission, a disk that fails, no text, a
number that is none, a file of other things, a link to itself, one without end."""


class Finding(NamedTuple):
    """One line."""

    level: str
    """ok; warn for what may matter; fail for what stops the workflow."""
    what: str
    text: str
    command: str = ""
    """What to type next; "" where nothing is to do."""

    def __str__(self) -> str:
        return f"{self.level:4}  {self.what}: {self.text}" + (f"; type: {self.command}" if self.command else "")


class Examination(NamedTuple):
    """One of several, each of which is made whatever the others find."""

    what: str
    place: str
    """What it looks at, relative to the project."""
    examine: Callable[[Path], Iterator[Finding]]

    def findings(self, root: Path) -> Iterator[Finding]:
        """On the project in `root`; the last is that it broke off, where it did."""
        try:
            yield from self.examine(root)
        except FAILURES as error:
            path, why = root / self.place, reason(error) or type(error).__name__
            if isinstance(error, OSError) and error.strerror:
                path, why = Path(error.filename or path), error.strerror
            text = why if isinstance(error, UserError) else f"{show(path):.200}: {why}"
            beside = " ".join(quote(f"{show(one):.200}") for one in (path.parent, path))
            yield Finding("fail", self.what, text, f"ls -ld {beside}")
