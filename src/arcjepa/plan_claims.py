"""What the analysis claims of its plan in words: fixes, checklist, targets and conclusion, computed from its tables."""

from bisect import bisect

from arcjepa.claims import COMPONENTS, Found, Tables, percent

SCORES = {"High": 1.0, "Medium": 0.5, "Low": 0.0}
STAGES = ("production", "phase1", "phase2")
TEACHER = {"loss.use_target_encoder", "loss.target_ema_decay"}


def plan_claims(t: Tables) -> Found:
    """The claims of the improvement plan, the checklist, the roadmap, the success metrics and the conclusion."""
    parts = (_fixes, _stopping, _hyperparameters, _checklist, _losses, _wanted, _conclusion)
    return {name: found for part in parts for name, found in part(t).items()}


def alignment_score(t: Tables, stage: str, without: str = "") -> float:
    """Per cent of the eight principles after a stage, 1 / 1/2 / 0 each; what a stage does not list stays as it was.

    `without`: a principle that counts as not met.
    """
    scores: dict[str, float] = {}
    for name in STAGES[: STAGES.index(stage) + 1]:
        table = t.table(f"alignment_{name}")
        scores |= dict(zip(table["principle"], table["alignment"].map(SCORES), strict=True))
    if without:
        scores[without] = 0.0
    return 100 * sum(scores.values()) / len(scores)


def _fixes(t: Tables) -> Found:
    weaker = t.plan("option == 'C' and setting == 'relational_loss.weight'").iloc[0]
    smaller = t.plan("option == 'A' and setting == 'object_encoder.num_embeddings'").iloc[0]
    factors = [row["from_value"] / row["to_value"] for row in (weaker, smaller)]
    removed = t.plan("phase == 'phase2' and action == 'remove'")["setting"]
    count = int(removed.isin(TEACHER).sum())
    schedule = t.table("curriculum")["schedule"].tolist()
    first = t.table("curriculum")["last_epoch"][0]
    bands = bisect(schedule, first) + 1
    return {
        "weight divided": ((factors[0],), f"{factors[0]:.0f} times"),
        "codebook divided": ((factors[1],), f"{factors[1]:.0f} times"),
        "teacher in phase 2": ((count,), f"the configuration of phase 2 removes {count} settings of the teacher"),
        "bands at epoch 20": ((bands,), f"bisect admits {bands} bands at epoch {first:.0f}, one epoch early"),
    }


def _stopping(t: Tables) -> Found:
    row = t.plan("setting == 'training.early_stopping.patience'").iloc[0]
    change = row["to_value"] - row["from_value"]
    best, last = (t.at("validation_points", "epoch", point=point) for point in ("best", "final"))
    stop = best + row["to_value"]
    return {
        "change of patience": ((change,), f"it goes from {row['from_value']:.0f} to {row['to_value']:.0f}: a decrease"),
        "epoch of the stop": (
            (stop,),
            f"after the best loss at epoch {best:.0f} it stops at {stop:.0f}; the run ends at {last:.0f}",
        ),
    }


def _hyperparameters(t: Tables) -> Found:
    before, kept = len(t.table("run_settings")), len(t.plan("option == 'minimal'"))
    least = t.at("expected_outcomes", "from_value", quantity="hyperparameter count")
    goal = [t.at("expected_outcomes", end, quantity="hyperparameter count") for end in ("to_high", "to_low")]
    low, high = (-percent(value, least) for value in goal)
    removed = t.at("alignment_phase1", "printed_low", principle="Single hyperparameter")
    start = t.at("success_metrics", "baseline_low", metric="Hyperparameter Count") + removed
    return {
        "hyperparameters before": ((before,), f"{before} settings of the run are named"),
        "hyperparameters of L-JEPA": ((kept,), f"the minimal configuration has {kept}, without its scheduler's"),
        "hyperparameter reduction": ((low, high), f"{low:.0f} to {high:.0f} %"),
        "hyperparameters after phase 1": ((start,), f"it takes at least {start:.0f} before"),
    }


