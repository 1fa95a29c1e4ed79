"""The joint-embedding predictive architecture that all phases share: encoder, quantiser, projector, predictor.

One forward pass: the frames of a batch go in, everything that a loss may look at comes out.
Shapes: B sequences, F context frames, S object slots, W width, D embedding dimensions.
"""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from arcjepa.attention import boxes_touch
from arcjepa.dataset import context_frames
from arcjepa.encoder import TokenEncoder, pool, spread
from arcjepa.predictor import Predictor
from arcjepa.quantizer import NoQuantizer, Quantized, QuantizerModule, make_quantizer
from arcjepa.ranks import mean_and_variance, world_size
from arcjepa.settings import Model, Phase
from arcjepa.views import TokenBatch


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation whose statistics are those of the global batch where several ranks train.

    torch's SyncBatchNorm does this on GPUs alone.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(M, C) to (M, C), M alike on all ranks."""
        if world_size() == 1 or not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            rows = x.float()
            mean, variance = mean_and_variance(rows)
            self._follow(mean.detach(), variance.detach(), len(x) * world_size())
            return ((rows - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: torch.Tensor, variance: torch.Tensor, rows: int) -> None:
        """As the parent does with the statistics of one batch."""
        assert self.momentum is not None
        for so_far, now in ((self.running_mean, mean), (self.running_var, variance * rows / (rows - 1))):
            assert so_far is not None
            so_far.lerp_(now, self.momentum)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)


