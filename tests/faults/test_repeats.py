"""What nothing interrupts repeats bit for bit; what is not finite stops before a weight moves, and nothing keeps it."""

import random
from pathlib import Path

import pytest
from amounts import ON_DEVICE, amount, fault
from trainings import VARIANTS, go_on, newest_step, poisoned, process, results, tiny_run


@pytest.mark.parametrize("seed", range(amount(1, 5)))
@fault(f"uninterrupted repeat{ON_DEVICE}")
def test_the_same_seed_ends_with_the_same_bits(seed: int, tmp_path: Path) -> None:
    for name in ("one", "other"):
        one = process(go_on, tmp_path / name, tiny_run("phase3", 3600), seed=seed)
        one.join()
        assert one.exitcode == 0
    assert results(tmp_path / "one") == results(tmp_path / "other")


@pytest.mark.parametrize("number", range(amount(2, 20)))
@fault(f"NaN or infinite loss or gradient{ON_DEVICE}")
def test_what_is_not_finite_is_kept_nowhere(number: int, tmp_path: Path) -> None:
    rng = random.Random(number)
    variant, step = rng.choice([*VARIANTS]), rng.randrange(2, 12)
    bad = process(poisoned, tmp_path / "run", tiny_run(variant), step, rng.choice(["nan", "inf", "-inf"]))
    bad.join()
    assert bad.exitcode == 1
    said = (tmp_path / "run/said").read_text()
    assert f"step {step}: loss" in said
    assert newest_step(tmp_path / "run") == step
    assert (tmp_path / "run/not_finite.json").exists()
    assert not (tmp_path / "run/encoder.safetensors").exists()
    for name in ("run", "whole"):
        one = process(go_on, tmp_path / name, tiny_run(variant))
        one.join()
        assert one.exitcode == 0
    assert results(tmp_path / "run") == results(tmp_path / "whole")
