"""Our EMA codebook beside vector-quantize-pytorch's, one training step in turn: `python benchmarks/quantizer.py`."""

import time
from collections.abc import Callable
from statistics import median

import torch
from vector_quantize_pytorch import VectorQuantize

from arcjepa.quantizer import CodebookQuantizer
from arcjepa.settings import Commitment, Quantizer, Refresh

SIZES = ((3500, 64, 768), (3500, 64, 256), (3500, 384, 768))
ROUNDS = 15


def milliseconds(step: Callable[[], None]) -> float:
    """CPU time of one call."""
    started = time.process_time()
    step()
    return 1000 * (time.process_time() - started)


def steps(count: int, width: int, codes: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """A forward and backward pass of ours, and of the library's, on the same objects (count, width)."""
    refresh = Refresh(enabled=False, interval=1, threshold=0.0)
    settings = Quantizer(
        kind="vq",
        codes=codes,
        decay=0.95,
        commitment=Commitment(enabled=True, weight=0.15),
        refresh=refresh,
        temperature=1.0,
        levels=[8],
    )
    ours = CodebookQuantizer(width, settings)
    library = VectorQuantize(dim=width, codebook_size=codes, decay=0.95, kmeans_init=True, rotation_trick=False)
    x, mask = torch.randn(count, width, requires_grad=True), torch.ones(count, dtype=torch.bool)

    def run_ours() -> None:
        made = ours(x, mask)
        assert made.commitment is not None
        (made.embeddings.sum() + made.commitment).backward()

    def run_library() -> None:
        embeddings, _, commitment = library(x[None], mask=mask[None])
        (embeddings.sum() + commitment.sum()).backward()

    return run_ours, run_library


def main() -> None:
    """One line per size: medians of CPU milliseconds on one thread, and the median of the ratios pair by pair."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, median of {ROUNDS}")
    for count, width, codes in SIZES:
        ours, library = steps(count, width, codes)
        milliseconds(ours), milliseconds(library)  # the first call starts the codebook
        pairs = [(milliseconds(ours), milliseconds(library)) for _ in range(ROUNDS)]
        mine, theirs = (median(column) for column in zip(*pairs, strict=True))
        ratio = median(b / a for a, b in pairs)
        print(f"{count} x {width}, {codes} codes: ours {mine:.1f} ms, library {theirs:.1f} ms, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
