"""Files that somebody made to harm: nothing in them is executed, grows without bound or reaches out of the project."""

import ast
import hashlib
import io
import json
import os
import pickle
import re
import resource
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from amounts import amount, examples, fault
from hypothesis import given
from hypothesis import strategies as st
from model_cases import PARAMS, tiny_corpus, tiny_params, tiny_phase
from safetensors.torch import save

from arcjepa.candidates import draw_candidates, load_candidates, save_candidates
from arcjepa.config import canonical
from arcjepa.encoder_files import _digest, load_encoder, save_encoder
from arcjepa.errors import UserError
from arcjepa.examples import Example, Examples, load_examples, save_examples
from arcjepa.file_checks import encoder_fault
from arcjepa.frames import Frames, load_frames, save_frames
from arcjepa.jepa import JEPA
from arcjepa.synthetic import generate_shard
from arcjepa.tokens import load_tokens, manifest, manifest_path, save_tokens, tokenise
from arcjepa.users import load_users
from arcjepa.weight_files import recorded_and_found

ROOT = PARAMS.parent
CODE = [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk")]
FORBIDDEN = {
    r"\bpickle\b": "unpickling runs code",
    r"\btorch\.load\b(?!.*weights_only=True)": "unpickles",
    r"(?<!safetensors\.)\b(np|numpy)\.load\b": "makes room for whatever a header claims; archives.read_arrays does not",
    r"allow_pickle=True": "unpickling runs code",
    r"\byaml\.(load|unsafe_load|full_load)\b": "builds objects",
    r"(?<![\w.])(eval|exec)\(": "runs code",
    r"\bextractall\b|\bshutil\.unpack_archive\b": "writes where an archive says",
    r"\bshell=True\b|\bos\.system\b": "reads names as commands",
    r"\bjoblib\.load\b|\bdill\b|\bshelve\b|\bmarshal\b|read_pickle": "unpickles",
}
TOUCHED = "touched-by-a-file"


@cache
def bare(path: Path) -> str:
    """Code without docstrings; of a rule file, all of it."""
    if path.suffix != ".py":
        return path.read_text()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(0)
    return ast.unparse(tree)


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_nothing_that_runs_what_it_reads_is_called(pattern: str) -> None:
    found = [str(path.relative_to(ROOT)) for path in CODE if re.search(pattern, bare(path))]
    assert found == [], FORBIDDEN[pattern]


def test_the_search_for_what_is_forbidden_finds_it(tmp_path: Path) -> None:
    samples = ["import pickle", "torch.load(x)", "np.load(x)", "f(allow_pickle=True)", "yaml.load(x)", "eval(x)"]
    samples += ["a.extractall()", "run(shell=True)", "joblib.load(x)"]
    assert all(any(re.search(pattern, sample) for pattern in FORBIDDEN) for sample in samples)
    assert not any(re.search(pattern, "torch.load(x, weights_only=True)") for pattern in FORBIDDEN)


class Bomb:
    """What touches a file where it is unpickled."""

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (TOUCHED,)


@pytest.fixture(autouse=True)
def untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The working folder of each test, in which nothing may appear."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / TOUCHED).exists()


@cache
def frames() -> Frames:
    return Frames.from_tasks(generate_shard(tiny_params().data.synthetic, 0, 0, 4, False))


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Path]:
    """A good file of each kind that the project writes and reads."""
    paths = {kind: tmp_path / f"{kind}.npz" for kind in ("frames", "candidates", "examples")}
    paths |= {kind: tmp_path / f"{kind}.safetensors" for kind in ("tokens", "encoder")}
    some = frames()
    save_frames(paths["frames"], some)
    save_candidates(paths["candidates"], draw_candidates(some, 4, 0))
    shown = Example("t", [(some[0], some[1])], some[2], [some[3], some[1]], np.array([0, 1]))
    save_examples(paths["examples"], Examples([shown], np.zeros((2, 3), np.float32), ("a", "b")))
    save_tokens(paths["tokens"], tiny_corpus().training)
    phase = tiny_phase("phase2")
    save_encoder(paths["encoder"], JEPA(phase), phase, tiny_params().tokens)
    return paths


LOADERS: dict[str, Callable[[Path], Any]] = {
    "frames": load_frames,
    "candidates": load_candidates,
    "examples": load_examples,
    "tokens": load_tokens,
    "encoder": load_encoder,
}
ARCHIVES = ("frames", "candidates", "examples")


