import numpy as np
import pytest
from fake_embedders import RULES, make_tokens

from arcjepa.controls import TokenFeatures
from arcjepa.primitives import PRIMITIVES
from arcjepa.probes import (
    FRAME_LABELS,
    MAX_PAIRS,
    METHODS,
    RULE_LABELS,
    Samples,
    frame_labels,
    neighbours_mean,
    primitives_used,
    probe,
    sample_pairs,
)
from arcjepa.tokens import detokenise

TRAINING, TEST = make_tokens(120, seed=1), make_tokens(60, seed=2)
RNG = np.random.default_rng(0)


def samples(tokens, embed):
    pairs = np.arange(len(tokens) // 2)
    return Samples(tokens, pairs, embed(tokens, 2 * pairs), embed(tokens, 2 * pairs + 1))


def scores(embed):
    found = probe(samples(TRAINING, embed), samples(TEST, embed))
    return {(result.label, result.method): result.total.sum() / result.weight.sum() for result in found}


def noise(tokens, frames):
    return np.random.default_rng(len(frames)).normal(size=(len(frames), 20))


def knows_the_rule(tokens, frames):
    """Input frames are noise, output frames differ by the rule."""
    used = primitives_used(tokens)[tokens.pair_task[frames // 2]][:, primitives_used(TRAINING).any(0)]
    rng = np.random.default_rng(1)
    return rng.normal(size=used.shape) * 0.1 + 3 * used * (frames % 2)[:, None]


def test_every_label_is_probed_by_every_method():
    assert set(scores(noise)) == {(label, m) for label in (*RULE_LABELS, *FRAME_LABELS) for m in METHODS}


@pytest.mark.slow
def test_what_an_embedding_shows_is_read_off():
    found = scores(lambda tokens, frames: TokenFeatures(TRAINING).embed(tokens, frames).frame)
    assert found["size", "linear"] > 0.99
    assert found["objects", "linear"] > 0.99
    rules = scores(knows_the_rule)
    assert min(rules[label, method] for label in RULE_LABELS for method in ("linear", "neighbours")) > 0.95


def test_noise_is_no_better_than_the_constant():
    found = scores(noise)
    assert all(found[label, "linear"] < 0.05 for label in FRAME_LABELS)
    assert all(abs(found[label, "constant"]) < 0.1 for label in FRAME_LABELS)
    assert found["rule", "linear"] == pytest.approx(1 / 3, abs=0.15)  # three rules of one step


def test_labels_are_those_of_the_grids():
    frames = np.arange(20)
    made = [detokenise(TEST, i) for i in frames]
    assert frame_labels(TEST, frames, "colours")[:, 0].tolist() == [len(np.unique(g)) for g in made]
    assert frame_labels(TEST, frames, "size").tolist() == [list(g.shape) for g in made]
    starts = TEST.object_start
    holes = [TEST.columns[starts[i] : starts[i + 1], 6].sum() for i in frames]
    assert frame_labels(TEST, frames, "holes")[:, 0] == pytest.approx(np.log1p(holes))


def test_primitives_are_read_from_the_rule():
    names = np.array(list(PRIMITIVES))
    used = primitives_used(TEST)
    assert [set(names[row > 0]) for row in used[:4]] == [
        {step.split("(")[0] for step in rule.split("|")} for rule in RULES
    ]


def test_neighbours_ignore_the_scale_of_a_dimension():
    x = RNG.normal(size=(200, 2))
    labels = (x[:, :1] > 0).astype(float)
    for scale in (1, 1000):
        predicted = neighbours_mean(x * [1, scale], x[:50] * [1, scale], labels)
        assert ((predicted > 0.5) == labels[:50]).mean() > 0.8


def test_samples_are_capped():
    assert len(sample_pairs(np.arange(5000), 0)) == MAX_PAIRS
    assert sample_pairs(np.arange(10), 0).tolist() == list(range(10))
