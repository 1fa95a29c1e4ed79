"""What a run learns from."""

import hashlib
from dataclasses import dataclass, fields

import numpy as np

from arcjepa.config import canonical
from arcjepa.data_settings import TokenSettings
from arcjepa.shards import join_tokens
from arcjepa.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokens to train on and to validate with."""

    training: Tokens
    real: int
    """Tasks of `training` that are real, the first ones; the others are synthetic."""
    validation: Tokens
    tokens: TokenSettings
    """How all were made."""
    near_misses: tuple[Tokens, Tokens] | None = None
    """Of the outputs of both, as many for every pair, pair by pair; where a loss needs them."""

    def digest(self) -> str:
        """SHA-256 of everything that a training can see of it."""
        total = hashlib.sha256(canonical([self.real, self.tokens.model_dump()]).encode())
        for tokens in (self.training, self.validation, *(self.near_misses or ())):
            for field in fields(tokens):
                value = getattr(tokens, field.name)
                if isinstance(value, np.ndarray):
                    total.update(f"{field.name} {value.dtype} {value.shape}\n".encode())
                    total.update(np.ascontiguousarray(value).data)
                else:
                    total.update(canonical([field.name, value]).encode())
        return total.hexdigest()

    def stores(self, hard: bool) -> tuple[Tokens, Tokens]:
        """Training and validation tokens, with `hard` each with the near misses after its own frames."""
        if not hard:
            return self.training, self.validation
        assert self.near_misses is not None, "a loss with hard negatives is given near misses"
        training, validation = self.near_misses
        return join_tokens([self.training, training]), join_tokens([self.validation, validation])