def refuse(kind: str, path: Path) -> str:
    """The line with which a file is refused, within little memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as error:
        LOADERS[kind](path)
    message = str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


@pytest.mark.parametrize("kind", LOADERS)
def test_good_files_are_read(good: dict[str, Path], kind: str) -> None:
    LOADERS[kind](good[kind])


# --- archives of arrays


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path: Path, held: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in held.items():
            archive.writestr(name, content)


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickled)
    return stream.getvalue()


def header_for(shape: tuple[int, ...], dtype: str = "|u1", more: bytes = b"") -> bytes:
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + more


CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "pickle": lambda _: pickle.dumps(Bomb()),
    "pickled array": lambda _: npy(np.array([Bomb()], dtype=object), pickled=True),
    "header of an object array": lambda _: header_for((1,), "|O", pickle.dumps(Bomb())),
    "call in the header": lambda _: b"\x93NUMPY\x01\x00" + struct.pack("<H", 20) + b"__import__('os')()..",
    "terabytes claimed": lambda _: header_for((2**42,)),
    "more than any machine claimed": lambda _: header_for((2**62, 2**62)),
    "negative shape": lambda _: header_for((-1,)),
    "long header": lambda _: b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31),
    "deep header": lambda _: b"\x93NUMPY\x01\x00" + struct.pack("<H", 60000) + b"(" * 60000,
    "records": lambda _: npy(np.zeros(3, dtype=[("a", "i4"), ("b", "f8")])),
    "text": lambda _: npy(np.array(["a", "b"])),
    "times": lambda _: npy(np.zeros(2, "M8[s]")),
    "empty": lambda _: b"",
    "cut": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "another type": lambda content: npy(np.frombuffer(content[-16:], np.float64)),
    "two axes": lambda _: npy(np.zeros((2, 2), np.uint8)),
    "no axis": lambda _: npy(np.array(3)),
}


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("content", CONTENTS)
@fault("untrusted archives and encoders")
def test_an_array_that_is_none_is_refused(good: dict[str, Path], kind: str, content: str) -> None:
    for name in members(good[kind]):
        held = members(good[kind])
        write_members(good[kind], held | {name: CONTENTS[content](held[name])})
        refuse(kind, good[kind])
        write_members(good[kind], held)
    LOADERS[kind](good[kind])


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@fault("untrusted archives and encoders")
def test_a_bomb_is_not_unpacked(good: dict[str, Path], kind: str, method: int) -> None:
    size = 2**26
    held = {name: content for name, content in members(good[kind]).items() if name != "cells.npy"}
    with zipfile.ZipFile(good[kind], "w", method) as archive:
        for name in held:
            archive.writestr(name, held[name])
        with archive.open("cells.npy", "w", force_zip64=True) as member:
            member.write(header_for((size,)))
            for _ in range(size // 2**24):
                member.write(bytes(2**24))
    assert good[kind].stat().st_size < size / 100
    assert "cells.npy is compressed" in refuse(kind, good[kind])


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("names", [["../../evil.npy"], ["/etc/evil.npy"], ["a\0b.npy"], ["x" * 60000], []])
@fault("untrusted archives and encoders")
def test_names_of_members_lead_nowhere(good: dict[str, Path], kind: str, names: list[str]) -> None:
    write_members(good[kind], {name: b"evil" for name in names})
    refuse(kind, good[kind])
    held = members(good[kind])
    assert all(not (good[kind].parent / name).exists() for name in held if "\0" not in name and len(name) < 255)


# --- safetensors


def tokens_with(path: Path, data: bytes) -> None:
    """A token file with this content and a manifest that agrees with it."""
    path.write_bytes(data)
    manifest_path(path).write_bytes(manifest(path, data))


def blob(header: Any, values: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


FILES = {
    "empty": b"",
    "header longer than the file": struct.pack("<Q", 2**40),
    "header of any length": struct.pack("<Q", 2**64 - 1) + b"{}",
    "no JSON": blob(b"not json"),
    "deep JSON": blob(b"[" * 200_000),
    "deep metadata": blob({"__metadata__": {"settings": "[" * 100_000}}),
    "list": blob([]),
    "nothing": blob({}),
    "metadata alone": blob({"__metadata__": {"settings": "{}"}}),
    "settings a list": blob({"__metadata__": {"settings": "[1]"}}),
    "settings a number": blob({"__metadata__": {"settings": "3"}}),
    "settings null": blob({"__metadata__": {"settings": "null"}}),
    "tensor outside": blob({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
    "tensor of terabytes": blob({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    "overflowing shape": blob({"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 0]}}),
    "unknown type": blob({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    "overlap": blob(
        {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in ("a", "b")}, bytes(4)
    ),
    "pickle": pickle.dumps(Bomb()),
    "torch.save": b"PK\x03\x04" + bytes(64),
    "text no JSON": blob({"text": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}, b"{x}"),
    "text deep": blob({"text": {"dtype": "U8", "shape": [90_000], "data_offsets": [0, 90_000]}}, b"[" * 90_000),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["tokens", "encoder"])
@fault("untrusted archives and encoders")
def test_a_safetensors_file_that_is_none_is_refused(good: dict[str, Path], kind: str, name: str) -> None:
    if kind == "tokens":
        tokens_with(good[kind], FILES[name])
    else:
        good[kind].write_bytes(FILES[name])
        with pytest.raises(ValueError, match=r".") as error:
            recorded_and_found(good[kind])
        assert type(error.value) in (ValueError, json.JSONDecodeError, UnicodeDecodeError)
    refuse(kind, good[kind])


def encoder_with(path: Path, change: Callable[[dict, dict], None]) -> None:
    """An encoder's file, changed, whose checksum is right."""
    phase = tiny_phase("phase2")
    weights = {name: value.clone() for name, value in JEPA(phase).state_dict().items() if "teacher." not in name}
    settings: dict[str, Any] = {"phase": phase.model_dump(), "tokens": tiny_params().tokens.model_dump()}
    change(weights, settings)
    held = {**settings, "sha256": _digest(weights, settings)}
    path.write_bytes(save(weights, metadata={"settings": canonical(held)}))


