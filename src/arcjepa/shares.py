"""Fixed random shares: a number per text that never changes, to split tasks by."""

import hashlib


def share_of(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on the text alone: splits by it do not move when other tasks come or go."""
    digest = hashlib.blake2b(f"{salt}:{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


SELECTION_SHARES = {"validation": 0.5, "heldout": 0.2}


def selects(name: str, part: str) -> bool:
    """Whether a task of a held-out set ("validation" or "heldout") serves to choose, and is never reported on.

    `name`: see `arcjepa.programs.independent`; a synthetic task goes with its kin. Early stopping, scorers and
    penalties are chosen on these tasks; the pool and its queries, and what RE-ARC reports, are the others.
    """
    return share_of(name, f"selection {part}") < SELECTION_SHARES[part]
