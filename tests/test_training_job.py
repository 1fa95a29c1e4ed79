"""How many processes a training is asked for, and how many it gets."""

import pytest
import torch
from model_cases import PARAMS

from arcjepa.config import Params, from_mapping
from arcjepa.errors import UserError
from arcjepa.params import put, read_params
from arcjepa.training_job import TrainingJob, ranks_of


def params(**changes: object) -> Params:
    return from_mapping(put(read_params(PARAMS), {"scale": "tiny", **changes}))


@pytest.mark.parametrize(
    ("asked", "device", "gpus", "expected"),
    [
        (1, "auto", 0, 1),
        (2, "auto", 0, 2),  # on the CPU, to try what several do
        ("auto", "auto", 0, 1),
        ("auto", "auto", 1, 1),  # as in a Slurm job, which asks for one
        ("auto", "auto", 4, 4),
        (2, "cuda", 4, 2),
        (2, "cpu", 1, 2),
        ("auto", "cpu", 4, 1),
    ],
)
def test_ranks_are_those_asked_for_or_the_gpus_of_the_job(
    asked: int | str, device: str, gpus: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert ranks_of(params(ranks=asked, device=device)) == expected


def test_fewer_gpus_than_ranks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="ranks: is 4, and torch finds 2 GPUs here; allowed are auto and 1 to 2"):
        ranks_of(params(ranks=4))


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 9, True, 2.0, "all"])
def test_ranks_are_1_to_8_or_auto(value: object) -> None:
    told = f"params.yaml: ranks: is {value!r}, should be a whole number from 1 to 8, or auto"
    with pytest.raises(UserError, match=f"^{told}$"):
        params(ranks=value)


def test_ranks_divide_every_batch() -> None:
    with pytest.raises(UserError, match=r"ranks: is 3, which does not divide training\.batch_size of baseline, 32"):
        params(ranks=3)


def test_as_many_gpus_as_divide_no_batch_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    config = put(read_params(PARAMS), {"scale": "tiny", "ranks": "auto"})
    files = {"training": "", "synthetic": [], "validation": "", "near_misses": []}
    job = TrainingJob(config, "baseline", 0, **files, folder="", events="", checkpoints="", code="", log="")
    with pytest.raises(UserError, match=r"ranks: auto is 3 here, .* divisors of training\.batch_size, 32, up to 8"):
        job.start(str)