CHANGES: dict[str, Callable[[dict, dict], Any]] = {
    "a model that fills the memory": lambda _, s: s["phase"]["model"].update(width=2048, layers=24, heads=8),
    "a predictor that fills the memory": lambda _, s: s["phase"]["model"].update(embedding=1024, predictor_layers=24),
    "an unknown setting": lambda _, s: s["phase"].update(evil=1),
    "a wrong setting": lambda _, s: s["phase"]["optimizer"].update(lr=True),
    "no phase": lambda _, s: s.pop("phase"),
    "a tensor too many": lambda w, _: w.update(evil=torch.zeros(3)),
    "a tensor too few": lambda w, _: w.pop(next(iter(w))),
    "another type": lambda w, _: w.update({name: value.double() for name, value in w.items()}),
    "another shape": lambda w, _: w.update({name: value.reshape(1, *value.shape) for name, value in w.items()}),
}


@pytest.mark.parametrize("name", CHANGES)
@fault("untrusted archives and encoders")
def test_an_encoder_that_does_not_fit_itself_is_refused(good: dict[str, Path], name: str) -> None:
    encoder_with(good["encoder"], CHANGES[name])
    refuse("encoder", good["encoder"])


def test_the_checksum_without_torch_is_that_of_torch(good: dict[str, Path]) -> None:
    recorded, found = recorded_and_found(good["encoder"])
    assert recorded == found
    encoder_with(good["encoder"], lambda weights, _: weights.update(bits=torch.ones(3, dtype=torch.bool)))
    assert len(set(recorded_and_found(good["encoder"]))) == 1


