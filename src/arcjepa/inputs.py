"""What the model is shown in a step: the frames of a batch as blocks of tokens, each under its view.

A pure function of (seed, step). Shapes: B sequences, F context frames.
"""

import torch

from arcjepa import randomness
from arcjepa.dataset import Batch
from arcjepa.ranks import largest, own, world_size
from arcjepa.settings import Loss
from arcjepa.views import DeviceTokens, TokenBatch, View, gather

STREAM_KIND, STREAM_TURN, STREAM_PERMUTATION, STREAM_SHIFT = 21, 22, 23, 24
COLOUR, TRANSLATION, SYMMETRY = 0, 1, 2
MAX_SHIFT = 3
Key = tuple[randomness.Number, randomness.Number]
"""(seed, step), on the device perhaps."""
Room = tuple[int | None, int | None]
"""Objects that there is room for, in the batch and in the targets apart; None for as many as there are."""
ROOM_STEP, ROOM_MARGIN = 512, 5.0
"""Room for objects comes in multiples of this, and is that many standard deviations above the mean batch if the
fullest one is not beyond: so most seeds of a phase have the same, and what was compiled for one serves the others."""


def view_kinds(batch: Batch, key: Key) -> torch.Tensor:
    """(B,) int64: in which respect the other view of each query differs: COLOUR, TRANSLATION or SYMMETRY."""
    seed, step = key
    return own(randomness.integers((seed, STREAM_KIND, step), 3, (_global_size(batch),), batch.target.device))


def frames_of(loss: Loss, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Frames in blocks of B, and those apart: context, target and its near misses (apart for a teacher), and the query
    where it is seen in another view."""
    frames, apart = batch.frames(), None
    if loss.teacher.enabled:
        seen = batch.context.shape[1]
        frames, apart = frames[:seen], frames[seen:].flatten()
    if loss.invariance.enabled:
        frames = torch.cat([frames, batch.context[None, :, -1]])
    return frames.flatten(), apart


def blocks(
    loss: Loss, tokens: DeviceTokens, batch: Batch, kinds: torch.Tensor, key: Key, room: Room = (None, None)
) -> tuple[TokenBatch, TokenBatch | None]:
    """The blocks that JEPA.forward takes: the tokens of `frames_of`, each frame under its view."""
    (frames, apart), view = frames_of(loss, batch), batch.view()
    taught = None
    if apart is not None:
        taught = gather(tokens, apart, _rows(view, slice(-len(apart), None)), room[1])
        view = _rows(view, slice(None, -len(apart)))
    if loss.invariance.enabled:
        other = other_view(batch, kinds, key)
        view = View(*(torch.cat(pair) for pair in zip(_parts(view), _parts(other), strict=True)))
    return gather(tokens, frames, view, room[0]), taught


def other_view(batch: Batch, kinds: torch.Tensor, key: Key) -> View:
    """A view of each query that differs from the batch's in colours, in place or in symmetry, as `kinds` (B,) say."""
    (seed, step), size, device = key, _global_size(batch), batch.target.device
    turn = own(randomness.integers((seed, STREAM_TURN, step), 8, (size,), device))
    colours = own(randomness.permutations((seed, STREAM_PERMUTATION, step), size, 10, device))
    shift = own(randomness.integers((seed, STREAM_SHIFT, step), 2 * MAX_SHIFT + 1, (size, 2), device)) - MAX_SHIFT
    return View(
        torch.where(kinds == SYMMETRY, turn, batch.d8),
        torch.where(kinds[:, None] == COLOUR, colours, batch.colours),
        torch.where(kinds[:, None] == TRANSLATION, shift, torch.zeros_like(shift)),
    )


def _global_size(batch: Batch) -> int:
    """Sequences of the batch that all ranks share: what is drawn for it does not depend on how many they are."""
    return len(batch.target) * world_size()


def _parts(view: View) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    assert view.shift is not None, "every view of training says how far it moves"
    return view.d8, view.colours, view.shift


def _rows(view: View, rows: slice) -> View:
    return View(*(part[rows] for part in _parts(view)))


def enough(objects: torch.Tensor) -> torch.Tensor:
    """(2,) for batches with objects (2, n): for the fullest, and a fullest one as other seeds may have it."""
    counts = objects.double()
    likely = counts.mean(1) + ROOM_MARGIN * counts.std(1, unbiased=False)
    return torch.maximum(objects.amax(1), likely.ceil().long())


def rounded(objects: list[torch.Tensor]) -> Room:
    """The most of each, on any rank, rounded up."""
    most = largest(torch.stack(objects).amax(0))
    together, apart = (-(-int(count) // ROOM_STEP) * ROOM_STEP for count in most)
    return together, apart
