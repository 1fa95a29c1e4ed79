"""Checkpoints that were cut, flipped or made to harm: none is believed, nothing runs, no run begins anew in silence."""

import hashlib
import io
import json
import os
import pickle
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from amounts import amount, fault
from model_cases import tiny_corpus
from safetensors.torch import save
from trainings import go_on, process, results, tiny_run

from arcjepa.checkpoint import Checkpoints, State
from arcjepa.errors import UserError
from arcjepa.weight_files import CHECKPOINT_HEAD, MAGIC


def state(step: int) -> State:
    return State({"x": torch.arange(500.0) * step, "flag": torch.tensor(True)}, {"step": step, "best": float("inf")})


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    """Two checkpoints, of steps 1 and 2."""
    said: list[str] = []
    made = Checkpoints(tmp_path / "kept", {"seed": 0, "said": said}, said.append)
    made.identity.pop("said")
    for step in (1, 2):
        made.write(state(step))
    return made


def paths(kept: Checkpoints) -> list[Path]:
    return sorted(kept.own.glob("*.checkpoint"))


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flip(data: bytes, rng: random.Random) -> bytes:
    bit, flipped = rng.randrange(8 * len(data)), bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


DAMAGES = [(cut, number) for number in range(amount(20, 200))] + [(flip, number) for number in range(amount(50, 500))]


