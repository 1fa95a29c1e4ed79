"""Hand-made token features behind the interface of an encoder: what a trained one has to beat.

Two predictors over the same features: `analogy`, f(x) + mean(f(y) - f(x)) of the demonstrations, and `copy`, f(x).
Legend: M frames, S object slots, P masks, B sequences, F context frames, W features.
"""

from typing import Literal

import numpy as np
import torch

from arcjepa import layout
from arcjepa.embeddings import Embedding
from arcjepa.metrics import Standardiser
from arcjepa.pictures import paint
from arcjepa.settings import Curriculum
from arcjepa.settings import Sequence as SequenceSettings
from arcjepa.tokens import Tokens
from arcjepa.views import DeviceTokens, TokenBatch, View, gather

CHUNK = 1024
CLIP = 6.0
SYMMETRIES = (layout.LEFT_RIGHT, layout.UP_DOWN, layout.DIAGONAL, layout.ROT180)
RULES = ("analogy", "copy")


class TokenFeatures:
    """An `Embedder` without anything learned: standardised features of a frame's tokens, clipped to +-6."""

    def __init__(
        self,
        tokens: Tokens,
        frames: np.ndarray | None = None,
        rule: str = "analogy",
        window: Literal[3, 5, 7] = 3,
    ) -> None:
        """`frames` (M,) of `tokens`, all if None: what the features are standardised on. `rule`: one of RULES."""
        assert rule in RULES, f"rule {rule!r}; allowed: {', '.join(RULES)}"
        self.rule = rule
        off = Curriculum(enabled=False, epochs=[1])
        self.sequence = SequenceSettings(framing="demonstrations", window=window, synthetic_share=0.0, curriculum=off)
        frames = np.arange(len(tokens)) if frames is None else frames
        self._standardiser = Standardiser.fit(token_features(tokens, frames))

    def embed(self, tokens: Tokens, frames: np.ndarray | None = None, view: View | None = None) -> Embedding:
        """(M, W) for `frames` (M,), all frames if None; before and after the projector are the same here."""
        frames = np.arange(len(tokens)) if frames is None else frames
        features = self._standardiser(token_features(tokens, frames, view), clip=CLIP)
        return Embedding(frame=features, projected=features)

    def predict(self, projected: np.ndarray) -> np.ndarray:
        """(B, F, W) -> (B, W)."""
        query = projected[:, -1]
        if self.rule == "copy" or projected.shape[1] < 3:
            return query
        return query + (projected[:, 1:-1:2] - projected[:, 0:-1:2]).mean(axis=1)

    def code_counts(self, tokens: Tokens, frames: np.ndarray) -> None:
        """There is no codebook."""
        return None


def token_features(tokens: Tokens, frames: np.ndarray, view: View | None = None) -> np.ndarray:
    """(M, W) float32 features of `frames` (M,) int, seen through `view`."""
    stored = DeviceTokens.from_numpy(tokens, "cpu")
    chunks = []
    for first in range(0, len(frames), CHUNK):
        part = slice(first, first + CHUNK)
        seen = None if view is None else _part(view, part)
        batch = gather(stored, torch.as_tensor(frames[part]), seen)
        chunks.append(np.concatenate([_grid_features(batch), _pooled(batch)], axis=1))
    return np.concatenate(chunks).astype(np.float32) if chunks else np.zeros((0, 0), np.float32)


def _part(view: View, part: slice) -> View:
    return View(view.d8[part], view.colours[part], None if view.shift is None else view.shift[part])


def grid_symmetry(tokens: Tokens, frames: np.ndarray) -> np.ndarray:
    """(M, 5) bool: left-right, up-down, diagonal, antidiagonal and half-turn symmetry of the whole grids."""
    stored = DeviceTokens.from_numpy(tokens, "cpu")
    chunks = [
        _symmetries(gather(stored, torch.as_tensor(frames[first : first + CHUNK])))
        for first in range(0, len(frames), CHUNK)
    ]
    return np.concatenate(chunks) if chunks else np.zeros((0, 5), bool)


