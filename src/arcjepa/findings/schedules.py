"""What should go by a plan and does not: the learning rate, the queue, the curriculum, the speed."""

import pandas as pd

from arcjepa.diagnosis_settings import Thresholds
from arcjepa.findings.finding import Finding, Rule, Skipped
from arcjepa.findings.objective import contrastive_off
from arcjepa.findings.records import Record
from arcjepa.findings.series import over, smooth

WARM_UP = 0.05
"""Share of the run in which the learning rate rises: that of `schedule`, whose import takes a second."""
AT_PEAK = 0.9
"""Share of its peak at which a learning rate has no warm-up any more."""
BLOW_UP, ROWS = {"train_total": 2.0, "grad_norm_mean": 5.0}, 10
"""How many times its first value a column may reach within the first rows of a run without warm-up."""
FIRST_EPOCHS = 4
"""Epochs that such a start takes at least, where twice the warm-up is shorter."""
FEWEST, ENOUGH = 3, 12
"""Epochs from which on a queue, and a speed, are judged."""


def learning_rate(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """After twice the warm-up, its largest value < learning_rate * optimizer.lr; or no warm-up, and a loss that blows
    up at the start."""
    rates, peak, planned = record.series("lr"), record.own("optimizer.lr"), record.own("training.epochs")
    largest = float(rates.max())
    if largest > 0 and (peak is None or planned is None):
        return Skipped("lacks settings.optimizer.lr and settings.training.epochs in run.json")
    warm = WARM_UP * (planned or 0)
    if len(rates) > 1 and rates.index[-1] > 2 * warm and largest < limits.learning_rate * (peak or 1.0):
        return _finding(
            record, limits, rates, "critical",
            f"The learning rate never exceeds {largest:.3g}" + (f", and {peak:.3g} is set" if peak else "")
            + ": little can be learned.",
            "The schedule was not stepped, is stuck in its warm-up, or was given too many steps.",
            "Mend the schedule and train again; other findings of this run are its consequences.",
        )  # fmt: skip
    blown = _blown_up(record, max(FIRST_EPOCHS, round(2 * warm)))
    if not blown or rates.index[0] >= warm or rates.iloc[0] < AT_PEAK * largest:
        return None
    column, ratio = blown
    return _finding(
        record, limits, rates.iloc[:ROWS], "warning",
        f"The learning rate is at its peak of {largest:.3g} in epoch {rates.index[0]}, without a warm-up, and {column} "
        f"rises to {ratio:.1f} times its first value.",
        "Adam's first steps are as long as the learning rate allows, from moments that it does not know yet.",
        "Warm up over the first steps; else halve the learning rate.",
    )  # fmt: skip


def _blown_up(record: Record, until: int) -> tuple[str, float] | None:
    """The column that left its first value behind up to an epoch, within the first rows, and how far."""
    # The squared error of LeJEPA rises as embeddings spread.
    watched = [name for name in BLOW_UP if name != "train_total" or record.objective == "infonce"]
    ratios = {name: record.series(name).loc[:until].iloc[:ROWS] for name in watched}
    reached = {name: over(early.max(), early.iloc[0]) for name, early in ratios.items() if len(early) > 1}
    return next(((name, ratio) for name, ratio in reached.items() if ratio >= BLOW_UP[name]), None)


def _finding(record: Record, limits: Thresholds, rates: pd.Series, severity: str, *words: str) -> Finding:
    summary, cause, advice = words
    return Finding(
        "learning rate off its schedule",
        "critical" if severity == "critical" else "warning",
        summary,
        {"largest": rates.max(), "first": rates.iloc[0], "final": rates.iloc[-1],
         "set": record.number("optimizer.lr") or float("nan")},
        "learning_rate",
        limits.learning_rate,
        cause,
        advice,
        "epoch",
        int(rates.index[0]),
        int(rates.index[-1]),
        record.tries({"optimizer.lr": record.scaled("optimizer.lr", 0.5, 5e-4)}) if severity == "warning" else (),
    )  # fmt: skip


def queue_off(record: Record) -> str:
    """Why there is no queue."""
    return contrastive_off(record) or ("there is no queue" if record.number("loss.infonce.queue") == 0 else "")


def queue(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """queue_fill at the end < queue_fill * min(1, steps * batch / queue)."""
    fill, steps = record.series("queue_fill"), record.series("step")
    size, batch = record.own("loss.infonce.queue"), record.batch
    if size is None or batch is None or not len(steps):
        return Skipped("lacks step in epochs.csv, or batch and queue in settings of run.json")
    expected = (steps.reindex(fill.index) * batch / size).clip(upper=1.0).dropna()
    if len(expected) < FEWEST or fill.iloc[-1] >= limits.queue_fill * expected.iloc[-1]:
        return None
    short = fill.reindex(expected.index) < limits.queue_fill * expected
    return Finding(
        "queue not filled",
        "warning",
        f"The queue ends {fill.iloc[-1]:.1%} full, and {expected.iloc[-1]:.0%} of its {size:.0f} places were due.",
        {"final_fill": fill.iloc[-1], "expected_fill": expected.iloc[-1], "queue": size, "batch": batch},
        "queue_fill",
        limits.queue_fill,
        "Targets are not pushed, or over each other: the loss has fewer negatives than was set, and is lower for it.",
        "Mend the queue and train again; do not compare this loss with that of a full one.",
        "epoch",
        int(short.index[short][0]),
        int(fill.index[-1]),
    )


def curriculum_off(record: Record) -> str:
    """Why there is no curriculum."""
    return "the curriculum is off" if record.setting("sequence.curriculum.enabled") is False else ""


def curriculum(record: Record, limits: Thresholds) -> Finding | Skipped | None:
    """admitted_share ends below `admitted` after the last band was due, or never changed after the first was."""
    admitted, bands = record.series("admitted_share"), record.setting("sequence.curriculum.epochs")
    if record.assumed or not isinstance(bands, list) or not bands:
        return Skipped("lacks settings.sequence.curriculum.epochs in run.json")
    last = int(admitted.index[-1])
    stuck = last >= min(bands) and admitted.nunique() == 1 and len(admitted) > 1 and admitted.index[0] < min(bands)
    if admitted.iloc[-1] >= limits.admitted or not (stuck or last >= max(bands)):
        return None
    return Finding(
        "curriculum stuck",
        "warning",
        f"{admitted.iloc[-1]:.0%} of the tasks are admitted at the end, and the bands were due in epochs "
        f"{', '.join(map(str, bands))}.",
        {"final_share": admitted.iloc[-1], "last_band": max(bands)},
        "admitted",
        limits.admitted,
        "Bands are not admitted when they are due: harder tasks were never trained on.",
        "Mend the curriculum, or switch it off; validation holds tasks that this run never saw the like of.",
        "epoch",
        min(bands),
        last,
        record.tries({"sequence.curriculum.enabled": False}),
    )


def slower(record: Record, limits: Thresholds) -> Finding | None:
    """Sequences per second, median of the last third of the epochs, < throughput times that of the fastest third."""
    seconds = record.series("seconds")
    speed = record.series("sequences_per_second")
    speed = speed if len(speed) else 1 / seconds[seconds > 0]
    if len(speed) < ENOUGH:
        return None
    third = len(speed) // 3
    level, ends = smooth(speed), float(speed.iloc[-third:].median())
    fastest = float(speed.rolling(third).median().max())
    if fastest <= 0 or ends >= limits.throughput * fastest:
        return None
    return Finding(
        "slower epochs",
        "note",
        f"Epochs end at {ends / fastest:.0%} of the speed that they had.",
        {"final_over_fastest": ends / fastest},
        "throughput",
        limits.throughput,
        "Another job shares the machine, it throttles, or memory fills up. What is learned is the same.",
        "Look at the machine's load, temperature and memory.",
        "epoch",
        int(level.index[level < limits.throughput * fastest][0]),
        int(speed.index[-1]),
    )


RULES = (
    Rule("learning rate off its schedule", learning_rate, ("lr",)),
    Rule("queue not filled", queue, ("queue_fill",), queue_off),
    Rule("curriculum stuck", curriculum, ("admitted_share",), curriculum_off),
    Rule("slower epochs", slower, ("sequences_per_second|seconds",)),
)
