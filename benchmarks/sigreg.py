"""SIGReg forward and backward: ours beside the plain form, the compiled plain form and lightly's, in turn."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch

from arcjepa.sigreg import epps_pulley_plain, knots, sigreg
from benchmarks.charts import Chart
from benchmarks.measuring import FAILED, Job, Row, burst, in_turn, ratio, seconds

TITLE = "SIGReg, forward and backward"
ABOUT = (
    "256 dimensions, 17 knots. Ratios are medians of ratios in turn. GPU: from a CUDA graph, by the GPU's clock, in "
    "bursts; `started from Python` is without the graph. CPU: CPU time of one thread. Peak memory is beyond the "
    "embeddings and slices. The gradient's error is relative, against the plain form in float64 at the same size."
)
CHARTS = (
    Chart("sigreg_samples", "SIGReg against the batch", "N", "ms", {"slices": 1024}),
    Chart("sigreg_slices", "SIGReg against the slices", "slices", "ms", {"N": 1024}),
)
DIMENSIONS = 256
SIZES = {
    "cpu": ((256, 1024), (512, 1024), (1024, 1024), (2048, 1024), (1024, 256), (1024, 512), (1024, 2048)),
    "cuda": (
        *((512, 1024), (1024, 1024), (4096, 1024), (16384, 1024), (65536, 1024)),
        *((1024, 4096), (1024, 16384), (8192, 8192)),
    ),
}
SMALL = ((64, 32),)
ROUNDS = {"cpu": 5, "cuda": 9}
BURST_MS = 2.0
Form = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def measure(job: Job) -> Iterator[Row]:
    """A row for every form at every size."""
    torch.set_num_threads(1)
    sizes = SMALL if job.small else SIZES[job.device]
    known = forms(job.device)
    if job.device == "cuda":
        torch._dynamo.config.recompile_limit = 4 * len(sizes)
        for size in sizes:
            yield from _compiled(known, size)
    job.turn()
    for size in sizes:
        yield from _at(known, size, job.device)


def plain(z: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
    """As the paper writes it: a tensor of N x S x K."""
    return epps_pulley_plain(z @ slices).mean()


def forms(device: str) -> dict[str, Form]:
    """By name; the first is ours. lightly's where it is installed; it draws its slices by itself."""
    found: dict[str, Form] = {"ours": sigreg, "plain": plain}
    if device == "cuda":
        found["plain, compiled"] = torch.compile(plain, dynamic=False)
    if library := _lightly():
        found["lightly"] = _made_once(library)
    return found


def _made_once(library: Any) -> Form:
    """lightly's module as a function: made once for each number of slices."""
    made: dict[int, Any] = {}

    def form(z: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
        count = slices.shape[1]
        if count not in made:
            made[count] = library(num_vectors=count).to(z.device)
        return made[count](z)

    return form


def _lightly() -> Any:
    """lightly's class, read from its file: importing lightly.loss would need torchvision, which it does not use."""
    package = importlib.util.find_spec("lightly")
    if package is None or not package.submodule_search_locations:
        return None
    file = Path(package.submodule_search_locations[0]) / "loss" / "lejepa_loss.py"
    spec = importlib.util.spec_from_file_location("lejepa_loss", file)
    assert spec is not None, file
    assert spec.loader is not None, file
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SIGReg


def _inputs(size: tuple[int, int], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    z = torch.randn(size[0], DIMENSIONS, device=device, requires_grad=True)
    return z, torch.nn.functional.normalize(torch.randn(DIMENSIONS, size[1], device=device), dim=0)


def _compiled(known: dict[str, Form], size: tuple[int, int]) -> Iterator[Row]:
    """Compiles before any form is timed; a form that cannot be is a row, and left out."""
    z, slices = _inputs(size, "cuda")
    for name in [name for name in known if "compiled" in name]:
        try:
            known[name](z, slices).backward()
        except RuntimeError as error:
            known.pop(name)
            yield _failure(name, size, error)


def _failure(name: str, size: tuple[int, int], error: Exception) -> Row:
    reason = "out of memory" if isinstance(error, torch.OutOfMemoryError) else f"{type(error).__name__}: {error}"
    return Row("sigreg", name, _at_size(size), {FAILED: reason.splitlines()[0][:200]})


def _at_size(size: tuple[int, int]) -> dict[str, float]:
    return {"N": size[0], "slices": size[1]}


def _at(known: dict[str, Form], size: tuple[int, int], device: str) -> Iterator[Row]:
    z, slices = _inputs(size, device)
    steps: dict[str, Callable[[], None]] = {}
    more: dict[str, dict[str, float | str]] = {name: {} for name in known}
    for name, form in known.items():
        try:
            steps[name] = _prepared(form, z, slices, more[name])
        except RuntimeError as error:
            yield _failure(name, size, error)
    calls = {name: _clock(step, device) for name, step in steps.items()}
    times = in_turn(calls, ROUNDS[device])
    more["ours"]["gradient's error"] = gradient_error(z, slices)
    for name, values in times.items():
        over = ratio(values, times["ours"])
        yield Row("sigreg", name, _at_size(size), {"ms": median(values), "over ours": over, **more[name]})


def _prepared(form: Form, z: torch.Tensor, slices: torch.Tensor, more: dict[str, float | str]) -> Callable[[], None]:
    """A forward and backward pass, ready to be timed; what else is known of it goes to `more`."""

    def step() -> None:
        z.grad = None
        form(z, slices).backward()

    step()
    if not z.is_cuda:
        return step
    z.grad = None
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    more["peak MiB"] = (torch.cuda.max_memory_allocated() - held) / 2**20
    more["ms started from Python"] = median(burst(step, 3) for _ in range(3))
    return _recorded(step, more)


def _recorded(step: Callable[[], None], more: dict[str, float | str]) -> Callable[[], None]:
    """The step as a CUDA graph; as it is, and said so, where it cannot be recorded."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.empty_cache()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            step()
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        torch.cuda.synchronize()
        more["note"] = "no CUDA graph"
        return step
    return graph.replay


def _clock(step: Callable[[], None], device: str) -> Callable[[], float]:
    """Milliseconds of one call of the step."""
    if device == "cpu":
        return lambda: 1000 * seconds(step)
    count = max(1, min(50, int(BURST_MS / max(burst(step, 1), 1e-3))))
    return lambda: burst(step, count)


def gradient_error(z: torch.Tensor, slices: torch.Tensor) -> float:
    """Of ours, relative to the plain form in float64, which is worked out for a few slices at a time."""
    z = z.detach().requires_grad_()
    (found,) = torch.autograd.grad(sigreg(z, slices), z)
    exact, wanted = z.detach().double(), torch.zeros_like(z, dtype=torch.float64)
    for part in slices.double().split(max(1, 2**23 // (len(z) * len(knots()[0]))), dim=1):
        leaf = exact.clone().requires_grad_()
        (along,) = torch.autograd.grad(plain(leaf, part) * part.shape[1] / slices.shape[1], leaf)
        wanted += along
    return float((found.double() - wanted).norm() / wanted.norm())
