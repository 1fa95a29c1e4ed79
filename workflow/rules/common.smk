# What all rules share: the settings, read and checked before anything runs, and the digests that decide reruns.
import gc
import os
import sys

# All that Snakemake has imported stays: not searching it for garbage, again and at the end, saves 0.4 s of each start.
gc.freeze()
sys.path.insert(0, os.path.join(workflow.basedir, "src"))

from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from snakemake.utils import update_config

from arcjepa import config as settings
from arcjepa.core import core_files
from arcjepa.errors import UserError
from arcjepa.gpu import check_gpu
from arcjepa.leftovers import is_stale
from arcjepa.params import check_arguments, did_you_mean, read_params, typed
from arcjepa.provenance import code_files, digest, files_below
from arcjepa.users import content_digest, load_users, set_files
from arcjepa.users import user_files, user_paths, watchable

# Snakemake, which refuses to run now, only says that there is such an option.
if workflow.is_main_process and "--unlock" not in sys.argv and is_stale(Path()):
    print(
        "warning: .snakemake/locks: of a run that was killed, or is at work on another machine; "
        "if it was killed, type: snakemake --unlock",
        file=sys.stderr,
    )

ROOT = Path(workflow.basedir)
# Braces are wildcards to Snakemake, and at a colon PYTHONPATH ends: jobs would import code of another checkout.
if refused := sorted({"{", "}", os.pathsep} & set(workflow.basedir)):
    raise SystemExit(
        f"error: {ROOT}: {' '.join(refused)} in the path of a project; move it to one without"
    )
SCRIPTS = ROOT / "workflow" / "scripts"
# Jobs import the code that is checked out here, in the temporary folders of `dvc exp run --temp` too.
SEARCHED = [str(ROOT / "src"), *filter(None, [os.getenv("PYTHONPATH")])]
os.environ.update(PYTHONPATH=os.pathsep.join(SEARCHED))


@contextmanager
def one_line_errors():
    """Snakemake would print a traceback for a typo; SystemExit prints the line alone."""
    try:
        yield
    except UserError as error:
        raise SystemExit(f"error: {error}") from None


with one_line_errors():
    # Snakemake's own readers take the last of two equal keys without a word, and 1e-4 for text.
    GIVEN = [Path("params.yaml"), *workflow.config_settings.configfiles]
    GIVEN = [read_params(path) for path in GIVEN]
    check_arguments(workflow.config_settings.config_args or [])


configfile: "params.yaml"


USER = "data/raw/user"

with one_line_errors():
    for tree in GIVEN:
        update_config(config, tree)
    # All that is nested in --config is text to Snakemake.
    update_config(config, typed(workflow.config_settings.config))
    PARAMS = settings.from_mapping(config)
    USER_SETS = user_paths(USER)
    for name in set(PARAMS.data.user_training) - set(USER_SETS):
        raise UserError(
            f"params.yaml: data.user_training: {name!r} is not in data/raw/user{did_you_mean(name, USER_SETS)}"
        )

