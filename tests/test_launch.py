"""Ranks are started, told of signals and ended together, and how they ended is told: here they are small programs."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from arcjepa import launch as launching
from arcjepa.errors import UserError
from arcjepa.launch import is_stopped, launch
from arcjepa.signals import ENDING

RANK = 'import os, signal, sys, time; rank = os.environ["RANK"]\n'
SAVES = """
def note(number, _):
    time.sleep(1.5)
    open(sys.argv[1] + rank, "w").write("saved")
    while not all(os.path.exists(sys.argv[1] + one) for one in "01"): time.sleep(0.02)
    os._exit(128 + number)
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, note)
"""
READY = 'open(sys.argv[1] + "ready" + rank, "w").close()\n'
WAITS = "time.sleep(60)\n"


def on_ranks(folder: Path, program: str, ranks: int = 2, patience: float = 60.0) -> None:
    launch(["-c", RANK + program, f"{folder}/"], ranks, patience)


def ranks_left(folder: Path) -> list[psutil.Process]:
    """Ranks that `on_ranks` started with this folder, and that are there still."""
    return [child for child in psutil.Process().children() if f"{folder}/" in child.cmdline()]


def once_ready(folder: Path, ranks: int, number: int, pid: int) -> None:
    """Send a signal once so many ranks say that they are there."""

    def send() -> None:
        while len(list(folder.glob("ready*"))) < ranks:
            time.sleep(0.02)
        os.kill(pid, number)

    threading.Thread(target=send, daemon=True).start()


def test_each_learns_its_place_and_has_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    names = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS", "TORCH_NCCL_ASYNC_ERROR_HANDLING"]
    place = f"*(os.environ[name] for name in {names}), os.getsid(0) == os.getpid()"
    on_ranks(tmp_path, f'print({place}, file=open(sys.argv[1] + rank, "w"))', 3)
    assert [(tmp_path / str(rank)).read_text() for rank in range(3)] == [
        f"{rank} {rank} 3 127.0.0.1 1 1 True\n" for rank in range(3)
    ]
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.slow
@pytest.mark.parametrize("number", ENDING)
def test_ranks_have_all_the_time_they_need_after_a_signal(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is being compiled takes a minute; only once one has ended the others have to end soon."""
    monkeypatch.setattr(launching, "GRACE", 1.0)
    before = signal.getsignal(number)
    once_ready(tmp_path, 2, number, os.getpid())
    with pytest.raises(SystemExit) as ended:
        on_ranks(tmp_path, SAVES + READY + WAITS)
    assert ended.value.code == 128 + number
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["saved", "saved"]
    assert signal.getsignal(number) == before


def test_a_signal_before_ranks_can_save_ends_them_without_a_word(tmp_path: Path) -> None:
    once_ready(tmp_path, 2, signal.SIGTERM, os.getpid())
    with pytest.raises(SystemExit) as ended:
        on_ranks(tmp_path, READY + WAITS)
    assert ended.value.code == 143


def test_a_signal_while_ranks_are_being_started_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, began = launching.Popen, time.monotonic()

    def then_signal(*arguments: Any, env: dict[str, str], **named: Any) -> subprocess.Popen[bytes]:
        started = start(*arguments, env=env, **named)
        if env["RANK"] == "0":
            os.kill(os.getpid(), signal.SIGTERM)
        return started

    monkeypatch.setattr(launching, "Popen", then_signal)
    with pytest.raises(SystemExit) as ended:
        on_ranks(tmp_path, WAITS)
    assert ended.value.code == 143
    assert time.monotonic() - began < 40


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "how"), [("os._exit(3)", "status 3"), ("os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9")]
)
def test_the_first_that_fails_is_named_and_the_others_are_ended(
    end: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be they deaf to any signal that can be ignored."""
    monkeypatch.setattr(launching, "GRACE", 0.5)
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY
    wait = (
        f'while rank == "1" and not os.path.exists(sys.argv[1] + "ready0"): time.sleep(0.05)\nif rank == "1": {end}\n'
    )
    began = time.monotonic()
    with pytest.raises(
        UserError, match=rf"^rank 1 of 2 ended first, {how}, and the others were ended; .* type the same"
    ):
        on_ranks(tmp_path, deaf + wait + WAITS)
    assert time.monotonic() - began < 40
    assert not ranks_left(tmp_path)


@pytest.mark.slow
def test_a_rank_that_stays_stopped_is_named_though_no_other_sees_it(tmp_path: Path) -> None:
    """As where the others wait for a GPU, in a call that nothing interrupts."""
    stops = 'if rank == "1": os.kill(os.getpid(), signal.SIGSTOP)\n'
    with pytest.raises(UserError, match=r"^rank 1 of 2 was stopped, as by SIGSTOP, and the others were ended; "):
        on_ranks(tmp_path, stops + WAITS, patience=1.0)
    assert not ranks_left(tmp_path)


@pytest.mark.slow
def test_a_rank_that_goes_on_in_time_is_left_alone(tmp_path: Path) -> None:
    goes_on = """
if rank == "1":
    pid = os.getpid()
    for _ in range(3):
        if os.fork() == 0:
            while open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "T": time.sleep(0.01)
            time.sleep(0.5); os.kill(pid, signal.SIGCONT); os._exit(0)
        os.kill(pid, signal.SIGSTOP); time.sleep(0.4)
"""
    on_ranks(tmp_path, goes_on, patience=1.2)


@pytest.mark.slow
def test_a_rank_that_fails_while_another_is_stopped_tells_of_both(tmp_path: Path) -> None:
    program = """
if rank == "1":
    open(sys.argv[1] + "ready1", "w").close(); os.kill(os.getpid(), signal.SIGSTOP)
while not os.path.exists(sys.argv[1] + "ready1"): time.sleep(0.02)
time.sleep(1)
os._exit(1)
"""
    both = r"^rank 1 of 2 was stopped, as by SIGSTOP, rank 0 of 2 ended, status 1, and the others were ended; "
    began = time.monotonic()
    with pytest.raises(UserError, match=both):
        on_ranks(tmp_path, program)
    assert time.monotonic() - began < 40


@pytest.mark.slow
def test_ctrl_c_ends_all_and_they_say_nothing(tmp_path: Path) -> None:
    """Of a terminal it goes to the whole foreground group."""
    here = (
        # A background job ignores it.
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"from arcjepa.launch import launch; launch(['-c', {RANK + READY + WAITS!r}, sys.argv[1]], 2, 60)"
    )
    words: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    started = subprocess.Popen([sys.executable, "-W", "ignore", "-c", here, f"{tmp_path}/"], **words)
    once_ready(tmp_path, 2, signal.SIGINT, -started.pid)
    said = started.communicate(timeout=120)[1]
    assert said.count("KeyboardInterrupt") == said.count("Traceback") == 1  # that of who started them, for `job`
    assert started.returncode in (-signal.SIGINT, 130)


def test_stopped_processes_are_known() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS.replace("time", "__import__('time')")]) as one:
        assert not is_stopped(one.pid)
        one.send_signal(signal.SIGSTOP)
        end = time.monotonic() + 10
        while not is_stopped(one.pid) and time.monotonic() < end:
            time.sleep(0.01)
        assert is_stopped(one.pid)
        one.kill()
    assert not is_stopped(one.pid)
