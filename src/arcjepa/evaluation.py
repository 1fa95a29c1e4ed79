"""Everything that is measured on one frozen encoder, in one table: the same code for every phase and control."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from arcjepa.candidates import KINDS
from arcjepa.data_settings import Evaluation
from arcjepa.embeddings import Embedder
from arcjepa.examples import Examples, choose_examples
from arcjepa.geometry import (
    GROUPS,
    code_perplexity,
    code_usage,
    describe,
    epps_pulley_at_fixed_size,
    summed_scalar,
)
from arcjepa.pool import draw_pool
from arcjepa.probes import Samples, probe, sample_pairs
from arcjepa.programs import independent
from arcjepa.ranking import TestSet, rank_candidates
from arcjepa.retrieval import Retrieval, retrieve_augmented, retrieve_rearc
from arcjepa.scores import Scores
from arcjepa.shares import selects
from arcjepa.tokens import Tokens
from arcjepa.yardstick import HeldOut, Sample, Yardstick, training_samples

MAP_FRAMES = 2000
CODE_FRAMES = 2048
YARDSTICKS = {"readout_nce": slice(None), "query_only_nce": slice(-1, None)}
"""Frames of the read-out's context that each is fitted on."""


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """Tokens of everything that an encoder is measured on."""

    training: Tokens
    """Real training tasks."""
    synthetic: Tokens
    """Synthetic training tasks, or a shard of them."""
    validation: Tokens
    heldout: Tokens
    rearc: Tokens
    tests: Mapping[str, TestSet]
    """Test sets by name; the examples are from the first."""

    @property
    def rearc_queries(self) -> dict[str, frozenset[str]]:
        """RE-ARC tasks whose original was not trained on, by measure: those that early stopping and scorers were
        chosen on stand apart from those that are reported, the others of the validation split and outside the pool."""
        # A task of the user's that trains has the id "<name>/<id>".
        trained = {task.rsplit("/")[-1] for task in self.training.task_ids}
        scoreable = frozenset(self.rearc.task_ids) - trained
        chosen = {task for task in self.validation.task_ids if selects(task, "validation")}
        return {"retrieval_rearc": scoreable - chosen, "retrieval_rearc_selection": scoreable & chosen}


def evaluate(embedder: Embedder, data: EvaluationData, settings: Evaluation) -> Scores:
    """All measures of one encoder; a pure function of its arguments.

    Errors: UserError where the held-out sets are too small for `settings`, or embeddings are not finite.
    """
    scores = Scores()
    held_tokens = {"validation": data.validation, "heldout": data.heldout}
    pool = draw_pool(held_tokens, settings)
    scores.record["pool"] = {"size": len(pool), "chance": float(np.log(len(pool))), **pool.composition()}
    held = HeldOut(embedder, held_tokens, pool, settings.seed)
    training = training_samples(embedder, [data.training, data.synthetic], settings.readout_sequences, settings.seed)
    own = held.own_prediction(np.concatenate([sample.target() for sample in training]).mean(axis=0))
    _add_yardstick(scores, "val_nce", own, held)
    _add_nats(scores, "selection_nce", own.selection, held, "calibration")
    for measure, frames in YARDSTICKS.items():
        _add_yardstick(scores, measure, held.readout(training, frames), held)
    _add_geometry(scores, held)
    _add_codes(scores, embedder, held)
    _add_probes(scores, training[-1], held, settings.seed)
    real = training[0]
    pairs = np.stack([real.store.frame(real.sequences.target + step) for step in (-1, 0)], axis=1)
    _add_retrieval(scores, embedder, data, pairs, settings.seed)
    queries = []
    for name, test in data.tests.items():
        queries.append(_add_ranking(scores, embedder, own, name, test))
    scores.examples = Examples(queries[0] if queries else [], *_map(held, settings.seed))
    return scores


def clusters(tokens: Tokens) -> tuple[list[str], np.ndarray]:
    """What intervals resample as one, and which of them each task belongs to."""
    names = list(map(independent, tokens.task_ids, tokens.rules))
    ids, index = np.unique(names, return_inverse=True)
    return ids.tolist(), index


def _add_yardstick(scores: Scores, measure: str, yardstick: Yardstick, held: HeldOut) -> None:
    _add_nats(scores, measure, yardstick.nats, held, "pool")
    scorer = yardstick.scorer
    scores.record[measure] = {
        "scorer": scorer.kind,
        "temperature": scorer.temperature,
        "calibration_nce": scorer.calibration_nce,
    } | ({} if yardstick.alpha is None else {"alpha": yardstick.alpha})


def _add_nats(scores: Scores, measure: str, nats: np.ndarray, held: HeldOut, split: str) -> None:
    """`nats` (n,): of the queries of a split, its sets one after the other."""
    first = 0
    for name, sample in zip(held.sets, held.samples(split), strict=True):
        ids, cluster = clusters(sample.store.tokens)
        part = slice(first, first + len(sample.sequences.target))
        scores.add_means(measure, name, ids, cluster[sample.sequences.task], [nats[part]])
        first = part.stop


