"""A training that is killed anywhere, a save included, ends as if it had not been: bit for bit, and soon."""

import random
import time
from pathlib import Path

import pytest
from amounts import ON_DEVICE, amount, fault
from trainings import STAGES, VARIANTS, go_on, newest_step, process, results, tiny_run

KILLS = amount(18, 150, 42) // len(VARIANTS)
INSIDE = amount(10, 50, 8)


class Whole(dict[str, dict[str, str]]):
    """What each variant makes where nothing interrupts it, worked out once it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __missing__(self, variant: str) -> dict[str, str]:
        folder = self.folder / variant
        one = process(go_on, folder, tiny_run(variant, 3600))
        one.join()
        assert one.exitcode == 0, (folder / "said").read_text()
        self[variant] = results(folder)
        return self[variant]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("whole"))


def finish(folder: Path, variant: str, seconds: float) -> dict[str, str]:
    one = process(go_on, folder, tiny_run(variant, seconds))
    one.join()
    said = (folder / "said").read_text()
    assert one.exitcode == 0, said
    assert "damaged" not in said
    assert not (folder / "kept").exists()  # its work is done
    return results(folder)


@pytest.mark.parametrize("variant", VARIANTS)
@fault(f"SIGKILL of the trainer at random points{ON_DEVICE}", KILLS)
def test_killed_at_random_it_ends_with_the_same_bits(whole: Whole, variant: str, tmp_path: Path) -> None:
    rng, kills, chain = random.Random(variant), 0, 0
    while kills < KILLS:
        chain += 1
        # A checkpoint after every step, or only now and then, so that steps are lost and taken again.
        folder, seconds = tmp_path / str(chain), rng.choice((0.0, 0.05))
        while kills < KILLS:
            before = newest_step(folder)
            one = process(go_on, folder, tiny_run(variant, seconds))
            # Now and then before there is a new checkpoint, else after it, so that the run gets on.
            while rng.random() < 0.999 and one.is_alive() and newest_step(folder) <= before:
                time.sleep(0.001)
            time.sleep(rng.random() * 0.5)
            one.kill()
            one.join()
            if one.exitcode == 0:
                break
            kills += 1
            if (folder / "run.json").exists():
                break  # killed after its last word, when its checkpoints are no longer needed
            assert newest_step(folder) >= before
        assert finish(folder, variant, seconds) == whole[variant]


@pytest.mark.parametrize("number", range(INSIDE))
@fault(f"SIGKILL of the trainer inside a save{ON_DEVICE}")
def test_killed_inside_a_save_it_ends_with_the_same_bits(whole: Whole, number: int, tmp_path: Path) -> None:
    rng = random.Random(number)
    variant, stage = rng.choice([*VARIANTS]), STAGES[number % len(STAGES)]
    save = rng.randrange(3, 11)
    one = process(go_on, tmp_path / "run", tiny_run(variant), (save, stage))
    one.join()
    assert one.exitcode == -9
    renamed = STAGES.index(stage) > STAGES.index("before the rename")
    assert newest_step(tmp_path / "run") == (save if renamed else save - 1)
    assert finish(tmp_path / "run", variant, 0) == whole[variant]


def test_what_is_killed_loses_an_interval_at_most(tmp_path: Path) -> None:
    one = process(go_on, tmp_path / "run", tiny_run("phase2"), (9, "before the rename"))
    one.join()
    finish(tmp_path / "run", "phase2", 0)
    assert "going on after step 8, from" in (tmp_path / "run/said").read_text()
