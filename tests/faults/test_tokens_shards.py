"""Token shards that are flipped, cut, gone or swapped: no step is taken, and the line names the file."""

import random
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from amounts import amount, fault
from model_cases import PARAMS, tiny_corpus

from arcjepa.params import read_params
from arcjepa.tokens import manifest_path, save_tokens

SCRIPT = PARAMS.parent / "workflow/scripts/train_encoder.py"
NAMES = ("training", "synthetic-000", "synthetic-001", "validation", "misses-validation", "misses-training")
Damage = Callable[[Path, Path, random.Random], None]


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, Path]:
    """Good files, by name, and their like of another scale."""
    corpus = tiny_corpus()
    for scale in ("tiny", "laptop"):
        for name in NAMES:
            save_tokens(tmp_path / scale / f"{name}.safetensors", corpus.training)
    return {name: tmp_path / f"tiny/{name}.safetensors" for name in NAMES}


def train(shards: dict[str, Path], folder: Path) -> None:
    """What the job of a training does, with these files."""
    training, *synthetic, validation, unlike, misses = map(str, shards.values())
    runpy.run_path(
        str(SCRIPT),
        {
            "snakemake": SimpleNamespace(
                rule="train_encoder",
                config={**read_params(PARAMS), "scale": "tiny"},
                wildcards=Wildcards(phase="phase2", seed="0"),
                input=SimpleNamespace(
                    training=training, synthetic=synthetic, validation=validation, near_misses=[unlike, misses]
                ),
                output=SimpleNamespace(encoder=str(folder / "encoder.safetensors")),
                params=SimpleNamespace(events=str(folder / "events"), checkpoints=str(folder / "kept"), code=""),
                log=[str(folder / "log")],
            )
        },
    )


class Wildcards(SimpleNamespace):
    """As Snakemake gives them."""

    def items(self) -> list[tuple[str, str]]:
        return list(vars(self).items())


def flip(path: Path, _: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    bit = rng.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def cut(path: Path, _: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def zero_a_block(path: Path, _: Path, rng: random.Random) -> None:
    """As a disk loses a sector."""
    data = bytearray(path.read_bytes())
    start = rng.randrange(len(data)) // 512 * 512
    data[start : start + 512] = b"\xaa" * len(data[start : start + 512])
    path.write_bytes(data)


def grow(path: Path, _: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randrange(1, 64)))


def remove(path: Path, *_: object) -> None:
    path.unlink()


def swap(path: Path, other: Path, _: random.Random) -> None:
    """The file alone: these have the same content, so that only what is beside them tells."""
    flip(other, other, random.Random(0))
    swap_files(path, other)


def swap_both(path: Path, other: Path, _: random.Random) -> None:
    """With its manifest."""
    swap_files(path, other)
    swap_files(manifest_path(path), manifest_path(other))


def of_another_scale(path: Path, *_: object) -> None:
    """With its manifest, and under the same name."""
    other = path.parents[1] / "laptop" / path.name
    swap_both(path, other, random.Random(0))


def swap_files(path: Path, other: Path) -> None:
    spare = path.with_name("spare")
    path.rename(spare)
    other.rename(path)
    spare.rename(other)


def damage_manifest(path: Path, other: Path, rng: random.Random) -> None:
    rng.choice((flip, cut, remove))(manifest_path(path), other, rng)


DAMAGES: tuple[Damage, ...] = (
    *(flip, flip, flip, cut, zero_a_block, grow, remove, swap, swap_both, of_another_scale, damage_manifest),
)


@pytest.mark.parametrize("number", range(amount(50, 500)))
@fault("token shard flipped, truncated, missing or swapped")
def test_a_damaged_shard_is_named_before_the_first_step(
    shards: dict[str, Path], tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    steps: list[object] = []
    monkeypatch.setattr("arcjepa.runs.train", lambda *arguments: steps.append(arguments))
    rng = random.Random(number)
    damage = DAMAGES[number % len(DAMAGES)]
    name, other = rng.sample(NAMES, 2)
    damage(shards[name], shards[other], rng)
    with pytest.raises(SystemExit) as ended:
        train(shards, tmp_path / "run")
    assert ended.value.code == 1
    assert steps == []
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "error: " in line]
    swapped = damage in (swap, swap_both)
    assert str(shards[name]) in line or (swapped and str(shards[other]) in line), line
    assert "snakemake --force " in line


def test_good_shards_are_trained_on(shards: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would pass for any other reason."""
    steps: list[object] = []
    monkeypatch.setattr("arcjepa.runs.train", lambda *arguments: steps.append(arguments))
    train(shards, tmp_path / "run")
    assert len(steps) == 1
