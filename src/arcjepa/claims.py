"""What the analysis claims of the run in words, computed anew from its tables.

A claim's name is its row in statements.csv, which holds the words and the numbers printed there. Here are the values
that the tables give, of which as many are compared as are printed, and a sentence on them.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from arcjepa.analysed_run import epochs, load_table, load_text, settings, steps, steps_per_epoch
from arcjepa.errors import UserError

COMPONENTS = ("infonce", "sigreg", "invariance", "relational")
Values = tuple[float, ...]
Found = dict[str, tuple[Values, str]]


class Tables:
    """The tables of a folder, each read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = cache(lambda name: load_table(name, folder))
        self.text = cache(lambda name: load_text(name, folder))
        self.settings = settings(folder)
        self.epoch_length = steps_per_epoch(folder)
        self.epochs = epochs(folder).set_index("epoch")
        self.steps = steps(folder).set_index("step")
        self.losses = self.table("training_losses").set_index("epoch").drop(columns="assessment")

    def at(self, name: str, column: str, **keys: Any) -> float:
        """The number in the one row where the named columns have these values. Errors: UserError if not one row."""
        table = self.table(name)
        for key, value in keys.items():
            table = table[table[key] == value]
        if len(table) != 1:
            raise UserError(f"{self.folder / name}.csv: {len(table)} rows with {keys}; allowed: one")
        return float(table[column].iloc[0])

    def plan(self, query: str) -> pd.DataFrame:
        """Rows of proposed_settings.csv."""
        return self.table("proposed_settings").query(query)

    def usage(self, query: str) -> Values:
        """Lowest and highest share of the codes in use, per cent, over the ranges of steps that a query chooses."""
        chosen = self.table("codebook_usage").query(query)
        return chosen["usage_low"].min(), chosen["usage_high"].max()


def percent(value: float, of: float) -> float:
    """Change from `of` to `value` in per cent."""
    return 100 * (value / of - 1)


def where(values: pd.Series, value: float) -> int:
    """The epoch at which a series is nearest to a value."""
    return int(values.index[int((values - value).abs().to_numpy().argmin())])


def run_claims(t: Tables) -> Found:
    """The claims of the executive summary, sections 1 to 4 and the root causes."""
    parts = (_validation, _relational, _growth, _components, _codebook, _refresh, _embeddings, _gradients, _raw)
    return {name: found for part in parts for name, found in part(t).items()}


def _validation(t: Tables) -> Found:
    best, final = (t.at("validation_points", "val_loss", point=point) for point in ("best", "final"))
    limit, last = (t.at("key_findings", "target_high", metric=f"{name} Val Loss") for name in ("Best", "Final"))
    late = t.epochs["val_total"].loc[50:]
    gap, fall, rise = percent(best, limit), -percent(best, late[50]), percent(final, best)
    own = t.losses["relational"][70]
    freed = 100 * own / best
    return {
        "gap to the best loss": ((gap,), f"{best} is {gap:+.1f} % from {limit}, below it: met, not missed"),
        "gap to the final loss": ((percent(final, last),), f"{final} is above {last}"),
        "plateau range": ((late.min(), late.max()), f"{late.min():.3f} to {late.max():.3f}"),
        "plateau": ((fall,), f"after epoch 50 the loss still falls by {fall:.1f} %, more than phase 1 is to bring"),
        "rise after the best loss": ((rise,), f"{rise:.1f} %"),
        "removed term as improvement": (
            (freed,),
            f"the validation loss holds the relational term ({own:.3f} in training at epoch 70): leaving it out takes "
            f"{freed:.0f} % off {best}, past every target, and improves nothing",
        ),
        "target of the best loss": ((limit,), f"the key findings give {limit} as the target of the best loss"),
        "final performance": ((final,), f"{best} is the best loss; the final one is {final}"),
    }


