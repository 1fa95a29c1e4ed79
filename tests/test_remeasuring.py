"""An encoder's file is measured as its run was, but for what a predictor is needed for."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_cases import PARAMS, briefly_trained, tiny_params
from test_evaluation import DATA

from arcjepa import remeasuring
from arcjepa.cli import main
from arcjepa.comparison import HEADLINE, load_runs, metrics_table
from arcjepa.encoder_files import load_encoder, publish_encoder, save_encoder
from arcjepa.errors import UserError
from arcjepa.evaluation import evaluate
from arcjepa.remeasuring import BOUNDS, OF_PREDICTOR, Origin, measure_again
from arcjepa.scores import save_scores


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an evaluated run of phase2, its published encoder, and a comparison that says one of everything."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "params.yaml").write_text(PARAMS.read_text())
    run, published = folder / "results/runs/tiny/phase2/seed0", folder / "results/encoders/tiny/phase2.safetensors"
    compared = folder / "results/comparison/tiny/metrics.csv"
    for made in (run, published.parent, compared.parent):
        made.mkdir(parents=True)
    trainer = briefly_trained("phase2")
    save_encoder(run / "encoder.safetensors", trainer.jepa, trainer.phase, tiny_params().tokens)
    publish_encoder(run / "encoder.safetensors", published)
    save_scores(run, evaluate(load_encoder(run / "encoder.safetensors"), DATA, tiny_params().evaluation))
    columns = [column + end for column in HEADLINE for end in ("", "_low", "_high")]
    pd.DataFrame([{"name": "phase2"} | dict.fromkeys(columns, 1.0)]).to_csv(compared, index=False)
    return folder


def scenario_of(project: Path, name: str) -> tuple[Path, Path]:
    """Its encoder, that of phase2, and the folder of the sets that it may be in."""
    encoders, sets = project / "results/encoders/tiny", project / "results/comparison/tiny/ablations"
    (encoders / f"{name}.safetensors").write_bytes((encoders / "phase2.safetensors").read_bytes())
    sets.mkdir(exist_ok=True)
    return encoders / f"{name}.safetensors", sets


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "without"),
    [
        ("results/encoders/tiny/phase2.safetensors", OF_PREDICTOR),
        ("results/runs/tiny/phase2/seed0/encoder.safetensors", ()),
    ],
)
def test_a_file_measures_what_its_run_did(
    project: Path, monkeypatch: pytest.MonkeyPatch, file: str, without: tuple[str, ...]
) -> None:
    monkeypatch.setattr(remeasuring, "_data", lambda folder, scale: DATA)
    again = {one.column: one for one in measure_again(project / file, project)}
    runs = load_runs("phase2", [project / "results/runs/tiny/phase2/seed0"])
    row = metrics_table([runs], tiny_params().evaluation).iloc[0]
    assert list(again) == [column for column in HEADLINE if column not in without and pd.notna(row[column])]
    for column, one in again.items():
        assert one.again[0] == pytest.approx(row[column], rel=1e-6)
        assert one.recorded == (1.0, 1.0, 1.0)
        assert column in str(one)
        assert "1.000 [1.000, 1.000]" in str(one)


@pytest.mark.slow
def test_what_no_comparison_has_is_a_dash(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remeasuring, "_data", lambda folder, scale: DATA)
    other, _ = scenario_of(project, "mine")
    assert all(str(one).endswith(" -") for one in measure_again(other, project))


def test_what_an_encoder_has_not_is_not_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_codes = pd.Series(1.0, index=BOUNDS)
    without_codes["code_usage"] = np.nan
    monkeypatch.setattr(remeasuring, "_data", lambda folder, scale: DATA)
    monkeypatch.setattr(remeasuring, "_row", lambda *arguments: without_codes)
    told = [one.column for one in measure_again(project / "results/encoders/tiny/phase2.safetensors", project)]
    assert told == [column for column in HEADLINE if column not in ("code_usage", *OF_PREDICTOR)]


@pytest.mark.slow
def test_a_scenario_is_looked_up_in_the_sets(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remeasuring, "_data", lambda folder, scale: DATA)
    scenario, sets = scenario_of(project, "combined")
    (sets / "beyond-effects.csv").write_text("quantity,effect,value\nval_nce,window,2.0\n")
    columns = "name,readout_nce,readout_nce_low,readout_nce_high"
    (sets / "beyond.csv").write_text(f"{columns}\ncombined,2.0,1.5,2.5\nphase2,2.0,1.5,2.5\n")
    again = {one.column: one.recorded for one in measure_again(scenario, project)}
    assert again.pop("readout_nce") == (2.0, 1.5, 2.5)
    assert np.isnan(list(again.values())).all()
    phase = measure_again(scenario.with_name("phase2.safetensors"), project)
    assert {one.recorded for one in phase} == {(1.0, 1.0, 1.0)}


@pytest.mark.slow
def test_a_comparison_that_was_edited_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remeasuring, "_data", lambda folder, scale: DATA)
    scenario, sets = scenario_of(project, "edited")
    (sets / "edited.csv").write_text("name,val_nce,val_nce_low,val_nce_high\nedited,x,1.5,2.5\n")
    with pytest.raises(UserError, match=r"edited\.csv: edited: .*'x'; make it again with `snakemake --force"):
        measure_again(scenario, project)


def test_data_that_are_not_there_are_named_with_what_makes_them(project: Path) -> None:
    with pytest.raises(UserError, match=r"tokens/tiny/training.*`snakemake evaluation_data --config scale=tiny`"):
        measure_again(project / "results/encoders/tiny/phase2.safetensors", project)


@pytest.fixture
def tracked(project: Path, tmp_path: Path) -> Path:
    """A published encoder in git, in a copy of the project."""
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "results/encoders/tiny/phase2.safetensors"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["add", str(file)], ["commit", "-qm", "published"]):
        subprocess.run([*git, *words], check=True)
    return file


def remove(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    os.truncate(file, 100)


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def link_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def put_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def put_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


HARMS = [
    (remove, "no such file"),
    (cut, "is no encoder of ours: "),
    (damage, "is damaged or edited: "),
    (link_to_itself, "Too many levels of symbolic links"),
    (put_pipe, "is no file"),
    (put_folder, "is no file"),
]


@pytest.mark.parametrize(("harm", "told"), HARMS)
def test_a_published_file_is_brought_back_by_git(
    tracked: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], None],
    told: str,
) -> None:
    shutil.copy(PARAMS.parent / "Snakefile", tracked.parents[3])
    monkeypatch.chdir(tracked.parents[3])
    published, file = tracked.read_bytes(), tracked.relative_to(tracked.parents[3])
    harm(file)
    assert main(["evaluate", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: {told}")
    assert line.endswith(f"; restore it with `git checkout -- {file}`")
    subprocess.run(line.split("`")[-2], shell=True, check=True)
    assert file.read_bytes() == published


@pytest.mark.parametrize(("harm", "told"), HARMS)
def test_a_file_that_git_has_not_is_trained_again(project: Path, harm: Callable[[Path], None], told: str) -> None:
    file = project / "results/encoders/tiny/phase1.safetensors"
    shutil.copy(file.with_name("phase2.safetensors"), file)
    try:
        harm(file)
        with pytest.raises(UserError, match=rf"phase1\.safetensors: {told}.*; train it.* with `snakemake --force"):
            measure_again(file, project)
    finally:
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)


def test_a_file_that_git_has_as_it_is_is_not_brought_back_by_git(tracked: Path) -> None:
    cut(tracked)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(tracked.parents[3])]
    subprocess.run([*git, "commit", "-qam", "damaged"], check=True)
    with pytest.raises(UserError, match="train it again"):
        measure_again(tracked, tracked.parents[3])


def test_without_git_a_file_is_trained_again(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tracked.parent))
    tracked.unlink()
    with pytest.raises(UserError, match="no such file; train it with"):
        measure_again(tracked, tracked.parents[3])


def test_a_misspelt_name_is_told_what_lies_beside(project: Path) -> None:
    folder = project / "results/encoders/tiny"
    with pytest.raises(UserError, match=r"/phaze2\.safetensors: no such file; did you mean phase2\?$"):
        measure_again(folder / "phaze2.safetensors", project)
    with pytest.raises(UserError, match=r"/other\.safetensors: no such file; allowed are .*phase2"):
        measure_again(folder / "other.safetensors", project)


@pytest.mark.parametrize("call", ["stat", "open"])
def test_a_file_that_may_not_be_read_is_told_so(tracked: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    allowed = getattr(Path, call)

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path == tracked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return allowed(path, *arguments, **options)

    monkeypatch.setattr(Path, call, refuse)
    with pytest.raises(UserError) as error:
        measure_again(tracked, tracked.parents[3])
    advice = f"make it readable, type: ls -ld {tracked.parent} {tracked}"
    assert str(error.value) == f"{tracked}: cannot be read: Permission denied; {advice}"


def test_a_file_says_by_its_place_whose_it_is(tmp_path: Path) -> None:
    scales = ["tiny", "laptop"]
    assert Origin.of(tmp_path / "encoders/tiny/phase2.safetensors", scales) == Origin("tiny", "phase2")
    assert Origin.of(tmp_path / "laptop/combined/seed1/encoder.safetensors", scales) == Origin("laptop", "combined")
    for elsewhere in ("/encoder.safetensors", "/mine.safetensors", "/"):
        with pytest.raises(UserError, match=r"'' is no scale"):
            Origin.of(Path(elsewhere), scales)
    with pytest.raises(UserError, match=r"'encoders' is no scale.*results/encoders/SCALE"):
        Origin.of(tmp_path / "encoders/phase2.safetensors", scales)


def test_a_link_into_a_cache_is_as_good_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tiny/phase2/seed0/encoder.safetensors"
    file.parent.mkdir(parents=True)
    file.symlink_to(tmp_path / "cache/files/md5/ab/cdef")
    assert Origin.of(file, ["tiny"]) == Origin("tiny", "phase2")
    monkeypatch.chdir(file.parent)
    assert Origin.of(Path(file.name), ["tiny"]) == Origin("tiny", "phase2")
