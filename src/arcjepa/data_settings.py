"""What data is made, how it is tokenised and how encoders are measured."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from arcjepa.params import did_you_mean
from arcjepa.settings import Count, Number, Seed, Settings, Share
from arcjepa.shares import SELECTION_SHARES, selects

STYLES = (
    "objects", "copies", "boxes", "dots", "lines", "bars", "stripes", "panels", "nested", "symmetric", "tiling",
    "masked_mirror", "masked_tiling", "halves", "blocks", "specks", "walks", "seeds",
)  # fmt: skip
"""Names of arcjepa.grids.STYLES, which takes too long to import wherever settings are read."""
REAL_PAIRS = 2637
"""Pairs of the ARC tasks that train or validate."""
MAX_VALIDATION_SHARE = 0.5
"""Of the pool, as in arcjepa.pool."""
T = TypeVar("T")


def each_once(values: list[T]) -> list[T]:
    """The values. ValueError where one is given twice."""
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{value!r} is given twice")
    return values


def _known_styles(value: Any) -> Any:
    """Errors: PydanticCustomError, one for both forms that the value may have."""
    if value == "all":
        return value
    if not isinstance(value, list) or not value:
        raise PydanticCustomError("styles", f"Input should be all, or a list of {', '.join(STYLES)}")
    for number, style in enumerate(value):
        if style not in STYLES:
            raise PydanticCustomError("styles", f"{style!r:.40} is no style{did_you_mean(str(style), list(STYLES))}")
        if style in value[:number]:
            raise PydanticCustomError("styles", f"{style!r} is given twice")
    return value


class Synthetic(Settings):
    tasks: Annotated[int, Field(ge=1, le=10_000_000)]
    """Training tasks to generate, one rule each."""
    held_out: Annotated[int, Field(ge=20, le=100_000)]
    """Tasks of held-out rules, for the yardstick."""
    shards: Annotated[int, Field(ge=1, le=999)]
    """Files that the training tasks are generated into, each by a job of its own."""
    pairs: Annotated[int, Field(ge=4, le=10)]
    """Input-output pairs per rule."""
    atomic_share: Share
    """Share of rules of a single primitive; the others are sequences."""
    max_steps: Annotated[int, Field(ge=1, le=3)]
    """Longest sequence of primitives."""
    min_side: Annotated[int, Field(ge=3, le=30)]
    """Shortest side of an input grid, cells."""
    max_side: Annotated[int, Field(ge=3, le=30)]
    """Longest side of an input grid, cells."""
    min_colours: Annotated[int, Field(ge=2, le=10)]
    """Fewest colours of a task's palette, background included."""
    max_colours: Annotated[int, Field(ge=2, le=10)]
    """Most colours of a task's palette, background included."""
    noise_share: Share
    """Share of tasks on unstructured noise."""
    styles: Annotated[Literal["all"] | list[str], BeforeValidator(_known_styles)]
    """Ways of drawing input grids: all, or some of STYLES."""
    primitives: Literal["all", "base"]
    """All primitives, or the ten of the analysed run."""

    @model_validator(mode="after")
    def _ordered(self) -> "Synthetic":
        for low, high in (("min_side", "max_side"), ("min_colours", "max_colours")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} = {getattr(self, low)} must not exceed {high} = {getattr(self, high)}")
        if self.shards > self.tasks:
            raise ValueError(f"shards = {self.shards} must not exceed tasks = {self.tasks}")
        return self


class Data(Settings):
    validation_share: Annotated[Number, Field(ge=0.02, le=0.9)]
    """Share of the pool's tasks that only validate; drawn by a hash of the task's id."""
    user_training: list[str]
    """Folders under data/raw/user whose tasks also train, less those that overlap with evaluation tasks."""
    rearc_pairs: Annotated[int, Field(ge=2, le=20)]
    """Generated pairs per RE-ARC task."""
    near_misses: Annotated[int, Field(ge=1, le=16)]
    """Grids one change away from each training output, made where a phase has loss.hard_negatives."""
    synthetic: Synthetic

    @field_validator("user_training")
    @classmethod
    def _once(cls, names: list[str]) -> list[str]:
        return each_once(names)


class TokenSettings(Settings):
    connectivity: Literal[4, 8]
    """Neighbours that make two cells of one colour one object."""
    background: Literal["most_frequent", "zero"]
    """The colour that is no object: the frame's most frequent one (none where two tie), or 0."""
    max_objects: Annotated[int, Field(ge=1, le=62)]
    """Object tokens per frame; the rest is summarised by the residual token."""


class Evaluation(Settings):
    pool: Annotated[int, Field(ge=16, le=1_000_000)]
    """Held-out target frames that a prediction is ranked against; chance is ln(pool) nats."""
    max_tasks: Count
    """Tasks of a test set that are ranked, the first ones by id."""
    readout_sequences: Annotated[int, Field(ge=64, le=10_000_000)]
    """Training sequences that the ridge read-out is fitted on."""
    bootstrap: Annotated[int, Field(ge=10, le=1_000_000)]
    """Resamples for an interval."""
    seed: Seed
    """Draws pool, candidates and resamples; not the training seed."""


def largest_pool(data: Data, evaluation: Evaluation) -> int:
    """How many targets there are at most for a pool; fewer where grids repeat.

    They are outputs of held-out tasks that nothing is chosen on, and of such validation tasks up to their share.
    """
    ids = (f"held-s00000-{number:06d}" for number in range(data.synthetic.held_out))
    synthetic = data.synthetic.pairs * sum(not selects(task, "heldout") for task in ids)
    real = REAL_PAIRS * data.validation_share * (1 - SELECTION_SHARES["validation"])
    return synthetic + min(int(real), int(MAX_VALIDATION_SHARE * evaluation.pool))