def _relational(t: Tables) -> Found:
    own, share = t.losses["relational"], 100 * t.losses["relational"] / t.losses["total"]
    first, peak = own[1], own.max()
    at = where(own, own.max())
    ratio, begins = peak / first, t.at("training_losses", "epoch", assessment="Explosion begins")
    to_infonce = 100 * own / t.losses["infonce"]
    rise = {term: float(t.losses[term][80] - t.losses[term][70]) for term in (*COMPONENTS, "total")}
    part = {term: 100 * rise[term] / rise["total"] for term in COMPONENTS}
    gradient, before = t.epochs["grad_norm_max"][at], t.epochs["grad_norm_max"][70]
    highest = where(t.epochs["grad_norm_max"], t.epochs["grad_norm_max"].max())
    return {
        "relational factor": ((ratio,), f"{ratio:.2f} times"),
        "relational increase": (
            (percent(peak, first),),
            f"{ratio:.2f} times is an increase of {100 * ratio - 100:.0f} %",
        ),
        "relational start value": (
            (own[30],),
            f"{first} is epoch 1; epoch 30 has {own[30]}, from where the increase is {percent(peak, own[30]):.0f} %",
        ),
        "relational share at the end": (
            (share[80],),
            f"{share[80]:.1f} %; {to_infonce[80]:.1f} % is over InfoNCE alone",
        ),
        "relational share at the peak": (
            (share[at],),
            f"{share[at]:.1f} %; {to_infonce[at]:.1f} % is over InfoNCE alone",
        ),
        "relational dominance": ((share.max(),), f"at most {share.max():.1f} % of the total"),
        "relational peak epoch": ((at,), f"epoch 60 has {own[60]}, epoch {at} has {peak}"),
        "start of the explosion": ((begins,), f"by the table the explosion begins at epoch {begins:.0f}"),
        "cause of the last rise": (
            (part["relational"],),
            f"of the rise of the training total from epoch 70 to 80, {part['relational']:.0f} % is relational and "
            f"{part['infonce']:.0f} % InfoNCE",
        ),
        "InfoNCE in the last rise": (
            (float(rise["infonce"]),),
            f"InfoNCE rises too, by {rise['infonce']:.3f} from 70 to 80",
        ),
        "gradient at the relational peak": (
            (gradient,),
            f"{gradient} at the relational peak, epoch {at}; {before} at epoch 70 is called normal, and the highest "
            f"norm is at epoch {highest}",
        ),
    }


def _growth(t: Tables) -> Found:
    own, ranks, variance = t.losses["relational"], t.steps["effective_rank_context"], t.steps["variance_context"]
    power = math.log(own[80] / own[30]) / math.log(ranks[7600] / ranks[3000])
    change, wider, larger = percent(own[10], own[1]), ranks[1000] / ranks[100], variance[1000] / variance[100]
    return {
        "quadratic growth": (
            (power,),
            f"from epoch 30 (step 3,000) to the end it grows with the power {power:.2f} of the rank",
        ),
        "inevitable growth": (
            (change,),
            f"from epoch 1 to 10 it changes by {change:.0f} %, while the rank grows to {wider:.2f} times and the "
            f"variance to {larger:.1f} times",
        ),
        "rank range": (
            (ranks[3000], ranks[7600]),
            f"{ranks[3000]} at step 3,000 and {ranks[100]} at step 100, {ranks[7600]} at the end",
        ),
    }


def _components(t: Tables) -> Found:
    infonce, sigreg = t.losses["infonce"], t.losses["sigreg"]
    fall, rise = -percent(infonce[80], infonce[1]), infonce[80] - infonce.min()
    printed = t.table("balance_evidence").set_index("component")["to_value"]
    at = {term: where(t.losses[term], float(printed[term])) for term in ("infonce", "relational")}
    apart = abs(at["infonce"] - at["relational"])
    named = str(t.table("lejepa_gap").set_index("aspect").loc["Loss Function", "lejepa"])
    terms = named.count("+") + 1
    return {
        "InfoNCE improvement": ((fall,), f"{fall:.1f} %"),
        "InfoNCE rise": (
            (rise,),
            f"it ends {rise:.3f} above its lowest value, of epoch {where(infonce, infonce.min())}",
        ),
        "SIGReg level": ((sigreg.min(), sigreg.max()), f"{sigreg.min()} to {sigreg.max()}"),
        "no SIGReg": ((sigreg.min(),), f"a SIGReg term of {sigreg.min()} to {sigreg.max()} stands in every epoch"),
        "epochs of the evidence": (
            (apart,),
            f"{printed['infonce']} is of epoch {at['infonce']}, {printed['relational']} of {at['relational']}",
        ),
        "single loss component": ((terms,), f"{named}: {terms} terms, with a weight between them"),
    }


