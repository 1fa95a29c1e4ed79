"""Quantisers over object tokens: an EMA codebook, Gumbel-softmax codes, finite scalar levels, or none.

All take object embeddings x (n, W) and a mask of the real ones (n,), and return a `Quantized`. Training never waits
for the device, but in the step that starts a codebook and in those that refresh it.
"""

from dataclasses import dataclass

import torch
from torch import nn

from arcjepa.ranks import all_rows, from_first, summed, world_size
from arcjepa.settings import Quantizer as Settings

EPSILON = 1e-5


@dataclass
class Quantized:
    """Quantised embeddings (n, W), codes (n,) int64 with -1 where masked, and the unweighted commitment loss."""

    embeddings: torch.Tensor
    codes: torch.Tensor
    commitment: torch.Tensor | None = None
    rows: torch.Tensor | None = None
    """(n, W) float32: what was quantised, detached, where a codebook may be refreshed from it."""
    frames: torch.Tensor | None = None
    """(n,) int64: the frames that they are of, where several ranks train."""


class QuantizerModule(nn.Module):
    """What all quantisers are: x (n, W) and mask (n,) to a `Quantized`; `codes` is the number of codes, 0 for none.

    `frozen` quantises as in evaluation, and learns nothing. `frames` (n,) int64, the frame that each object is of, is
    needed where several ranks train, to bring their objects into one order.
    """

    codes: int

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, frozen: bool = False, frames: torch.Tensor | None = None
    ) -> Quantized:
        raise NotImplementedError

    def after_step(self, quantized: Quantized) -> None:
        """What is due between training steps, given what the last one quantised."""


class StartedQuantizer(QuantizerModule):
    """One whose code vectors start as samples of the first batch; until then it lets embeddings through."""

    initialised: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("initialised", torch.tensor(False))
        self.started = False
        """The same, on the host: asking the device would wait for it."""
        self.register_load_state_dict_post_hook(lambda module, _: module._recall())

    def _recall(self) -> None:
        self.started = bool(self.initialised)

    def _start(self) -> None:
        self.initialised.fill_(True)
        self.started = True


class NoQuantizer(QuantizerModule):
    """Passes embeddings through: the ablation without codes."""

    codes = 0

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, frozen: bool = False, frames: torch.Tensor | None = None
    ) -> Quantized:
        return _unquantized(x)


