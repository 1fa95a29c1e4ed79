"""The checksums that files of weights record of themselves, worked out from their bytes: without torch.

Encoders: the same number as `encoder_files.save_encoder` writes. A file is 8 bytes with the length of the header, the
header as JSON, and the tensors. Checkpoints: one line, MAGIC and the SHA-256 of all that follows it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from arcjepa.config import canonical

TYPES = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"},
}
LONGEST = 100_000_000
"""Bytes of a header, as safetensors allows."""
MAGIC = b"arcjepa checkpoint 1 "
CHECKPOINT_HEAD = len(MAGIC) + 64 + 1
"""Bytes of a checkpoint's first line."""


def recorded_and_found(path: Path) -> tuple[str, str]:
    """SHA-256 as the file records it, and that of what it holds. Errors: OSError, ValueError for what is no encoder."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(LONGEST, len(data) - 8):
        raise ValueError(f"{len(data)} bytes that are no safetensors file")
    try:
        header: dict[str, Any] = json.loads(data[8 : 8 + length])
        settings = json.loads(header.pop("__metadata__")["settings"])
        recorded: str = settings.pop("sha256")
        return recorded, _digest(memoryview(data)[8 + length :], header, settings)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"its header is none of ours: {type(error).__name__} {error}") from None


def checkpoint_line(content: bytes) -> bytes:
    """The first line of a checkpoint of this content."""
    return b"".join((MAGIC, hashlib.sha256(content).hexdigest().encode(), b"\n"))


def checkpoint_fault(data: bytes) -> str:
    """What is wrong with the bytes of a checkpoint, "" for nothing."""
    if not data.startswith(MAGIC):
        return "no checkpoint of this version"
    if data[:CHECKPOINT_HEAD] != checkpoint_line(data[CHECKPOINT_HEAD:]):
        return f"{len(data)} bytes whose SHA-256 is not the one recorded in them"
    return ""


def _digest(values: memoryview, header: dict[str, Any], settings: dict[str, Any]) -> str:
    total = hashlib.sha256(canonical(settings).encode())
    if sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in header.values()) != len(values):
        raise ValueError(f"{len(values)} bytes that are not those of its tensors")
    for name, entry in sorted(header.items()):
        begin, end = entry["data_offsets"]
        if not 0 <= begin <= end <= len(values):
            raise ValueError(f"tensor {name:.80} lies outside of the file")
        total.update(f"{name} torch.{TYPES[entry['dtype']]} {tuple(entry['shape'])}\n".encode())
        total.update(values[begin:end])
    return total.hexdigest()
