"""Our EMA codebook beside vector-quantize-pytorch's: a training step of each, in turn."""

from collections.abc import Callable, Iterator
from statistics import median

import torch

from arcjepa.quantizer import CodebookQuantizer
from arcjepa.settings import Commitment, Quantizer, Refresh
from benchmarks.charts import Chart
from benchmarks.measuring import Job, Row, in_turn, ratio, seconds

TITLE = "The codebook, a training step"
ABOUT = "Forward, backward and the moving averages; CPU time of one thread. Ratios are medians of ratios in turn."
CHARTS: tuple[Chart, ...] = ()

SIZES = ((3500, 64, 768), (3500, 64, 256), (3500, 384, 768))
ROUNDS = 15


def steps(count: int, width: int, codes: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """A forward and backward pass of ours, and of the library's, on the same objects (count, width)."""
    from vector_quantize_pytorch import VectorQuantize

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


def measure(job: Job) -> Iterator[Row]:
    """Two rows for each size."""
    torch.set_num_threads(1)
    for count, width, codes in SIZES[:1] if job.small else SIZES:
        calls = dict(zip(("ours", "vector-quantize-pytorch"), steps(count, width, codes), strict=True))
        for call in calls.values():
            call()  # the first one starts the codebook
        times = in_turn({name: lambda call=call: 1000 * seconds(call) for name, call in calls.items()}, ROUNDS)
        for name, values in times.items():
            measured: dict[str, float | str] = {"ms": median(values), "over ours": ratio(values, times["ours"])}
            yield Row("quantizer", name, {"objects": count, "width": width, "codes": codes}, measured)