SCALE = PARAMS.scale
ANALYSIS = files_below(ROOT / "data/raw/analysis")
ANALYSIS_TABLES = [str(file.relative_to(ROOT)) for file in ANALYSIS]
# What a training step executes: its lines are counted.
CORE = core_files(ROOT / "src/arcjepa")
ARC_SPLITS = ["training", "validation", "arc1", "arc2"]
USER_TEST_SETS = [name for name in USER_SETS if name not in PARAMS.data.user_training]
TEST_SETS = ["arc1", "arc2", *USER_TEST_SETS]
REAL_SPLITS = [*ARC_SPLITS, *USER_TEST_SETS]
SHARDS = [f"synthetic-{shard:03d}" for shard in range(PARAMS.data.synthetic.shards)]
CANDIDATES = [f"candidates-{name}" for name in TEST_SETS]
FRAME_SETS = [*REAL_SPLITS, "rearc", "heldout", *SHARDS]
TOKEN_SETS = [*FRAME_SETS, *CANDIDATES]
# One shard says enough of the synthetic training tasks.
EVALUATION_SETS = [*REAL_SPLITS, "rearc", "heldout", SHARDS[0], *CANDIDATES]
FIGURES = []  # the rules of the figures add to it
CONTROL_SEEDS = {"untrained": PARAMS.seeds, "tokens": [0], "copy": [0]}
# What each task is drawn with; how many there are is another param, so that more held-out tasks redo no shard.
SYNTHETIC = settings.resolved(PARAMS.data.synthetic)
N_TRAINING, N_HELD_OUT = SYNTHETIC.pop("tasks"), SYNTHETIC.pop("held_out")
N_SHARDS = SYNTHETIC.pop("shards")
# Of the comparison's columns, those that `dvc metrics` shows.
MEASURES = [
    "val_nce",
    "readout_nce",
    "ranking_a",
    "ranking_b",
    "ranking_c",
    "retrieval_rearc",
    "retrieval_augmented",
    "query_only_nce",
    "selection_nce",
    "effective_rank_context",
    "effective_rank_target",
    "code_usage",
    "code_perplexity",
]
# A Slurm job asks for a GPU unless told not to use one; local runs don't count GPUs. `ranks: auto` asks for one: how many
# a node has is not known before the job is there, which then finds that one.
RANKS = 1 if PARAMS.ranks == "auto" else PARAMS.ranks
GPU = 0 if PARAMS.device == "cpu" else 1


wildcard_constraints:
    # Only the chosen scale's settings are known, so no file of another can be made.
    scale=SCALE,
    # Phases and scenarios; a list of them all would have to be compiled for every file of a run, at every start.
    phase=rf"(?!(?:{'|'.join(CONTROL_SEEDS)})(?![\w-]))[\w-]+",
    set="|".join(PARAMS.sets) or "(?!)",
    control="|".join(CONTROL_SEEDS),
    seed=r"\d+",
    split="|".join(FRAME_SETS),
    part="heldout|" + "|".join(SHARDS),
    paired="training|validation|" + "|".join(SHARDS),
    testset="|".join(TEST_SETS),
    userset="|".join(USER_TEST_SETS) or "(?!)",


def code(name):
    """A script and the modules that it imports: as inputs, so that `snakemake -n` names the file that was edited."""
    return [
        str(file.relative_to(ROOT))
        for file in code_files(SCRIPTS / f"{name}.py", ROOT / "src/arcjepa")
    ]


def code_digest(name):
    """Their content as a param: file times say nothing after a checkout."""
    return digest([ROOT / file for file in code(name)], ROOT)


def text(part):
    """Settings as one string: Snakemake compares params as a set of values, where swapped numbers look the same."""
    return settings.canonical(settings.resolved(part))


def all_phases(names=PARAMS.names):
    """The settings of every phase, or of those named, as one string."""
    return settings.canonical(
        {name: settings.resolved(PARAMS.phase_settings(name)) for name in names}
    )


def phase_text(wildcards):
    """All that a phase trains with."""
    return text(PARAMS.phase_settings(wildcards.phase))


def stamp_of(*texts):
    """Of settings: 12 digits that figures show."""
    return sha256("\n".join(texts).encode()).hexdigest()[:12]


# Stamped on figures: of each kind, all that it depends on and nothing else, as a new stamp draws every one anew.
STAMPS = {"tokens": stamp_of(text(PARAMS.tokens))}
STAMPS["runs"] = stamp_of(
    STAMPS["tokens"], text(PARAMS.data), settings.canonical(PARAMS.seeds), all_phases()
)
STAMPS["scores"] = stamp_of(STAMPS["runs"], text(PARAMS.evaluation))
STAMPS["judgements"] = stamp_of(
    STAMPS["scores"], text(PARAMS.diagnosis), text(PARAMS.success)
)