def _codebook(t: Tables) -> Found:
    (low, high), (before_low, before_high) = t.usage("first_step > 3000"), t.usage("last_step == 2900")
    early, whole, late = t.usage("last_step < 3000"), t.usage("first_step > 0"), t.usage("first_step == 3500")
    used = 100 * t.steps["code_usage"]
    gain, spread = used[7600] - used[1000], high - low
    return {
        "codebook collapse": (
            (gain,),
            f"usage recovers: it ends at {used[7600]:.1f} %, above the {used[1000]:.1f} % of step 1,000 and the "
            f"{used[100]:.1f} % of step 100",
        ),
        "codebook range after collapse": (
            (low, high),
            f"{before_low:.0f}-{before_high:.0f} % is the range before the refresh; after it {low:.0f}-{high:.0f} %",
        ),
        "usage spread": ((spread,), f"{spread:.0f} points"),
        "usage without refresh": (
            early,
            f"before the refresh {early[0]:.0f}-{early[1]:.0f} %; {late[1]:.0f} % is of steps 3,500-5,000, after it",
        ),
        "usage of the codebook": (whole, f"{whole[0]:.0f}-{whole[1]:.0f} % over the run"),
        "usage before the spike": (
            (t.usage("last_step == 2900")[1], used[3000]),
            f"{before_high:.0f} % at most before, {used[3000]:.1f} % at the refresh",
        ),
    }


def _refresh(t: Tables) -> Found:
    refresh, codes = t.settings["quantizer"]["refresh"]["interval"], t.settings["quantizer"]["codes"]
    last, active = t.steps.index.max(), 100 * t.steps["active_codes"] / codes
    epoch, count = refresh / t.epoch_length, last // refresh
    return {
        "refresh epoch": ((epoch,), f"step {refresh:,} is epoch {epoch:.1f}, at {t.epoch_length} steps an epoch"),
        "refresh count": ((count,), f"an interval of {refresh:,} gives {count} refreshes in {last:,} steps"),
        "usage at the refresh": ((active[3000],), f"{active[3000]:.1f} % of {codes}"),
        "usage after the refresh": ((active[3100],), f"{active[3100]:.1f} % of {codes}"),
        "steps after the refresh": ((last - refresh,), f"{last - refresh:,} steps"),
    }


def _embeddings(t: Tables) -> Found:
    ranks = t.steps[["effective_rank_context", "effective_rank_target"]].dropna()
    context, target = ranks.loc[7600]
    falls, below = (ranks.diff() < 0).to_numpy().sum(), (ranks.diff(axis=1).iloc[:, 1] <= 0).sum()
    isotropy = t.steps[["isotropy_context", "isotropy_target"]]
    factors = (isotropy.max() / isotropy.min()).tolist()
    return {
        "context rank in range": ((context,), f"{context} is outside of the range that was the target"),
        "target rank in range": ((target,), f"{target} is outside of the range that was the target"),
        "final ranks": ((context, target), f"{context} and {target}"),
        "continuous rank growth": ((falls,), f"{falls} falls between the printed steps"),
        "target above context": ((below,), f"{below} steps at which the target's rank is not above"),
        "stable isotropy": (
            (max(factors),),
            f"largest over smallest is {factors[0]:.1f} for the context and {factors[1]:.1f} for the target",
        ),
    }


def _gradients(t: Tables) -> Found:
    norms, clip = t.table("gradient_norms").set_index("epoch"), t.settings["optimizer"]["clip"]
    low, high = norms["mean"].min() / clip, norms["max"].max() / clip
    spike = norms.loc[34:41]
    factors = spike["mean"] / clip
    return {
        "clip multiples": ((low, high), f"{low:.0f} to {high:.0f} times"),
        "norms clipped": ((spike["max"].min(), spike["max"].max()), f"{spike['max'].min()} to {spike['max'].max()}"),
        "reduction of the learning rate": (
            (factors.max(),),
            f"mean norms in epochs 34-41 are {factors.min():.0f} to {factors.max():.0f} times the clip",
        ),
    }


def _raw(t: Tables) -> Found:
    weight, evidence = t.settings["loss"]["relational"]["weight"], t.table("relational_evidence").set_index("epoch")
    ratios = evidence["raw"] / t.losses["relational"]
    at = where(t.losses["relational"], t.losses["relational"].max())
    implied = t.losses["relational"][at] / weight
    return {
        "raw over weighted": ((1 / weight, 1 / weight), f"a weight of {weight} makes it {1 / weight:.0f} throughout"),
        "raw ratios as divided": ((ratios[1], ratios[30]), f"{ratios[1]:.1f} and {ratios[30]:.1f}"),
        "raw loss at the peak": ((implied,), f"at a weight of {weight} it is {implied:.0f}"),
    }
