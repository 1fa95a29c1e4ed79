"""A 2-D map of the embeddings, one panel per encoder: what do they group by?"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from arcjepa.figures import style

# Tol's muted palette, so that kinds are not mistaken for phases.
KINDS = (
    ("#CC6677", "o"), ("#332288", "s"), ("#999933", "^"), ("#88CCEE", "D"),
    ("#882255", "v"), ("#44AA99", "P"), ("#DDCC77", "X"),
)  # fmt: skip
OTHER = ("#cccccc", ".")


@style.styled()
def plot_map(
    embeddings: Mapping[str, np.ndarray],
    labels: Sequence[str],
    kind: str,
    phases: Sequence[str] = style.PHASES,
) -> Figure:
    """The two first principal components of the same frames in each encoder, coloured by what they are.

    Shape: embeddings name -> (n, width), labels (n,). `kind` says what the labels are ("source").
    """
    columns = min(len(phases), 5)
    rows = -(-len(phases) // columns)
    layout = style.Layout(rows, columns, 2.1, 2.1, left=0.5, right=0.25, bottom=1.05, gap_x=0.45, gap_y=0.65)
    key = f"first two principal components of the same frames, with their share of the variance · by {kind}"
    figure, grid = style.panels(layout, "Map of the embeddings", key, style.absent(phases, embeddings))
    shown = choose_kinds(labels)
    for axes, name in zip(grid.ravel(), phases, strict=False):
        axes.set_title(style.look(name).label, color=style.look(name).colour)
        _draw_encoder(axes, embeddings.get(name), np.asarray(labels), shown)
    for axes in grid.ravel()[len(phases) :]:
        axes.set_axis_off()
    anchor = (0.5, 0.2 / layout.size[1])
    figure.legend(handles=_keys(shown, set(labels)), ncols=4, loc="lower center", bbox_to_anchor=anchor)
    return figure


def choose_kinds(labels: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of the most frequent labels, in order of frequency and then of name."""
    counts = sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0]))
    return {label: look for (label, _), look in zip(counts, KINDS, strict=False)}


def project(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components: coordinates (n, 2) and shares of variance (2,). Signs make the largest loading positive."""
    centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
    _, singular, loadings = np.linalg.svd(centred, full_matrices=False)
    axes = np.zeros((2, values.shape[1]))
    axes[: len(loadings[:2])] = loadings[:2]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    variance = np.pad(singular, (0, 2))[:2] ** 2 / max((singular**2).sum(), 1e-30)
    return centred @ (axes * np.where(largest < 0, -1, 1)).T, variance


def _draw_encoder(
    axes: Axes, values: np.ndarray | None, labels: np.ndarray, shown: Mapping[str, tuple[str, str]]
) -> None:
    if values is None:
        style.say(axes, style.NOT_RUN)
        return
    if not np.isfinite(values).all():
        style.say(axes, "embeddings are not finite")
        return
    points, shares = project(values)
    rest = ~np.isin(labels, list(shown))
    groups = [(rest, OTHER), *((labels == label, look) for label, look in shown.items())]
    for chosen, (colour, marker) in groups:
        x, y = points[chosen].T
        axes.scatter(x, y, s=7, c=colour, marker=marker, alpha=0.6, linewidths=0, rasterized=True)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"component 1 ({shares[0]:.0%})", size=7)
    axes.set_ylabel(f"component 2 ({shares[1]:.0%})", size=7)


def _keys(shown: Mapping[str, tuple[str, str]], labels: set[str]) -> list[Line2D]:
    looks = dict(shown) | ({"other": OTHER} if labels - set(shown) else {})
    return [Line2D([], [], linestyle="", marker=m, color=c, label=label) for label, (c, m) in looks.items()]
