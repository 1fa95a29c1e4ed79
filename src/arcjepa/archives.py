"""Arrays in .npz files, read without trust: nothing is unpickled, grows beyond the size of its file, or goes unchecked.

numpy's own reader makes room for what a header claims before it has seen the bytes, and unpacks what is compressed to
any size; our files are stored as they are.
"""

import io
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

# What zipfile, numpy and json raise on bytes that are not, or no longer, what was written.
DAMAGED = (
    *(
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        RuntimeError,
        IndexError,
        MemoryError,
        OverflowError,
        SyntaxError,
    ),
    *(struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
KINDS = "biuf"
"""Booleans, whole numbers and floats: no objects, no text, no records."""


def reason(error: BaseException) -> str:
    """What an error says, in one short line."""
    return " ".join(str(error).split())[:120]


def read_arrays(path: str | Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The named arrays. Errors: one of DAMAGED for a file that is missing, or not as `numpy.savez` writes it."""
    with zipfile.ZipFile(path) as archive:
        return {name: _array(_content(archive, f"{name}.npy")) for name in names}


def damaged_member(path: str | Path) -> str:
    """The first member whose bytes are not those that were written, "" for none. Errors: one of DAMAGED."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            try:
                _content(archive, name)
            except DAMAGED:
                return name
    return ""


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    """A whole member, so that its checksum is tested before a byte is believed."""
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    return archive.read(name)


def _array(content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not version 1.0 of the .npy format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in KINDS or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{len(content) - stream.tell()} bytes for {dtype} {shape}")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)