def _symmetries(batch: TokenBatch) -> np.ndarray:
    """(M, 5) bool, as `grid_symmetry`."""
    canvas = paint(batch).unflatten(1, (layout.MAX_SIDE, layout.MAX_SIDE)).numpy()
    height, width = (getattr(batch, name).numpy()[:, None] for name in ("height", "width"))
    side = np.arange(layout.MAX_SIDE)
    rows, cols = (np.where(side < n, n - 1 - side, side) for n in (height, width))
    up_down = np.take_along_axis(canvas, rows[:, :, None], axis=1)
    left_right = np.take_along_axis(canvas, cols[:, None, :], axis=2)
    half_turn = np.take_along_axis(up_down, cols[:, None, :], axis=2)
    images = (left_right, up_down, canvas.transpose(0, 2, 1), half_turn.transpose(0, 2, 1), half_turn)
    return np.stack([(canvas == image).all(axis=(1, 2)) for image in images], axis=1)


def _grid_features(batch: TokenBatch) -> np.ndarray:
    """(M, 51): size, colours, number of objects, background, symmetry and what the residual holds."""
    height, width = (getattr(batch, name).numpy().astype(np.float64) for name in ("height", "width"))
    area = (height * width)[:, None]
    shares = batch.histogram.numpy() / area
    count = np.log1p(batch.n_components.numpy())
    background = np.eye(layout.MIXED + 1)[batch.background.numpy()]
    symmetry = _symmetries(batch)[:, [0, 1, 2, 4]]
    sizes = np.stack([height / layout.MAX_SIDE, width / layout.MAX_SIDE, np.log(height), np.log(width), count], axis=1)
    present = shares > 0
    return np.concatenate(
        [sizes, shares, present, present.sum(1, keepdims=True), background, symmetry, batch.residual.numpy() / area],
        axis=1,
    )


def _pooled(batch: TokenBatch) -> np.ndarray:
    """(M, 3 * 32 + 10): mean, maximum and standard deviation over a frame's objects, and objects per colour."""
    features = _object_features(batch)
    # The residual is no object; what it holds is among the grid's features.
    valid = (batch.valid & (batch.columns[:, :, layout.COLOUR] != layout.MIXED)).numpy()[:, :, None]
    count = np.maximum(valid.sum(axis=1), 1)
    mean = (features * valid).sum(axis=1) / count
    spread = np.sqrt((((features - mean[:, None]) ** 2) * valid).sum(axis=1) / count)
    # 0 without objects, like the others; with objects the maximum itself, as no feature is negative.
    largest = (features * valid).max(axis=1)
    colours = np.log1p((features[:, :, -13:-3] * valid).sum(axis=1))
    return np.concatenate([mean, largest, spread, colours], axis=1)


def _object_features(batch: TokenBatch) -> np.ndarray:
    """(M, S, 32): size, shape, place, borders, symmetry, colour (10) and kind (point, line, area) of each object."""
    columns = batch.columns.numpy().astype(np.float32)
    top, left, area = (columns[:, :, i] for i in (layout.TOP, layout.LEFT, layout.AREA))
    height, width = (columns[:, :, i] for i in (layout.HEIGHT, layout.WIDTH))
    grid_height, grid_width = (getattr(batch, n).numpy()[:, None].astype(np.float32) for n in ("height", "width"))
    some = np.maximum(area, 1)
    box = np.maximum(height * width, 1)
    bits = columns[:, :, layout.SYMMETRY].astype(np.int64)
    colour = columns[:, :, layout.COLOUR].astype(np.int64)
    scalars = [
        area / (grid_height * grid_width), np.log1p(area), height / grid_height, width / grid_width,
        np.log1p(height), np.log1p(width), area / box, columns[:, :, layout.PERIMETER] / (4 * np.sqrt(some)),
        columns[:, :, layout.HOLES], (top + columns[:, :, layout.SUM_ROW] / some) / grid_height,
        (left + columns[:, :, layout.SUM_COL] / some) / grid_width, top == 0, left == 0,
        top + height == grid_height, left + width == grid_width, *(bits & bit > 0 for bit in SYMMETRIES),
    ]  # fmt: skip
    kinds = np.eye(3, dtype=np.float32)[(height > 1).astype(int) + (width > 1)]
    one_hot = np.eye(layout.MIXED + 1, dtype=np.float32)[colour][:, :, : layout.MIXED]
    return np.concatenate([np.stack(scalars, axis=2), one_hot, kinds], axis=2, dtype=np.float32)
