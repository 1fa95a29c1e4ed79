"""The kernels against plain PyTorch: run by test_kernels.py, with TRITON_INTERPRET=1 where there is no GPU."""

import sys
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import torch
import triton
import triton.language as tl
from model_cases import batch_of, tiny_corpus, tiny_params

from arcjepa import kernels, layout, randomness, sigreg_kernels
from arcjepa.attention import Packing, addends, attend
from arcjepa.encoder import _Pooled, _pooled, add_up
from arcjepa.frames import Grids
from arcjepa.pictures import Sketch, _painted
from arcjepa.sigreg import _STEP, KNOTS, _means, _slopes
from arcjepa.tokens import tokenise
from arcjepa.views import TokenBatch

FRAMES, HEADS, HEAD = 24, 2, 12
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def close(found: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
    """AssertionError where they differ by more than rounding."""
    found, wanted = found.double().cpu(), wanted.double().cpu()
    error = float((found - wanted).norm() / wanted.norm())
    assert error < 1e-5, f"{what}: relative error {error}"


def batch() -> TokenBatch:
    """Some frames, with room that is left over."""
    with torch.device("cpu"):
        return moved(batch_of(tiny_corpus().training, range(FRAMES), 500), DEVICE)


def moved(made: TokenBatch, device: str) -> TokenBatch:
    return replace(made, **{field.name: getattr(made, field.name).to(device) for field in fields(made)})


def attention() -> None:
    """Values and gradients of attention, room that is left over among the tokens."""
    packing = Packing.of(batch())
    weight = torch.randn(3, HEADS, requires_grad=True)
    packed, tokens = len(packing.positions), packing.places.shape[1]
    qkv = torch.randn(packed, 3 * HEADS * HEAD, requires_grad=True)
    wanted = packing.pack(attend(packing.pad(qkv), HEADS, addends(packing, weight)))
    along = torch.randn_like(wanted)
    to_qkv, to_weight = torch.autograd.grad((wanted * along).sum(), (qkv, weight))

    sizes = packed, tokens, HEAD, HEADS
    given = qkv.detach(), packing.places, packing.relations.contiguous(), weight.detach()
    out, back = torch.zeros_like(wanted), torch.zeros_like(to_qkv)
    by_frame = torch.full((FRAMES, HEADS, 3), torch.nan)
    blocks = kernels._blocks(packing.places, HEAD)
    kernels._attend_kernel[FRAMES, HEADS](*given, out, *sizes, **blocks)
    kernels._attend_back_kernel[FRAMES, HEADS](*given, along, back, by_frame, *sizes, **blocks)
    close(out, wanted, "attention")
    close(back, to_qkv, "gradient along queries, keys and values")
    close(by_frame.sum(0).mT, to_weight, "gradient along the weights of relations")


def pool() -> None:
    """Sums, maxima and their gradients, several objects alike and a frame without any."""
    frames = batch()
    frames.valid[3], frames.places[3] = False, len(frames.slots)
    own = frames.slots // frames.valid.shape[1] == 3
    frames.slots[own], frames.present[own] = frames.valid.numel(), False
    objects = torch.randn(len(frames.slots), HEADS * HEAD).round(decimals=1)
    objects[1::2] = objects[:-1:2]
    objects.requires_grad_()
    wanted = _pooled(objects, frames)
    along = [torch.randn_like(part) for part in wanted]
    to_objects = torch.autograd.grad(wanted, objects, along)[0]
    sums, largest = (torch.full_like(part, torch.nan) for part in wanted)
    ties, (packed, width) = torch.full_like(sums, -1, dtype=torch.int32), objects.shape
    places, columns = frames.places.contiguous(), kernels.POOL_COLUMNS
    grid = FRAMES, triton.cdiv(width, columns)
    kernels._pool_kernel[grid](
        objects.detach(), places, sums, largest, ties, packed, places.shape[1], width, BLOCK=columns
    )
    assert ties.max() > 1
    assert ties[3].eq(0).all()
    close(sums, wanted[0], "sums")
    close(largest, wanted[1], "maxima")
    for x in (objects.detach(), objects.detach() > 0):
        alone, held = torch.full_like(sums, torch.nan), x.view(torch.uint8) if x.dtype == torch.bool else x
        kernels._add_kernel[grid](held, places, alone, packed, places.shape[1], width, BLOCK=columns)
        with torch.device("cpu"):
            on_cpu = add_up(x.cpu(), moved(frames, "cpu"))
        close(alone, on_cpu, f"sums alone of {x.dtype}")
        if DEVICE == "cuda":
            torch.library.opcheck(kernels.add_up, (x, places))
            close(add_up(x, frames), on_cpu, f"sums of {x.dtype}")
    kept = SimpleNamespace(saved_tensors=(objects.detach(), largest, ties, frames.slots), slots=places.shape[1])
    close(_Pooled.backward(kept, *along)[0], to_objects, "gradient along the objects")


def paint() -> None:
    """The same pictures, with room that is left over among the masks, and a frame that overflows."""
    drawn = np.random.default_rng(0).integers(0, 10, (30, 30)).astype(np.uint8)
    grids = Grids.from_list(
        [drawn, drawn[:7, :5] * 0, drawn[:3, :9], np.kron(drawn[:5, :4], np.ones((2, 3), np.uint8))]
    )
    with torch.device("cpu"):
        frames = moved(batch_of(tokenise(grids, tiny_params().tokens), range(len(grids)), 100), DEVICE)
    sizes = torch.stack([frames.height, frames.width, frames.background], 1)
    out = torch.full((len(grids), layout.MAX_CELLS), 99, dtype=torch.uint8)
    shape, columns, places = frames.shape.view(torch.uint8).contiguous(), frames.columns, frames.places
    packed, slots = len(shape), places.shape[1]
    kernels._paint_kernel[len(grids),](shape, columns, places, sizes, out, packed, slots, **kernels.LAYOUT)
    wanted = _painted(frames.shape, columns, frames.slots, sizes)
    assert all(wanted.eq(colour).any() for colour in (0, layout.MIXED, layout.OUTSIDE))
    assert out.equal(wanted)
    if DEVICE == "cuda":
        torch.library.opcheck(kernels.paint, (frames.shape, columns, places, sizes))
        compiled = torch.compile(Sketch(64), dynamic=False)
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            found = compiled(frames)
        with torch.device("cpu"):
            assert found.cpu().equal(Sketch(64)(moved(frames, "cpu")))


def hashes() -> None:
    """The same bits."""
    for key in ((0, 0, 0), (3, 21, 7_811), (2**40 + 5, 1, 2**33)):
        seed, step, out = torch.tensor(key[0]), torch.tensor(key[2]), torch.zeros(1000, dtype=torch.int64)
        kernels._hashes_kernel[2,](seed, step, out, key[1], len(out), **kernels.SPLITMIX, BLOCK=512)
        assert out.cpu().equal(randomness.hashes(key, out.shape)), key


def epps_pulley() -> None:
    """Means and slopes, of sizes that no block divides, of embeddings that float16 alone could not hold."""
    sets, rows, dim, columns, knots = 2, 700, 9, 40, KNOTS - 1
    if DEVICE == "cpu":
        sigreg_kernels._product = lambda a, b: a.float() @ b.float()
    z, slices = torch.randn(sets, rows, dim), torch.nn.functional.normalize(torch.randn(dim, columns), dim=0)
    along = torch.randn(sets, 2, knots, columns)
    plain_z, plain_slices, plain_along = (x.double().cpu() for x in (z, slices, along))
    for size in (1e-6, 1.0, 1e5):
        step = _STEP / size
        x = (size * plain_z @ plain_slices).mT.contiguous()
        waves = torch.stack([torch.cos(step * x), torch.sin(step * x)])
        means, *kept = sigreg_kernels.means(size * z, slices, step, knots)
        with torch.device("cpu"):
            wanted_means, wanted = _means(waves), _slopes(waves, size * plain_along).mT @ plain_slices.T
        close(means, wanted_means, f"means at {size}")
        slopes = sigreg_kernels.slopes(*kept, size * along, step)
        close(slopes, wanted, f"slopes at {size}")
    bad = z.clone()
    bad[1, 3, 2] = torch.nan
    assert sigreg_kernels.means(bad, slices, _STEP, knots)[0].isnan().any()


@triton.jit
def _waves_kernel(u, cosine, sine, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    c, s = sigreg_kernels._cos_sin(tl.load(u + at))
    tl.store(cosine + at, c)
    tl.store(sine + at, s)


def cos_sin() -> None:
    """In every quarter of a turn, at its ends, up to 1e4 radians; bounded where float32 has no angle any more."""
    ends = torch.pi / 4 * torch.arange(-12_000, 12_000, 7)
    u = torch.cat([torch.linspace(-1e4, 1e4, 12_500), ends, ends + 1e-4, torch.zeros(1)])
    u = torch.cat([u, torch.logspace(4, 30, 2**15 - len(u))])
    cosine, sine = torch.empty_like(u), torch.empty_like(u)
    _waves_kernel[32,](u, cosine, sine, BLOCK=len(u) // 32)
    angles = u.abs() <= 1e4
    for found, wanted in ((cosine, u.double().cos()), (sine, u.double().sin())):
        assert float((found - wanted)[angles].abs().max()) < 1.2e-7
        assert float(found.abs().max()) < 1.1


torch.manual_seed(0)
torch.set_default_device(DEVICE)
cases = {"attention": attention, "pool": pool, "paint": paint, "hashes": hashes, "epps_pulley": epps_pulley}
(cases | {"cos_sin": cos_sin})[sys.argv[1]]()
