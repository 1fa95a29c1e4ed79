"""Draw what the true answers of one test set are ranked against."""

from pathlib import Path

from arcjepa.candidates import draw_candidates, save_candidates
from arcjepa.frames import load_frames
from arcjepa.progress import job

with job(snakemake) as say:
    frames = load_frames(snakemake.input.frames)
    candidates = draw_candidates(frames, snakemake.params.max_tasks, snakemake.params.seed)
    save_candidates(Path(snakemake.output.candidates), candidates)
    ranked, queries = min(frames.n_tasks, snakemake.params.max_tasks), len(candidates.query_pair)
    say(f"{len(candidates.grids)} grids for {queries} queries; ranked are {ranked} of {frames.n_tasks} tasks")
