"""Progress: every line reaches terminal and log; a user's error is one line, a defect keeps its traceback."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from arcjepa.errors import UserError
from arcjepa.progress import Tee, job, unbuffered


@pytest.fixture
def script(tmp_path: Path) -> SimpleNamespace:
    wildcards = {"scale": "tiny", "phase": "phase2", "seed": "0"}
    return SimpleNamespace(rule="train_encoder", wildcards=wildcards, log=[str(tmp_path / "logs" / "train.log")])


def test_lines_reach_terminal_and_log(script: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with job(script) as say:
        say("epoch 1/3")
        print("printed")
        print("a warning", file=sys.stderr)
    terminal, log = capsys.readouterr().err, Path(script.log[0]).read_text()
    for text in (terminal, log):
        assert "train_encoder phase2 0: epoch 1/3\n" in text
        assert "printed\n" in text
        assert "a warning" in text
        assert "\r" not in text
    assert log.splitlines()[-1].startswith("done in ")


def test_lines_are_in_the_log_at_once(script: SimpleNamespace) -> None:
    with job(script) as say:
        say("epoch 1/3")
        assert "epoch 1/3" in Path(script.log[0]).read_text()


def test_a_line_is_written_whole(script: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs side by side share a terminal, where lines in two parts would mix."""
    written: list[str] = []
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=written.append, flush=lambda: None))
    with job(script) as say:
        say("epoch 1/3")
    with pytest.raises(SystemExit), job(script):
        raise UserError("a.json: bad")
    lines = ["train_encoder phase2 0: epoch 1/3\n", "train_encoder phase2 0: error: a.json: bad\n"]
    assert [text for text in written if text] == lines


def test_user_error_is_one_line_and_status_1(script: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped, job(script):
        raise UserError("a.json: task 'x': bad")
    assert stopped.value.code == 1
    terminal = capsys.readouterr().err
    assert terminal == "train_encoder phase2 0: error: a.json: task 'x': bad\n"
    assert terminal in Path(script.log[0]).read_text()
    assert "Traceback" not in Path(script.log[0]).read_text()


def test_a_full_disk_is_one_line_and_status_1(script: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped, job(script):
        raise OSError(28, "No space left on device", "scores.csv")
    assert stopped.value.code == 1
    terminal = capsys.readouterr().err
    assert terminal.startswith("train_encoder phase2 0: error: scores.csv: No space left on device, ")
    assert terminal.count("\n") == 1
    assert terminal in Path(script.log[0]).read_text()


def test_no_place_for_a_log_is_one_line(script: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    Path(script.log[0]).parent.write_text("a file where a folder should be")
    with pytest.raises(SystemExit), job(script):
        raise AssertionError("not begun")
    assert capsys.readouterr().err.startswith("train_encoder phase2 0: error: ")


def test_a_log_that_cannot_be_written_is_told_once_and_nothing_else_is_lost() -> None:
    terminal = io.StringIO()
    with unbuffered(Path("/dev/full")) as log:
        both = Tee(terminal, log)
        for number in range(3):
            print(number, file=both)
    warning = "warning: /dev/full: No space left on device; what follows is not in it"
    assert [line for line in terminal.getvalue().splitlines() if line] == ["0", warning, "1", "2"]


def test_ctrl_c_is_one_line_and_status_130(script: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped, job(script):
        raise KeyboardInterrupt
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "train_encoder phase2 0: interrupted\n"
    assert "Traceback" not in Path(script.log[0]).read_text()


def test_defect_keeps_its_traceback(script: SimpleNamespace) -> None:
    with pytest.raises(ZeroDivisionError), job(script):
        _ = 1 / 0
    log = Path(script.log[0]).read_text()
    assert "ZeroDivisionError" in log
    assert "done in" not in log


def test_log_names_the_device_that_the_job_was_given(script: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with job(script):
        pass
    assert "CUDA_VISIBLE_DEVICES 3" in Path(script.log[0]).read_text()


def test_streams_are_restored(script: SimpleNamespace) -> None:
    before = sys.stdout, sys.stderr
    with job(script):
        pass
    assert (sys.stdout, sys.stderr) == before
