"""Signals of a scheduler: noted at once, answered between two steps, and the run ends as if there had been none."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from amounts import ON_DEVICE, SIGNALS_EPOCHS, amount, fault
from trainings import go_on, newest_step, process, results, taken_by_native_code, tiny_run

from arcjepa.signals import ENDING, FAILED, noted_signals

SIGNALS = [number for number in ENDING for _ in range(amount(1, 20, 2))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the run makes where nothing interrupts it."""
    folder = tmp_path_factory.mktemp("whole")
    process(go_on, folder, tiny_run("phase3", 3600, SIGNALS_EPOCHS)).join()
    return results(folder)


@pytest.mark.parametrize(("number", "which"), [*enumerate(SIGNALS)])
@fault(f"SIGTERM, SIGUSR1 or SIGUSR2 as a scheduler sends them{ON_DEVICE}")
def test_a_signal_saves_and_ends_and_the_run_goes_on(
    whole: dict[str, str], number: int, which: signal.Signals, tmp_path: Path
) -> None:
    rng, folder, phase = random.Random(number), tmp_path / "run", tiny_run("phase3", 3600, SIGNALS_EPOCHS)
    one = process(go_on, folder, phase)
    while one.is_alive() and not (folder / "said").exists():
        time.sleep(0.001)
    said = folder / "said"
    while one.is_alive() and "epoch 1/" not in said.read_text():
        time.sleep(0.001)
    time.sleep(0.3 * rng.random())
    for _ in range(rng.choice((1, 1, 3))):  # some schedulers repeat themselves
        os.kill(one.pid, which)
    one.join()
    assert one.exitcode == FAILED + which, said.read_text()
    step = newest_step(folder)
    assert 3 <= step < 3 * SIGNALS_EPOCHS  # no interval was over: it was saved because of the signal
    assert f"{which.name}: ended after step {step}, which is kept in {folder}" in said.read_text()
    assert not (folder / "encoder.safetensors").exists()
    again = process(go_on, folder, phase)
    again.join()
    assert again.exitcode == 0
    assert f"going on after step {step}, from" in said.read_text()
    assert results(folder) == whole


def test_native_code_that_takes_signals_does_not_keep_them(whole: dict[str, str], tmp_path: Path) -> None:
    """LLVM takes them in the first step that has Triton compile a kernel."""
    one = process(taken_by_native_code, tmp_path / "run", tiny_run("phase3", 3600, SIGNALS_EPOCHS))
    one.join()
    assert one.exitcode == FAILED + signal.SIGUSR1, (tmp_path / "run" / "said").read_text()
    assert newest_step(tmp_path / "run") == 3
    process(go_on, tmp_path / "run", tiny_run("phase3", 3600, SIGNALS_EPOCHS)).join()
    assert results(tmp_path / "run") == whole


def test_a_handler_does_nothing_but_note() -> None:
    """What is being done is done to its end; outside, signals are what they were."""
    before = [signal.getsignal(number) for number in ENDING]
    with noted_signals() as noted:
        assert noted.last is None
        for number in ENDING:
            os.kill(os.getpid(), number)
            assert noted.last == number
    assert [signal.getsignal(number) for number in ENDING] == before