def user_set_files(wildcards):
    """The files of one set of the user's."""
    return set_files(USER_SETS[wildcards.userset])


def training_user_files(wildcards=None):
    """Those of all sets, where any trains: what overlaps with a test set is then kept out of training."""
    paths = USER_SETS.values() if PARAMS.data.user_training else []
    return [file for path in paths for file in set_files(path)]


def watched(files):
    """As input: those of these files that Snakemake can watch; their digest, a param, sees the others too."""
    return lambda wildcards: watchable(files(wildcards), USER)


def tokens_of(names):
    """The token files of these sets."""
    return expand(f"data/tokens/{SCALE}/{{name}}.safetensors", name=names)


def near_misses_of_phase(wildcards):
    """As input: near misses of validation and training outputs, for a phase whose loss has hard negatives."""
    with one_line_errors():  # of a name that is no phase or scenario
        hard = PARAMS.phase_settings(wildcards.phase).loss.hard_negatives.enabled
    parts = ["validation", "training", *SHARDS] if hard else []
    return tokens_of(f"near-misses-{part}" for part in parts)


def run_files(name, phases):
    """One file per phase and seed."""
    return expand(
        f"results/runs/{SCALE}/{{phase}}/seed{{seed}}/{name}",
        phase=phases,
        seed=PARAMS.seeds,
    )


def control_files(name):
    """One file per control and seed."""
    runs = [
        f"{control}/seed{seed}"
        for control, seeds in CONTROL_SEEDS.items()
        for seed in seeds
    ]
    return expand(f"results/runs/{SCALE}/{{run}}/{name}", run=runs)


def phase_outputs(phases):
    """Every file of these phases: a target that left one out would call a failed training up to date."""
    outputs = [
        *rules.report_user_tasks.output,
        *rules.train_encoder.output,
        *rules.diagnose_run.output,
        *rules.evaluate_encoder.output,
    ]
    return expand(outputs, scale=SCALE, phase=phases, seed=PARAMS.seeds)


def check_user_files():
    """UserError where a set has nothing good in it. What is bad beside good is told by the job that reads it."""
    load_users(USER)


def demanded_gpu(wildcards):
    """As input: nothing. Refuses, before anything runs, where a GPU is demanded and this machine has none.

    On a cluster each job finds out on its own node.
    """
    # A dry run is always local, but has a number of nodes where the run itself would be on a cluster.
    here = workflow.local_exec and workflow.resource_settings.nodes is None
    if PARAMS.device == "cuda" and workflow.is_main_process and here:
        with one_line_errors():
            check_gpu()
    return []


def control_outputs():
    """Every file of the controls."""
    return [
        file
        for name in rules.evaluate_control.output
        for file in control_files(Path(name).name)
    ]


def synthetic_tasks(wildcards):
    """Tasks of one part: an equal share of the training tasks, or all that are held out."""
    if wildcards.part == "heldout":
        return N_HELD_OUT
    return N_TRAINING // N_SHARDS + (
        SHARDS.index(wildcards.part) < N_TRAINING % N_SHARDS
    )


def training_minutes(wildcards):
    """A limit for the cluster, generous even without a GPU: an hour, and a minute per 5,000 sequences."""
    training = PARAMS.phase_settings(wildcards.phase).training
    return 60 + training.epochs * training.sequences // 5000


def figure(noun):
    """The picture for the report; the same as PNG is beside it."""
    FIGURES.extend(
        f"results/comparison/{SCALE}/{noun}.{kind}" for kind in ("svg", "png")
    )
    return f"results/comparison/{{scale}}/{noun}.svg"


def first_runs(name):
    """One file per phase, of its first seed."""
    return expand(
        f"results/runs/{SCALE}/{{phase}}/seed{PARAMS.seeds[0]}/{name}",
        phase=PARAMS.names,
    )
