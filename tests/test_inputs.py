"""What the model is shown: every frame of a sequence under its one view, and the query once more under another."""

import numpy as np
import pytest
import torch
from model_cases import tiny_corpus, tiny_trainer

from arcjepa.inputs import COLOUR, MAX_SHIFT, SYMMETRY, TRANSLATION, blocks, other_view


def test_the_view_of_the_query_differs_in_one_respect() -> None:
    trainer = tiny_trainer("baseline")
    batch = trainer.data.draw(trainer.phase.sequence, 0, 0, 300)
    kinds = torch.arange(300) % 3
    other = other_view(batch, kinds, (0, 5))
    assert other.shift is not None
    turned, recoloured = other.d8 != batch.d8, (other.colours != batch.colours).any(1)
    moved = other.shift.any(1)
    for changed, kind in ((recoloured, COLOUR), (moved, TRANSLATION), (turned, SYMMETRY)):
        assert not changed[kinds != kind].any()
        assert changed[kinds == kind].float().mean() > 0.7
    assert other.shift.abs().max() == MAX_SHIFT


@pytest.mark.parametrize("name", ["baseline", "phase2"])
def test_context_target_and_view_are_seen_as_drawn(name: str) -> None:
    """All frames of a sequence under its one view; the last block is the query again, under another."""
    trainer = tiny_trainer(name)
    batch = trainer.data.draw(trainer.phase.sequence, 0, 3, 8)
    own, apart = blocks(trainer.phase.loss, trainer.tokens, batch, torch.arange(8) % 3, (0, 3))
    shown = tiny_corpus().training
    frames = batch.frames()
    backgrounds = torch.as_tensor(shown.background.astype(np.int64))[frames]
    seen = torch.where(backgrounds == 10, 10, batch.colours.gather(1, backgrounds.T.clamp(max=9)).T)
    assert own.background[:24].equal(seen[:3].flatten())
    target = apart.background if apart is not None else own.background[24:32]
    assert target.equal(seen[3])
    assert (apart is not None) == (name == "baseline")
    if name == "baseline":
        still = torch.arange(8) % 3 != COLOUR
        assert own.background[24:32][still].equal(seen[2][still])
        assert own.n_components[24:32].equal(own.n_components[16:24])