@fault("one bit of an encoder flipped", amount(100, 10_000))
@examples(few=100)
@given(bit=st.integers(0, 2**40))
def test_one_flipped_bit_of_an_encoder_is_found_with_torch_and_without(tmp_path: Path, bit: int) -> None:
    path = tmp_path / "encoder.safetensors"
    phase = tiny_phase("phase2")
    if not path.exists():
        save_encoder(path, JEPA(phase), phase, tiny_params().tokens)
    whole = path.read_bytes()
    data = bytearray(whole)
    place = bit % (8 * len(data))
    data[place // 8] ^= 1 << place % 8
    path.write_bytes(data)
    try:
        refuse("encoder", path)
        assert encoder_fault(path)
    finally:
        path.write_bytes(whole)


def test_offsets_of_a_tensor_that_are_cut_are_told(tmp_path: Path) -> None:
    path, phase = tmp_path / "encoder.safetensors", tiny_phase("phase2")
    save_encoder(path, JEPA(phase), phase, tiny_params().tokens)
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = re.sub(rb'("data_offsets":)\[(\d+),(\d+)\]', rb"\1[\2.\3]", data[:end], count=1)
    path.write_bytes(header + data[end:])
    assert encoder_fault(path) == ("an encoder", "a header with offsets that are no pair")


# --- every number of a file, changed with the checksum that belongs to it


def arrays_of(kind: str, path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    if kind == "tokens":
        return {name: array for name, array in load(path.read_bytes()).items() if name != "text"}
    names = [name for name in members(path) if name.removesuffix(".npy") not in ("text", "task_ids", "rules")]
    return {name: np.load(io.BytesIO(members(path)[name])) for name in names}


def with_array(kind: str, path: Path, name: str, array: np.ndarray) -> None:
    from safetensors.numpy import load, save

    if kind == "tokens":
        tokens_with(path, save({**load(path.read_bytes()), name: array}))
    else:
        write_members(path, members(path) | {name: npy(array)})


@examples()
@given(kind=st.sampled_from(["tokens", *ARCHIVES]), seed=st.integers(0, 2**32 - 1))
def test_numbers_that_lead_elsewhere_are_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int
) -> None:
    """Whatever is accepted can be read to its end."""
    folder = tmp_path_factory.mktemp("numbers")
    path = folder / ("a.safetensors" if kind == "tokens" else "a.npz")
    write_good(kind, path)
    rng = np.random.default_rng(seed)
    arrays = arrays_of(kind, path)
    name = sorted(arrays)[rng.integers(len(arrays))]
    array = arrays[name].copy()
    if rng.random() < 0.3:
        array = array[: rng.integers(len(array) + 1)]
    elif array.size:
        place = rng.integers(array.size)
        extreme = (0, 1, 127, 255, -1, 2**15 - 1, 2**31 - 1, 2**62, array.flat[place] + 1)
        array.flat[place] = np.array(extreme)[rng.integers(len(extreme))].astype(array.dtype)
    with_array(kind, path, name, array)
    try:
        found = LOADERS[kind](path)
    except UserError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017
    else:
        read_all(kind, found)


def write_good(kind: str, path: Path) -> None:
    some = frames()
    if kind == "frames":
        save_frames(path, some)
    elif kind == "candidates":
        save_candidates(path, draw_candidates(some, 4, 0))
    elif kind == "examples":
        shown = Example("t", [(some[0], some[1])], some[2], [some[3], some[1]], np.array([0, 1]))
        save_examples(path, Examples([shown], np.zeros((2, 3), np.float32), ("a", "b")))
    else:
        save_tokens(path, tokenise(some, tiny_params().tokens))


def read_all(kind: str, found: Any) -> None:
    from arcjepa.tokens import detokenise, overflow_summary
    from arcjepa.views import DeviceTokens, gather

    if kind == "tokens":
        overflow_summary(found)
        for i in range(len(found)):
            detokenise(found, i)
        if len(found):
            gather(DeviceTokens.from_numpy(found), torch.arange(len(found)), None, None)
    elif kind == "frames":
        assert len(found.tasks()) == found.n_tasks
    elif kind == "candidates":
        assert all(found.grids[int(i)].size for i in found.grid)
        found.lists()
    else:
        for query in found.queries:
            assert query.query.size


# --- names


@pytest.mark.parametrize(
    "task_id", ["../../evil", "/etc/passwd", "a\0b", "~/evil", "$(touch evil)", "`touch evil`", "x" * 200, "{wildcard}"]
)
@fault("names that are paths")
def test_a_task_id_is_never_a_path(tmp_path: Path, task_id: str) -> None:
    pair = {"input": [[1]], "output": [[2]]}
    (tmp_path / "user/mine").mkdir(parents=True)
    task = {"train": [pair], "test": [pair]}
    (tmp_path / "user/mine/t.json").write_text(json.dumps({task_id: task, "good": task}))
    before = sorted(tmp_path.rglob("*"))
    found = load_users(tmp_path / "user")["mine"]
    assert [task.id for task in found.tasks if task.id == "good"]
    path = tmp_path / "frames.npz"
    save_frames(path, Frames.from_tasks(found.tasks))
    assert load_frames(path).task_ids == tuple(task.id for task in found.tasks)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


@pytest.mark.parametrize("name", ["..", "../evil", "/etc", "a/b", "a\0b", "x" * 300, "-rf", ".", "con cat"])
@fault("names that are paths")
def test_a_training_set_has_no_name_that_is_a_path(tmp_path: Path, name: str) -> None:
    from arcjepa.splits import make_splits

    with pytest.raises(UserError, match="not in data/raw/user"):
        make_splits({}, load_users(tmp_path), in_training=[name])


def test_a_file_of_hashes_names_no_file_elsewhere(tmp_path: Path) -> None:
    """The manifest's own `file` is compared, never opened."""
    path = tmp_path / "tokens.safetensors"
    save_tokens(path, tiny_corpus().validation)
    (tmp_path / "other").write_bytes(path.read_bytes())
    held = json.loads(manifest_path(path).read_bytes())
    held |= {"file": "../other", "sha256": hashlib.sha256((tmp_path / "other").read_bytes()).hexdigest()}
    manifest_path(path).write_text(json.dumps(held))
    refuse("tokens", path)
