"""Fixed random shares: a number per text that never changes, to split tasks by."""

import hashlib


def share_of(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on the text alone: splits by it do not move when other tasks come or go."""
    digest = hashlib.blake2b(f"{salt}:{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
