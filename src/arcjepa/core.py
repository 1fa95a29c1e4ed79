"""The training core: the modules that a training step executes, whatever the phase. A test traces a step of each."""

import ast
import io
import tokenize
from pathlib import Path

CORE = (
    *("randomness", "ranks", "dataset", "views", "inputs"),
    *("attention", "kernels", "encoder", "quantizer", "predictor", "jepa"),
    *("sigreg", "sigreg_kernels", "sigreg_loops", "objectives", "schedule", "record", "replay", "trainer"),
)
PACKAGE = Path(__file__).parent


def core_files(package: Path = PACKAGE) -> list[Path]:
    """Its files."""
    return [package / f"{name}.py" for name in CORE]


def core_lines(package: Path = PACKAGE) -> int:
    """Lines of code of these files: without blank lines, comments and docstrings."""
    return sum(len(_code_lines(path.read_text(encoding="utf-8"))) for path in core_files(package))


_BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def _code_lines(source: str) -> set[int]:
    """Numbers of the lines with a token that is neither a comment nor part of a string that stands for itself."""
    words = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in _BLANK
        for line in range(token.start[0], token.end[0] + 1)
    }
    alone = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr))
    strings = (node for node in alone if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str))
    return words - {line for node in strings for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
