"""`arcjepa diagnose` as it is typed: exit status 0 with findings or none, 2 and one line for bad input."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planted_faults import planted
from record_cases import PARAMS, Healthy

from arcjepa import cli
from arcjepa.analysed_run import ANALYSIS
from arcjepa.cli import main


def write(run: Healthy, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    run.epochs.to_csv(folder / "epochs.csv", index=False)
    run.steps.to_csv(folder / "steps.csv", index=False)
    (folder / "run.json").write_text(json.dumps({"settings": run.settings, "epochs": run.n}))
    return folder


def diagnose(*arguments: str | Path) -> int:
    return main(["diagnose", *map(str, arguments), "--params", str(PARAMS)])


@pytest.mark.slow
def test_findings_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(planted("plateau", 0), tmp_path / "laptop/baseline/seed0")
    assert diagnose(folder) == 0
    shown = capsys.readouterr()
    assert "| warning | plateau | epochs" in shown.out
    assert str(folder / "diagnosis.md") in shown.out
    assert shown.err == ""
    assert [f["name"] for f in json.loads((folder / "diagnosis.json").read_text())["findings"]] == ["plateau"]
    assert (folder / "diagnosis.md").read_text().startswith("# Diagnosis of laptop/baseline/seed0\n")


@pytest.mark.slow
def test_no_findings_are_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnose(write(Healthy(0), tmp_path / "run")) == 0
    assert "No findings" in capsys.readouterr().out


@pytest.mark.slow
def test_the_tables_of_the_analysis_are_diagnosed_and_left_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "analysis"
    shutil.copytree(PARAMS.parent / ANALYSIS, folder)
    before = sorted(path.name for path in folder.iterdir())
    assert diagnose(folder) == 0
    shown = capsys.readouterr().out
    for finding in ("relational explosion | epochs 30-71", "codebook discontinuity | step 3000", "saturated SIGReg"):
        assert finding in shown
    assert "Nothing was written" in shown
    assert sorted(path.name for path in folder.iterdir()) == before
    assert diagnose(folder, "--output", tmp_path / "kept") == 0
    assert (tmp_path / "kept/diagnosis.md").read_text().startswith("# Diagnosis of analysed run\n")


def test_output_goes_where_it_is_wanted(tmp_path: Path) -> None:
    folder = write(Healthy(0), tmp_path / "run")
    assert diagnose(folder, "--output", tmp_path / "new/place") == 0
    assert sorted(path.name for path in (tmp_path / "new/place").iterdir()) == ["diagnosis.json", "diagnosis.md"]
    assert not (folder / "diagnosis.json").exists()


@pytest.mark.slow
def test_thresholds_come_from_params(tmp_path: Path) -> None:
    folder = write(planted("codebook collapse", 0), tmp_path / "run")
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(PARAMS.read_text().replace("codebook_usage: 0.05", "codebook_usage: 0.0"))
    found = []
    for params in (PARAMS, lenient):
        assert main(["diagnose", str(folder), "--params", str(params)]) == 0
        found.append(len(json.loads((folder / "diagnosis.json").read_text())["findings"]))
    assert found == [1, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required: COMMAND; type arcjepa --help"),
        (["diagnos", "x"], "invalid choice: 'diagnos'"),
        (["diagnose"], "required: RUN; type arcjepa diagnose --help"),
        (["diagnose", "nowhere"], "nowhere: is not a folder"),
        (["diagnose", ".", "--params", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["diagnose", "{run}", "--output", "{run}/epochs.csv"], "cannot be written"),
        (["diagnose", "{run}", "--level", "3"], "unrecognized arguments: --level 3"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(Healthy(0), tmp_path / "run")
    given = [argument.replace("{run}", str(folder)) for argument in arguments]
    if "--params" not in given and len(given) > 1:
        given += ["--params", str(PARAMS)]
    assert main(given) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert complaint in shown.err


@pytest.mark.slow
def test_the_command_runs_as_a_process_without_torch(tmp_path: Path) -> None:
    """In seconds: a diagnosis reads tables."""
    folder = write(Healthy(0), tmp_path / "run")
    code = (
        "import sys; from arcjepa.cli import main; status = main(); assert 'torch' not in sys.modules; sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "diagnose", str(folder), "--params", str(PARAMS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert (done.returncode, done.stderr) == (0, "")
    bad = subprocess.run([*command[:4], "nowhere"], capture_output=True, text=True, check=False, cwd=PARAMS.parent)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("error: nowhere: is not a folder")


@pytest.mark.slow
def test_a_reader_that_has_enough_gets_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "arcjepa.cli", "columns"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + 13, "")


@pytest.mark.slow
@pytest.mark.parametrize(("place", "status", "told"), [("/dev/full", 2, "No space left on device"), ("&-", 0, "")])
def test_output_that_nobody_takes_is_one_line(place: str, status: int, told: str) -> None:
    command = f"{sys.executable} -m arcjepa.cli columns >{place}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stderr == (f"error: output: {told}\n" if told else "")


def test_a_path_that_the_system_refuses_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnose("a" * 5000) == 2
    error = capsys.readouterr().err
    assert error.endswith("a: File name too long\n")
    assert len(error) < 300


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_columns", interrupted)
    assert main(["columns"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_cut_row_is_a_finding_and_the_rest_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(planted("plateau", 0), tmp_path / "laptop/baseline/seed0")
    table = folder / "epochs.csv"
    table.write_text(table.read_text()[:-30])
    assert diagnose(folder) == 0
    shown = capsys.readouterr()
    assert "incomplete record" in shown.out
    assert "plateau" in shown.out
