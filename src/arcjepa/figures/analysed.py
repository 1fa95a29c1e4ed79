"""The analysed run beside our baseline: every quantity that means the same in both, over the same share of training."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from arcjepa import analysed_run
from arcjepa.figures import style
from arcjepa.findings.objective import chance_levels, prediction
from arcjepa.findings.records import Record, make_record
from arcjepa.findings.series import SMALLEST

Quantity = Callable[[Record], pd.Series]
"""By epoch or step, as the record has it; empty where the record cannot tell."""


def printed_record(folder: Path = analysed_run.ANALYSIS) -> Record:
    """The analysed run as a record, from the tables of its analysis. Errors: UserError naming a table."""
    epochs, steps = analysed_run.epochs(folder), analysed_run.steps(folder)
    return make_record("analysed run", epochs, steps, analysed_run.summary(folder))


def over_chance(record: Record) -> pd.Series:
    """InfoNCE of training over ln(candidates); 1 is guessing."""
    return prediction(record, "train") / chance_levels(record, "train") if _contrastive(record) else _nothing()


def relational_growth(record: Record) -> pd.Series:
    """The weighted relational loss over that of the first epoch."""
    loss = record.series("train_relational_weighted")
    return loss / max(loss.iloc[0], SMALLEST) if len(loss) else _nothing()


def relational_share(record: Record) -> pd.Series:
    """The weighted relational loss over the total."""
    return (record.series("train_relational_weighted") / record.series("train_total")).dropna()


def raw_sigreg(record: Record) -> pd.Series:
    """SIGReg before its weight."""
    raw, weight = record.series("train_sigreg"), record.number("loss.sigreg.weight")
    return raw if len(raw) or not weight else record.series("train_sigreg_weighted") / weight


def above_best(record: Record) -> pd.Series:
    """The validation total over its smallest value."""
    total = record.series("val_total")
    return total / max(total.min(), SMALLEST) if _contrastive(record) and len(total) else _nothing()


def over_clip(column: str) -> Quantity:
    """A gradient norm before clipping over the threshold that it is clipped at."""

    def quantity(record: Record) -> pd.Series:
        clip = record.number("optimizer.clip")
        return record.series(column) / clip if clip else _nothing()

    return quantity


def recorded(column: str) -> Quantity:
    """A column as it is."""
    return lambda record: record.series(column)


def _contrastive(record: Record) -> bool:
    return record.objective == "infonce"


def _nothing() -> pd.Series:
    return pd.Series(dtype=float)


class Panel(NamedTuple):
    """One quantity, or two that share an axis: the second is thin and has no markers."""

    title: str
    quantities: Sequence[Quantity]
    limits: tuple[float, float] | None = None
    percent: bool = False
    log: bool = False
    best: bool = False
    """Whether the smallest value has a ring."""


PANELS = (
    Panel("InfoNCE over chance", (over_chance,)),
    Panel("relational loss over its first value", (relational_growth,)),
    Panel("relational share of the total", (relational_share,), percent=True),
    Panel("SIGReg before its weight", (raw_sigreg,)),
    Panel("validation loss over its best", (above_best,), limits=(0.97, 1.25), best=True),
    Panel("gradient norm over the clip (log)", (over_clip("grad_norm_mean"), over_clip("grad_norm_max")), log=True),
    Panel("share of codes used", (recorded("code_usage"),), limits=(0, 1.05), percent=True),
    Panel("effective rank, context", (recorded("effective_rank_context"),)),
    Panel("effective rank, target", (recorded("effective_rank_target"),)),
)
COLUMNS = 3
TICKS = np.linspace(0, 1, 5)


@style.styled()
def plot_analysed(records: Sequence[Record], analysed: Record, name: str) -> Figure:
    """One panel per quantity; the baseline's line with a band over its seeds, and the analysed run's printed values.

    `records`: the runs of phase `name`, one a seed; none where it was not run.
    """
    layout = style.Layout(-(-len(PANELS) // COLUMNS), COLUMNS, 2.15, 1.15, gap_x=1.2, gap_y=0.5, right=0.85, top=1.05)
    key = "dashed: what the analysis prints of its run · ring: lowest · thin: largest norm of the epoch"
    missing = [] if records else [name]
    title = f"The analysed run beside {style.look(name).label}"
    figure, grid = style.panels(layout, title, key, missing, _dimensions([*records[:1], analysed]))
    for place, (panel, axes) in enumerate(zip(PANELS, grid.flat, strict=True)):
        _draw_panel(axes, panel, {name: records, style.ANALYSED: [analysed]})
        axes.set_title(panel.title, size=7.5)
        axes.set_xlim(-0.03, 1.03)
        lowest = place >= len(PANELS) - COLUMNS
        epochs = length(analysed)
        axes.set_xticks(TICKS, [f"{tick:.0%}\n{tick * epochs:.0f}" for tick in TICKS] if lowest else [])
        axes.set_xlabel("share of training\nand epoch of the analysed run" if lowest else "", size=7)
    return figure


def _dimensions(records: Sequence[Record]) -> str:
    """What the largest ranks can be, and how long training was."""
    sizes = [f"{record.number('model.embedding') or math.nan:.0f}" for record in records]
    epochs = [f"{length(record):.0f}" for record in records]
    return f"embeddings of {' and '.join(sizes)} dimensions, {' and '.join(epochs)} epochs (the analysed run last)"


def length(record: Record) -> float:
    """Epochs of the whole training, also where it was stopped early."""
    return record.number("training.epochs") or float(max(record.epochs.index, default=1))


def by_share(record: Record, quantity: Quantity) -> pd.DataFrame:
    """A quantity (column `value`) against the share of training (`share`, 0 to 1) at the end of an epoch, or step."""
    values = quantity(record)
    last = length(record)
    if values.index.name == "step":
        ends = record.series("step")
        last *= float(ends.iloc[-1] / ends.index[-1]) if len(ends) else 1.0
    return pd.DataFrame({"share": values.index.to_numpy(float) / last, "value": values.to_numpy(float)})


def _draw_panel(axes: Axes, panel: Panel, runs: dict[str, Sequence[Record]]) -> None:
    ends = []
    for name, records in runs.items():
        for place, quantity in enumerate(panel.quantities):
            tables = [by_share(record, quantity) for record in records]
            drawn = style.curve(pd.concat(tables), "share", "value") if tables else None
            if drawn is None:
                continue
            line = "--" if name == style.ANALYSED else "-"
            style.draw_curve(axes, drawn, name, line if place == 0 else ":", marked=place == 0)
            if place == 0:
                ends.append((float(drawn.mean[-1]), *reversed(style.look(name)[::2])))
            if panel.best:
                style.draw_ring(axes, drawn, name)
    if panel.log and ends:
        low, high = axes.dataLim.intervaly
        style.log_y(axes, low / 1.5, high * 1.5)
    elif panel.limits:
        low, high = panel.limits
        axes.set_ylim(low, max([high, *(1.04 * end for end, _, _ in ends)]))  # so that no line ends outside
    elif panel.percent and ends:
        axes.set_ylim(0, 1.1 * axes.dataLim.y1)
    else:
        style.scale_y(axes)
    if panel.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    style.label_ends(axes, ends)