class Projector(nn.Module):
    """Perceptron to the space where frames are compared.

    BatchNorm after the first layer lets SIGReg act from the first step: embeddings start with a variance near
    0.001, where its gradient vanishes. A final LayerNorm would block it.
    """

    def __init__(self, width: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.enter, self.norm = nn.Linear(3 * width, hidden, bias=False), BatchNorm(hidden)
        self.leave = nn.Linear(hidden, embedding)

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        """(M, 3 W) to (M, D)."""
        return self.leave(nn.functional.gelu(self.norm(self.enter(frame))))


class AdditivePath(nn.Module):
    """Linear in the features of a frame's tokens, past the transformer, to the space where frames are compared.

    In it every object counts the same whatever else is there (overflow and the grid's own token apart), so that a
    change can be carried from one frame to another, and a detail need not survive the transformer and the maximum.
    In float32 throughout: a change of few cells is small beside a frame.
    """

    def __init__(self, features: int, embedding: int) -> None:
        super().__init__()
        self.norm, self.leave = BatchNorm(features), nn.Linear(features, embedding, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(M, 2 W + K) float32 features of `TokenEmbeddings` to (M, D)."""
        with torch.autocast(features.device.type, enabled=False):
            return self.leave(self.norm(features))


@dataclass
class FrameEmbeddings:
    """What the encoder side makes of M frames."""

    frame: torch.Tensor
    """(M, 3 W) pooled, before the projector and without the additive path."""
    projected: torch.Tensor
    """(M, D) float32."""
    quantized: Quantized


class FrameEncoder(nn.Module):
    """Tokens of a frame to its embedding; the part that is kept after training."""

    def __init__(self, phase: Phase) -> None:
        super().__init__()
        self.tokens = TokenEncoder(phase.model)
        self.quantizer = make_quantizer(phase.model.width, phase.quantizer)
        width, embedding = phase.model.width, phase.model.embedding
        self.projector = Projector(width, embedding, _hidden(phase.model))
        self.additive = AdditivePath(_feature_count(phase.model), embedding) if phase.model.additive else None

    def forward(self, batch: TokenBatch, quantizer: QuantizerModule | None = None) -> FrameEmbeddings:
        """Embeds M frames; `quantizer` stands in for the encoder's own, and does not learn."""
        grid, objects, features = self.tokens(batch)
        frames = torch.div(batch.slots, batch.valid.shape[1], rounding_mode="floor")
        quantized = (quantizer or self.quantizer)(objects, batch.present, quantizer is not None, frames)
        frame = pool(grid, quantized.embeddings.to(grid.dtype), batch)
        projected = self.projector(frame)
        if self.additive is not None:
            projected = projected + self.additive(features)
        return FrameEmbeddings(frame, projected.float(), quantized)

    def last_weights(self) -> list[torch.Tensor]:
        """Of all that leads to the embeddings."""
        own = [self.projector.leave.weight]
        return own if self.additive is None else [*own, self.additive.leave.weight]


def _feature_count(model: Model) -> int:
    """What the additive path reads of a frame."""
    return 2 * model.width + model.sketch


def _hidden(model: Model) -> int:
    """Width of the projector: an encoder of width 384 with 768 codes is below 10 MB in float16, and as large with an
    additive path as without."""
    hidden = model.width + min(model.width, 64)
    if not model.additive:
        return hidden
    path, unit = _feature_count(model) * model.embedding, 3 * model.width + model.embedding
    return max(model.width // 2, hidden - round(path / unit))


@dataclass
class Outputs:
    """Everything that a loss may look at, for one batch."""

    context: torch.Tensor
    """(B, F, D) projected."""
    prediction: torch.Tensor
    """(B, D)."""
    target: torch.Tensor
    """(B, D) projected: by the teacher and detached where there is one, else by the encoder with gradient."""
    relations: "Relations | None"
    """Objects and their adjacency, where a loss asks for them."""
    quantized: Quantized
    view: torch.Tensor | None
    """(B, D) projected embedding of a view of the query frame."""
    near_misses: torch.Tensor
    """(N, B, D) projected embeddings of near misses of the target, by whatever embeds the target; N may be 0."""


@dataclass
class Relations:
    """Quantised objects (F + 1, B, S, W), context frames then target, and which pairs (F + 1, B, S, S) are adjacent."""

    objects: torch.Tensor
    adjacent: torch.Tensor


class JEPA(nn.Module):
    """Encoder and predictor, and the teacher where there is one."""

    def __init__(self, phase: Phase) -> None:
        super().__init__()
        self.frames = context_frames(phase.sequence)
        self.relational = phase.loss.relational.enabled
        self.encoder = FrameEncoder(phase)
        self.predictor = Predictor(phase.model, self.frames)
        self.teacher = Teacher(self.encoder, phase.loss.teacher.decay) if phase.loss.teacher.enabled else None

    def forward(self, batch: TokenBatch, target: TokenBatch | None, view: bool, near_misses: int = 0) -> Outputs:
        """`batch` holds blocks of B frames: F context frames, then the target and so many near misses of it unless
        `target` gives them to the teacher apart, then a view of the query where `view`."""
        aims = 1 + near_misses
        blocks = self.frames + (aims if self.teacher is None else 0) + view
        embedded = self.encoder(batch)
        projected = embedded.projected.unflatten(0, (blocks, -1))
        context = projected[: self.frames].transpose(0, 1)
        seen = [(embedded.quantized.embeddings, batch)]
        if self.teacher is None:
            aim = projected[self.frames : self.frames + aims]
        else:
            assert target is not None, "a teacher is given the target apart"
            taught = self.teacher(target, self.encoder.quantizer)
            aim = taught.projected.unflatten(0, (aims, -1))
            seen.append((taught.quantized.embeddings, target))
        return Outputs(
            context,
            self.predictor(context).float(),
            aim[0],
            _relations(seen, self.frames, len(context)) if self.relational else None,
            embedded.quantized,
            projected[-1] if view else None,
            aim[1:],
        )


class Teacher(nn.Module):
    """Exponential moving average of an encoder: target_t = decay * target_{t-1} + (1 - decay) * encoder_t."""

    def __init__(self, encoder: FrameEncoder, decay: float) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder).requires_grad_(False)
        # The codebook is the encoder's own: an average of code vectors would be no code.
        self.encoder.quantizer = NoQuantizer()
        self.decay = decay

    @torch.no_grad()
    def forward(self, batch: TokenBatch, quantizer: QuantizerModule) -> FrameEmbeddings:
        """Embeds target frames with the encoder's codebook, which does not learn from them."""
        return self.encoder(batch, quantizer)

    @torch.no_grad()
    def update(self, encoder: FrameEncoder) -> None:
        """One step of the average; BatchNorm statistics are the teacher's own."""
        theirs = dict(encoder.named_parameters())
        pairs = [(mine, theirs[name]) for name, mine in self.encoder.named_parameters()]
        torch._foreach_lerp_([mine for mine, _ in pairs], [their for _, their in pairs], 1 - self.decay)


def _relations(seen: list[tuple[torch.Tensor, TokenBatch]], frames: int, size: int) -> Relations:
    """Of blocks of `size` frames: the first ones are the context, and the target comes after them, or first of those
    that a teacher saw."""
    target = frames if len(seen) == 1 else len(seen[0][1].valid) // size
    objects = torch.cat([spread(objects, batch) for objects, batch in seen]).unflatten(0, (-1, size))
    adjacent = torch.cat([_adjacent(batch) for _, batch in seen]).unflatten(0, (-1, size))
    return Relations(*(torch.cat([x[:frames], x[target : target + 1]]) for x in (objects, adjacent)))


def _adjacent(batch: TokenBatch) -> torch.Tensor:
    """(M, S, S) bool: distinct objects that touch, or whose boxes do."""
    pair = batch.valid[:, :, None] & batch.valid[:, None]
    distinct = ~torch.eye(batch.valid.shape[1], dtype=torch.bool, device=pair.device)
    return (batch.contact | boxes_touch(batch)) & pair & distinct
