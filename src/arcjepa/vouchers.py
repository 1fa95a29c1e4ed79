"""JSON files of jobs, which vouch for the tables beside them, and for themselves.

Under `files` they hold the SHA-256 of these tables, and under their own name that of all else that they hold.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from arcjepa.files import digests, write_json


def write_voucher(path: Path, content: dict[str, Any], sort_keys: bool = False) -> None:
    """Write the JSON file of a job, which vouches for the tables beside it and for itself."""
    held = content | {"files": digests(path.parent, path.name)}
    held["files"][path.name] = own_digest(held, path.name)
    write_json(path, held, sort_keys)


def own_digest(content: dict[str, Any], name: str) -> str:
    """SHA-256 of what the JSON file of this name holds, but for what it records of itself."""
    others = {other: digest for other, digest in content["files"].items() if other != name}
    return hashlib.sha256(json.dumps(content | {"files": others}, sort_keys=True).encode()).hexdigest()


def is_as_written(content: Any, name: str) -> bool:
    """Whether this is what was written to the JSON file of this name; believed where it records nothing of itself."""
    files = content.get("files") if isinstance(content, dict) else None
    return not isinstance(files, dict) or name not in files or files[name] == own_digest(content, name)
