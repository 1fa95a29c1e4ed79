"""The training core: the modules that a training step executes, whatever the phase. A test traces a step of each."""

from pathlib import Path

CORE = (
    *("randomness", "ranks", "dataset", "views", "inputs"),
    *("encoder", "quantizer", "predictor", "jepa"),
    *("sigreg", "objectives", "schedule", "record", "trainer"),
)
PACKAGE = Path(__file__).parent


def core_files(package: Path = PACKAGE) -> list[Path]:
    """Its files."""
    return [package / f"{name}.py" for name in CORE]


def core_lines(package: Path = PACKAGE) -> int:
    """Lines of these files as `wc -l` counts them, comments and blank ones included."""
    return sum(path.read_bytes().count(b"\n") for path in core_files(package))