def _add_geometry(scores: Scores, held: HeldOut) -> None:
    """Of query and target frames of the pool, projected and (with "_frame") before projector and additive path."""
    samples = held.samples("pool")
    known = [clusters(sample.store.tokens)[1][sample.sequences.task] for sample in samples]
    tasks = np.concatenate([i * 10**6 + cluster for i, cluster in enumerate(known)])
    for side in ("context", "target"):
        frames = [s.sequences.context[:, -1] if side == "context" else s.sequences.target for s in samples]
        stored = list(zip(samples, frames, strict=True))
        projected = np.concatenate([sample.store.projected(part) for sample, part in stored])
        pooled = np.concatenate([sample.store.frame(part) for sample, part in stored])
        for suffix, x in (("", projected), ("_frame", pooled)):
            for name, scalar in describe(x, tasks).items():
                scores.add_scalar(f"{name}_{side}{suffix}", "pool", scalar)
        scores.add_scalar(f"epps_pulley_{side}", "pool", epps_pulley_at_fixed_size(projected))


def _add_codes(scores: Scores, embedder: Embedder, held: HeldOut) -> None:
    """Use of the codebook over target frames of held-out rules; a sample of fixed size, as use grows with it."""
    sample = held.samples("pool")[-1]
    frames = sample.sequences.target[:CODE_FRAMES]
    groups = clusters(sample.store.tokens)[1][sample.sequences.task[:CODE_FRAMES]] % GROUPS
    counts = [embedder.code_counts(sample.store.tokens, frames[groups == g]) for g in np.unique(groups)]
    known = [count for count in counts if count is not None]
    if known:
        scores.add_scalar("code_usage", "pool", summed_scalar(code_usage, np.stack(known)))
        scores.add_scalar("code_perplexity", "pool", summed_scalar(code_perplexity, np.stack(known)))


def _add_probes(scores: Scores, training: Sample, held: HeldOut, seed: int) -> None:
    test = held.samples("pool")[-1]
    for result in probe(_pairs(training, seed), _pairs(test, seed)):
        ids, cluster = clusters(test.store.tokens)
        values = [result.total, result.weight]
        scores.add_means(f"probe_{result.label}_{result.method}", "heldout", ids, cluster[result.task], values)


def _pairs(sample: Sample, seed: int) -> Samples:
    """Of the last pairs of these sequences, query and target."""
    pairs = sample_pairs(sample.sequences.target // 2, seed)
    return Samples(sample.store.tokens, pairs, sample.store.frame(2 * pairs), sample.store.frame(2 * pairs + 1))


def _add_retrieval(scores: Scores, embedder: Embedder, data: EvaluationData, training: np.ndarray, seed: int) -> None:
    for measure, found in retrieve_rearc(embedder, data.rearc, training, data.rearc_queries).items():
        _add_retrieved(scores, measure, "rearc", data.rearc, found)
    for name, test in data.tests.items():
        ranked = np.unique(test.tokens.pair_task[test.candidates.query_pair])
        pairs = np.flatnonzero(np.isin(test.tokens.pair_task, ranked) & ~test.tokens.pair_is_test)
        if len(ranked) > 1:
            augmented = retrieve_augmented(embedder, test.tokens, pairs, training, seed)
            _add_retrieved(scores, "retrieval_augmented", name, test.tokens, augmented)


def _add_retrieved(scores: Scores, measure: str, part: str, tokens: Tokens, found: Retrieval) -> None:
    for suffix, values in (("", found.hit), ("_map", found.precision), ("_chance", found.chance)):
        scores.add_means(measure + suffix, part, tokens.task_ids, found.task, [values])


def _add_ranking(scores: Scores, embedder: Embedder, own: Yardstick, name: str, test: TestSet) -> list[Any]:
    """Adds the three kinds, and returns examples."""
    if not len(test.candidates.query_pair):
        return []
    ranking = rank_candidates(embedder, own.scorer, test)
    tasks = test.tokens.pair_task[test.candidates.query_pair[ranking.query]]
    for index, kind in enumerate(KINDS):
        rows = ranking.kind == index
        measure = f"ranking_{kind.lower()}"
        values = {"": ranking.top1, "_mrr": ranking.reciprocal, "_chance": 1 / ranking.size}
        for suffix, value in values.items():
            scores.add_means(measure + suffix, name, test.tokens.task_ids, tasks[rows], [value[rows]])
    return choose_examples(test, ranking)


def _map(held: HeldOut, seed: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Projected targets of held-out rules of one step, and their primitive: the same frames for every encoder."""
    sample = held.samples("pool")[-1]
    rules = [sample.store.tokens.rules[task] for task in sample.sequences.task]
    single = np.flatnonzero([bool(rule) and "|" not in rule for rule in rules])
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(single, min(MAP_FRAMES, len(single)), replace=False))
    labels = tuple(rules[i].split("(")[0] for i in chosen)
    return sample.store.projected(sample.sequences.target[chosen]), labels