def _checklist(t: Tables) -> Found:
    teachers = int(t.settings["loss"]["teacher"]["enabled"])
    ticked, true = (alignment_score(t, "production", without) for without in ("", "No stop-gradient"))
    decay = t.settings["loss"]["teacher"]["decay"]
    return {
        "stop-gradient": (
            (teachers,),
            f"the EMA teacher (decay {decay}) passes no gradient; without the tick the checklist gives {true:g} %, "
            f"not {ticked:g}",
        ),
    }


def _losses(t: Tables) -> Found:
    best = t.at("validation_points", "val_loss", point="best")
    goal = t.table("expected_outcomes").query("phase == 'phase1' and part == 'Expected Outcome'").iloc[0]
    low, high = (-percent(goal[end], best) for end in ("to_high", "to_low"))
    first = t.at("success_criteria", "low", phase="phase1", quantity="val loss")
    last = t.at("success_criteria", "low", phase="phase3", quantity="val loss")
    change = percent(last, best)
    weights = t.plan("phase == 'phase1' and option == 'A' and to_value == 0")["setting"]
    removed = [term for term in COMPONENTS if f"{term}_loss.weight" in set(weights)]
    left = len(COMPONENTS) - len(removed)
    return {
        "improvement by phase 1": ((low, high), f"{low:.1f} to {high:.1f} %"),
        "loss wanted of phase 1": ((first,), f"its success criterion is {first}"),
        "improvement in all": ((-change,), f"from {best} to {last} is {-change:.1f} %"),
        "loss in all": ((change,), f"{change:.1f} %"),
        "loss components after phase 1": ((left,), f"phase 1 removes {', '.join(removed) or 'none'}: {left} are left"),
    }


def _wanted(t: Tables) -> Found:
    metrics = t.table("success_metrics")
    first = metrics.query("phase == 'phase1' and metric == 'VQ Usage Variance'").iloc[0]
    usage = t.at("success_metrics", "target_low", phase="phase3", metric="VQ Usage")
    rank = t.at("success_metrics", "target_low", phase="phase3", metric="Effective Rank (Target)")
    last, lowest = (
        100 * t.steps["code_usage"].iloc[-1],
        metrics["baseline_low"][metrics["metric"] == "VQ Codebook Quality"],
    )
    change, flattering = percent(usage, last), percent(usage, lowest.iloc[0])
    return {
        "usage wanted of phase 1": (
            (first["target_low"], first["target_high"]),
            f"the success metrics want {first['target_words']}",
        ),
        "usage wanted of phase 3": ((usage,), f"the success metrics want above {usage:.0f} %"),
        "rank wanted of phase 3": ((rank,), f"the success metrics want above {rank:.0f}"),
        "codebook quality in all": (
            (change,),
            f"{flattering:+.0f} % from the lowest value; from the last one, {last:.1f} %, {change:+.0f} %",
        ),
    }


def _conclusion(t: Tables) -> Found:
    start = t.table("alignment_overall").set_index("stage").loc["production"]
    row = t.table("expected_outcomes").query("part == 'Path Forward' and quantity == 'L-JEPA alignment'").iloc[-1]
    gain = percent(row["to_low"], row["from_value"])
    days = t.table("durations").query("part == 'heading'")
    shortest, low, high = days.iloc[0], days["low"].sum(), days["high"].sum()
    return {
        "alignment at the start": (
            (start["low"], start["high"]),
            f"the checklist prints {start['low']:.0f}-{start['high']:.0f} % with the same letter",
        ),
        "alignment in all": ((gain,), f"{row['from_value']:.0f} to {row['to_low']:.0f} is {gain:+.0f} %"),
        "days of a phase": (
            (shortest["low"], shortest["high"]),
            f"{shortest['phase']} has {shortest['low']:.0f}-{shortest['high']:.0f}; the headings add up to "
            f"{low:.0f}-{high:.0f} days, not three times 5-7",
        ),
    }