@pytest.mark.parametrize(("damage", "number"), DAMAGES)
@fault("checkpoint truncated, or one bit flipped")
def test_a_damaged_one_is_noticed_told_and_passed_over(
    kept: Checkpoints, damage: Callable[[bytes, random.Random], bytes], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, said = random.Random(number), []
    kept = Checkpoints(kept.folder, kept.identity, said.append)
    old, new = paths(kept)
    new.write_bytes(damage(new.read_bytes(), rng))
    found = kept.newest()
    assert found is not None
    assert found.numbers["step"] == 1
    assert found.numbers["best"] == float("inf")
    assert found.tensors["x"].equal(state(1).tensors["x"])
    assert said[0].startswith(f"warning: {new}: is damaged: ")
    assert said[1] == f"going on after step 1, from {old}"
    # What is written from now on is the newest again.
    assert paths(kept) == [old]
    # And where both are damaged there is no run at all.
    old.write_bytes(damage(old.read_bytes(), rng))
    with pytest.raises(UserError, match=rf"{old}: is damaged: .*to train from the start type: rm -r {kept.own}$"):
        kept.newest()
    assert old.exists()


def test_a_training_goes_on_from_the_one_before(tmp_path: Path) -> None:
    phase = tiny_run("phase2")
    process(go_on, tmp_path / "whole", phase).join()
    process(go_on, tmp_path / "run", phase, (7, "after the rename")).join()
    new = max(tmp_path.glob("run/kept/*/*.checkpoint"))
    new.write_bytes(flip(new.read_bytes(), random.Random(0)))
    process(go_on, tmp_path / "run", phase).join()
    said = (tmp_path / "run/said").read_text()
    assert f"warning: {new}: is damaged" in said
    assert "going on after step 6, from" in said
    assert results(tmp_path / "run") == results(tmp_path / "whole")


def test_a_training_with_nothing_but_damaged_ones_does_not_begin(tmp_path: Path) -> None:
    phase = tiny_run("phase2")
    process(go_on, tmp_path / "run", phase, (7, "after the rename")).join()
    for path in tmp_path.glob("run/kept/*/*.checkpoint"):
        path.write_bytes(b"")
    losses = (tmp_path / "run/losses.csv").read_bytes()
    one = process(go_on, tmp_path / "run", phase)
    one.join()
    assert one.exitcode == 1
    assert (tmp_path / "run/losses.csv").read_bytes() == losses
    assert not (tmp_path / "run/encoder.safetensors").exists()


# --- made to harm


class Bad:
    """Runs a command when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def saved_by_torch(thing: Any, **how: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(thing, stream, **how)
    return stream.getvalue()


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/").replace("UP", ".."), content)
    return stream.getvalue()


def numpy_objects(thing: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([thing], dtype=object), allow_pickle=True)
    return stream.getvalue()


def headed(header: Any, tail: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + tail


def numbered(numbers: bytes) -> bytes:
    return save({"numbers": torch.frombuffer(bytearray(numbers), dtype=torch.uint8)})


def harmful(mark: Path) -> dict[str, bytes]:
    """Files that would leave a mark, or take all memory, in a reader that believes them."""
    touch = f"touch {mark}"
    evaluated = f"__import__('os').system({touch!r})"
    shell, evaluation = Bad(os.system, touch), Bad(eval, evaluated)
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    return {
        "pickle of os.system": pickle.dumps(shell),
        "pickle of eval": pickle.dumps(evaluation),
        "pickle of exec": pickle.dumps(Bad(exec, f"import os; os.system({touch!r})")),
        "torch.save of os.system": saved_by_torch(shell),
        "torch.save of eval among tensors": saved_by_torch({"x": torch.ones(2), "y": [evaluation]}),
        "torch.save in the old format": saved_by_torch(shell, _use_new_zipfile_serialization=False),
        "nested torch.save": saved_by_torch({"storage": saved_by_torch(shell), "inner": [{"x": shell}]}),
        "zip that leads out": archive(UP__UP__UP__mark=b"x", archive__data_pkl=pickle.dumps(shell)),
        "zip with a pickle": archive(archive__data_pkl=pickle.dumps(shell), archive__version=b"3"),
        "numpy objects": numpy_objects(shell),
        "npz of objects": archive(x_npy=numpy_objects(evaluation)),
        "numbers that are a pickle": numbered(pickle.dumps(shell)),
        "numbers nested deeply": numbered(b"[" * 100_000),
        "numbers that are code": numbered(evaluated.encode()),
        "numbers that are a list": numbered(b"[1, 2]"),
        "no numbers": save({"x": torch.ones(2)}),
        "header of many terabytes": headed({"x": tensor}, bytes(4), length=2**62),
        "tensor of many terabytes": headed({"x": tensor | {"shape": [2**40]}}, bytes(4)),
        "offsets that lead out": headed({"x": tensor | {"data_offsets": [-8, 2**40]}}, bytes(4)),
        "offsets that overlap": headed({"x": tensor, "y": tensor}, bytes(4)),
        "header of code": headed(evaluated.encode()),
        "header nested deeply": headed(b'{"x":' * 100_000),
        "shell script": f"#!/bin/sh\n{touch}\n".encode(),
        "python module": evaluated.encode(),
    }


UNPICKLED: list[str] = []
sys.addaudithook(lambda event, _: UNPICKLED.append(event) if event in ("pickle.find_class", "os.system") else None)


@pytest.mark.parametrize("vouched", [False, True], ids=["as it is", "with a checksum that fits"])
@pytest.mark.parametrize("name", harmful(Path("mark")))
@fault("malicious checkpoint")
def test_a_file_made_to_harm_runs_nothing(kept: Checkpoints, name: str, vouched: bool, tmp_path: Path) -> None:
    content = harmful(tmp_path / "mark")[name]
    for path in paths(kept):
        path.write_bytes(MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n" + content if vouched else content)
    UNPICKLED.clear()
    with pytest.raises(UserError, match=r"is damaged: .*to train from the start type: rm -r"):
        kept.newest()
    assert UNPICKLED == []
    assert not (tmp_path / "mark").exists()
    assert not list(tmp_path.rglob("mark"))


def test_those_files_do_harm_a_reader_that_believes_them(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    pickle.loads(harmful(tmp_path / "mark")["pickle of os.system"])
    assert (tmp_path / "mark").exists()


def test_a_whole_checkpoint_of_something_else_is_no_state(tmp_path: Path) -> None:
    """Whoever can write a checksum can write tensors: they are refused where they do not fit."""
    from dataclasses import replace

    from model_cases import run_in

    from arcjepa import runs

    run, phase = replace(run_in(tmp_path), checkpoints=tmp_path / "kept"), tiny_run("phase2")
    kept = runs.checkpoints_of(phase, tiny_corpus(), run, "cpu", print)
    assert kept is not None
    kept.write(state(1))
    with pytest.raises(UserError, match="does not fit this training"):
        runs.train(phase, tiny_corpus(), run, print)


def test_the_first_line_is_as_long_as_it_says(kept: Checkpoints) -> None:
    data = paths(kept)[0].read_bytes()
    assert data[CHECKPOINT_HEAD - 1 : CHECKPOINT_HEAD] == b"\n"
    assert hashlib.sha256(data[CHECKPOINT_HEAD:]).hexdigest().encode() == data[len(MAGIC) : CHECKPOINT_HEAD - 1]