class CodebookQuantizer(StartedQuantizer):
    """Nearest of K vectors, learned by exponential moving averages (van den Oord et al. 2017, appendix A.1).

    The same update as `vector_quantize_pytorch.VectorQuantize` (a test holds them together). The codebook starts from
    samples of the first batch, so that its scale is the data's, and counts start alike for all codes: from zero,
    unused ones would blow up. Padding is masked out, and evaluation changes nothing.
    """

    codebook: torch.Tensor
    sums: torch.Tensor
    counts: torch.Tensor
    usage: torch.Tensor

    def __init__(self, width: int, settings: Settings) -> None:
        super().__init__()
        self.codes, self.decay, self.refreshing = settings.codes, settings.decay, settings.refresh
        self.committed = settings.commitment.enabled
        self.register_buffer("codebook", torch.zeros(settings.codes, width))
        self.register_buffer("sums", torch.zeros(settings.codes, width))
        self.register_buffer("counts", torch.zeros(settings.codes))
        self.register_buffer("usage", torch.zeros(settings.codes))
        self.steps = 0
        """Training steps since the start."""
        self.refreshed = 0
        """Codes replaced since the record last asked."""

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, frozen: bool = False, frames: torch.Tensor | None = None
    ) -> Quantized:
        """The nearest code vectors, gradients passed straight through; in training the codebook learns from x."""
        rows, learns = x.detach().float(), self.training and not frozen
        if not self.started:
            if not learns:
                return _unquantized(x)
            self._initialise(_everyones(rows, mask, frames))
        codes = nearest(rows, self.codebook)
        quantized = self.codebook[codes].to(x.dtype)
        uses = _uses(rows, codes, mask, self.codes) if learns else None
        commitment = self._commitment(x, quantized, mask, uses) if self.committed and not frozen else None
        if uses is not None:
            self._learn(*uses)
        straight_through = x + (quantized - x).detach()
        return Quantized(straight_through, codes.masked_fill(~mask, -1), commitment, rows, frames)

    def _commitment(
        self, x: torch.Tensor, quantized: torch.Tensor, mask: torch.Tensor, uses: tuple[torch.Tensor, ...] | None
    ) -> torch.Tensor:
        """Mean squared distance of the objects to their codes, which it does not move."""
        error = (x.float() - quantized.detach().float()).square().mean(1)
        # How often all ranks use each code is exchanged already where the codebook learns.
        objects = summed(mask.sum()) if uses is None else uses[0].sum()
        return world_size() * (error * mask).sum() / objects.clamp(min=1)

    @torch.no_grad()
    def _initialise(self, x: torch.Tensor) -> None:
        self.codebook.copy_(from_first(_samples(x, self.codes)))
        self.counts.fill_(len(x) / self.codes)
        self.sums.copy_(self.codebook * self.counts[:, None])
        self._start()

    @torch.no_grad()
    def _learn(self, counts: torch.Tensor, sums: torch.Tensor) -> None:
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        smoothed = (self.counts + EPSILON) / (1 + self.codes * EPSILON / self.counts.sum())
        self.codebook.copy_(self.sums / smoothed[:, None])
        if self.refreshing.enabled:
            self.usage += counts

    def after_step(self, quantized: Quantized) -> None:
        """Refreshes the codebook where its interval is over."""
        self.steps += 1
        if self.refreshing.enabled and self.steps % self.refreshing.interval == 0:
            assert quantized.rows is not None, "a codebook says what it quantised"
            self.refreshed += self.refresh(_everyones(quantized.rows, quantized.codes >= 0, quantized.frames))

    @torch.no_grad()
    def refresh(self, x: torch.Tensor) -> int:
        """Replace codes used less than `threshold` of a uniform share by samples of x (n, W); returns their number."""
        dead = self.usage * self.codes < self.refreshing.threshold * self.usage.sum()
        self.codebook[dead] = from_first(_samples(x, int(dead.sum())))
        self.counts[dead] = self.counts.mean()
        self.sums[dead] = self.codebook[dead] * self.counts[dead, None]
        self.usage.zero_()
        return int(dead.sum())


