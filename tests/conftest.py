"""Fixtures that several test files share. Imports are inside, as tests of the data side need no torch."""

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# Before torch or numpy start their threads: tests run side by side, and their numbers should not depend on the cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

# No example has a time limit: machines are shared.
settings.register_profile("shared", parent=settings.default, deadline=None)
settings.load_profile("shared")

if TYPE_CHECKING:
    from arcjepa.config import Params
    from arcjepa.corpus import Corpus
    from arcjepa.tokens import Tokens


@pytest.fixture(scope="session")
def params() -> "Params":
    """The committed params.yaml at scale tiny."""
    from model_cases import tiny_params

    return tiny_params()


@pytest.fixture(scope="session")
def corpus() -> "Corpus":
    """A tiny synthetic corpus."""
    from model_cases import tiny_corpus

    return tiny_corpus()


@pytest.fixture(scope="session")
def tokens(corpus: "Corpus") -> "Tokens":
    """The training tokens of the tiny corpus."""
    return corpus.training


@pytest.fixture
def seeded() -> None:
    """What a test draws from torch's generator is the same every time."""
    import torch

    torch.manual_seed(0)
