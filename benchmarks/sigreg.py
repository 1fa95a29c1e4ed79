"""SIGReg forward and backward, ours beside the plain form and lightly's, in turn: `python benchmarks/sigreg.py`.

Milliseconds (median), peak memory and the error of the gradient against the plain form in float64. On a GPU every form
is replayed from a CUDA graph; on the CPU it is one thread. `lightly` is measured where it is installed.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

from arcjepa.sigreg import epps_pulley_plain, sigreg

DIMENSIONS = 256
SIZES = {
    "cpu": ((512, 1024), (1024, 1024)),
    "cuda": ((512, 1024), (1024, 1024), (4096, 1024), (16384, 1024), (8192, 8192)),
}
ROUNDS = {"cpu": 7, "cuda": 30}
Form = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def plain(z: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
    """As the paper writes it: a tensor of N x S x K."""
    return epps_pulley_plain(z @ slices).mean()


def forms(device: str) -> dict[str, Form]:
    """By name; the first is ours."""
    found: dict[str, Form] = {"ours": sigreg, "plain": plain}
    if device == "cuda":
        found["plain, compiled"] = torch.compile(plain, dynamic=False)
    try:
        from lightly.loss import SIGRegLoss
    except ImportError:
        return found

    def library(z: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
        return SIGRegLoss(num_slices=slices.shape[1]).to(z.device)(z)

    return found | {"lightly": library}


def prepared(form: Form, z: torch.Tensor, slices: torch.Tensor) -> Callable[[], None]:
    """A forward and backward pass, ready to be timed."""

    def step() -> None:
        z.grad = None
        form(z, slices).backward()

    for _ in range(2):
        step()
    if not z.is_cuda:
        return step
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def milliseconds(step: Callable[[], None], device: str) -> float:
    """Of one call: CPU time, or the GPU's own."""
    if device == "cpu":
        started = time.process_time()
        step()
        return 1000 * (time.process_time() - started)
    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    first.record()
    step()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last)


def gradient_error(z: torch.Tensor, slices: torch.Tensor) -> float:
    """Relative, of ours, on the first rows and slices: float64 with every knot would not fit otherwise."""
    z, slices = z.detach()[:512].requires_grad_(), slices[:, :256]
    exact = z.detach().double().requires_grad_()
    (found,) = torch.autograd.grad(sigreg(z, slices), z)
    (wanted,) = torch.autograd.grad(plain(exact, slices.double()), exact)
    return float((found.double() - wanted).norm() / wanted.norm())


def measure(rows: int, columns: int, device: str) -> None:
    """Print a line for every form at one size."""
    torch.manual_seed(0)
    z = torch.randn(rows, DIMENSIONS, device=device, requires_grad=True)
    slices = torch.nn.functional.normalize(torch.randn(DIMENSIONS, columns, device=device), dim=0)
    steps, peaks = {}, {}
    for name, form in forms(device).items():
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
        try:
            steps[name] = prepared(form, z, slices)
        except torch.OutOfMemoryError:
            print(f"| {rows} x {columns} | {name} | out of memory | | |")
            continue
        if device == "cuda":
            peaks[name] = f"{(torch.cuda.max_memory_allocated() - held) / 2**20:.0f}"
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS[device]):
        for name, step in steps.items():
            times[name].append(milliseconds(step, device))
    ours = median(times["ours"])
    for name, values in times.items():
        error = f"{gradient_error(z, slices):.1e}" if name == "ours" else ""
        ratio = f"{median(values) / ours:.1f}"
        print(f"| {rows} x {columns} | {name} | {median(values):.3f} | {peaks.get(name, '')} | {ratio} | {error} |")


def main() -> None:
    """A table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=SIZES, default="cuda" if torch.cuda.is_available() else "cpu")
    device = parser.parse_args().device
    torch.set_num_threads(1)
    machine = torch.cuda.get_device_name() if device == "cuda" else "one thread"
    print(f"torch {torch.__version__}, {machine}, D = {DIMENSIONS}, median of {ROUNDS[device]}\n")
    print("| N x slices | form | ms | peak MiB | over ours | gradient's error |\n|---|---|---|---|---|---|")
    for rows, columns in SIZES[device]:
        measure(rows, columns, device)


if __name__ == "__main__":
    main()