@torch.no_grad()
def _uses(x: torch.Tensor, codes: torch.Tensor, mask: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`_counts_and_sums` over all ranks, in one exchange."""
    counts, sums = _counts_and_sums(x, codes, mask, count)
    counts, sums = summed(torch.cat([counts[:, None], sums], 1)).split([1, x.shape[1]], 1)
    return counts[:, 0], sums


def _counts_and_sums(
    x: torch.Tensor, codes: torch.Tensor, mask: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many of x (n, W) each of K codes has, (K,), and their sums (K, W), those outside of the mask left out."""
    present = mask.to(x.dtype)
    if x.is_cuda:  # where adding to rows would add in any order
        chosen = (codes[:, None] == torch.arange(count, device=x.device)) & mask[:, None]
        with torch.autocast("cuda", enabled=False):
            return chosen.sum(0).to(x.dtype), chosen.to(x.dtype).T @ x
    counts = x.new_zeros(count).index_add_(0, codes, present)
    return counts, x.new_zeros(count, x.shape[1]).index_add_(0, codes, x * present[:, None])


def _unquantized(x: torch.Tensor) -> Quantized:
    """Without codes, or before they have started: an untrained encoder has to see its tokens."""
    return Quantized(x, torch.full(x.shape[:1], -1, device=x.device))


def nearest(x: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """(n,) int64: the row of codebook (K, W) at the smallest Euclidean distance of each row of x (n, W)."""
    return _relative_distances(x, codebook).argmin(1)


def _relative_distances(x: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """(n, K): squared distances less the squared norm of x, in float32: bfloat16 would confuse near codes."""
    with torch.autocast(x.device.type, enabled=False):
        return torch.addmm(codebook.square().sum(1), x, codebook.T, alpha=-2)


def _everyones(x: torch.Tensor, mask: torch.Tensor, frames: torch.Tensor | None) -> torch.Tensor:
    """The rows of x (n, W) in the mask, of all ranks."""
    if world_size() == 1:
        return x[mask]
    assert frames is not None, "ranks order their objects by frame"
    return all_rows(x[mask], frames[mask])


def _samples(x: torch.Tensor, count: int) -> torch.Tensor:
    """`count` rows of x, distinct as far as there are enough."""
    order = torch.randperm(len(x), device=x.device)
    return x[order[torch.arange(count, device=x.device) % len(x)]]


class GumbelQuantizer(StartedQuantizer):
    """Codes drawn by Gumbel-softmax over negative squared distances (Jang et al. 2017): differentiable, no EMA.

    Training mixes code vectors softly at a temperature that `anneal` lowers to a tenth; evaluation takes the nearest.
    The code vectors start as samples of the first batch: at 1 / K all embeddings would be equal.
    """

    temperature: torch.Tensor

    def __init__(self, width: int, settings: Settings) -> None:
        super().__init__()
        self.codes = settings.codes
        self.start = settings.temperature
        self.codebook = nn.Parameter(torch.zeros(settings.codes, width))
        self.register_buffer("temperature", torch.tensor(settings.temperature))

    def anneal(self, progress: torch.Tensor) -> None:
        """Set the temperature for a share of training done, in [0, 1]: from `start` to a tenth, geometrically."""
        self.temperature.copy_(self.start * 0.1**progress)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, frozen: bool = False, frames: torch.Tensor | None = None
    ) -> Quantized:
        """A soft mixture of code vectors in training, the nearest one in evaluation."""
        learns = self.training and not frozen
        if not self.started:
            if not learns:
                return _unquantized(x)
            self._initialise(_everyones(x.detach(), mask, frames))
        logits = -_relative_distances(x.float(), self.codebook) / x.shape[1] ** 0.5
        codes = logits.argmax(-1)
        if learns:
            gumbel = -torch.empty_like(logits).exponential_().log()
            embeddings = ((logits + gumbel) / self.temperature).softmax(-1) @ self.codebook
        else:
            embeddings = self.codebook[codes]
        return Quantized(embeddings.to(x.dtype), codes.masked_fill(~mask, -1))

    @torch.no_grad()
    def _initialise(self, x: torch.Tensor) -> None:
        self.codebook.copy_(_samples(x.float(), self.codes))
        self.codebook.add_(torch.randn_like(self.codebook), alpha=0.01 * x.float().std().item())
        from_first(self.codebook)
        self._start()


class ScalarQuantizer(QuantizerModule):
    """Finite scalar quantisation (Mentzer et al. 2023): a few scalars rounded to fixed levels, no codebook to learn."""

    def __init__(self, width: int, settings: Settings) -> None:
        # Here, as importing it takes over a second that only this quantiser should pay.
        from vector_quantize_pytorch import FSQ

        super().__init__()
        self.layer = FSQ(levels=list(settings.levels), dim=width)
        self.codes = self.layer.codebook_size

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, frozen: bool = False, frames: torch.Tensor | None = None
    ) -> Quantized:
        embeddings, codes = self.layer(x[None])
        return Quantized(embeddings[0].to(x.dtype), codes[0].long().masked_fill(~mask, -1))


def make_quantizer(width: int, settings: Settings) -> QuantizerModule:
    """The quantiser that the settings ask for."""
    if settings.kind == "none":
        return NoQuantizer()
    kinds = {"vq": CodebookQuantizer, "gumbel": GumbelQuantizer, "fsq": ScalarQuantizer}
    return kinds[settings.kind](width, settings)


def usage_and_perplexity(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Share of codes used, and exp(entropy) of their shares, from counts (K,)."""
    share = counts.double() / counts.sum().clamp(min=1)
    entropy = -(share * share.clamp(min=1e-12).log()).sum()
    return (counts > 0).double().mean(), entropy.exp()
