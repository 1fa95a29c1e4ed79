"""What data is made, how it is tokenised and how encoders are measured."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from arcjepa.settings import Count, Settings, Share, each_once


class Synthetic(Settings):
    tasks: Count
    """Training tasks to generate, one rule each."""
    held_out: Count
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
    styles: Literal["all"] | list[str]
    """Ways of drawing input grids: all, or names of arcjepa.grids.STYLES."""
    primitives: Literal["all", "base"]
    """All primitives, or the ten of the analysed run."""

    @model_validator(mode="after")
    def _ordered(self) -> "Synthetic":
        for low, high in (("min_side", "max_side"), ("min_colours", "max_colours")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} = {getattr(self, low)} must not exceed {high} = {getattr(self, high)}")
        return self


class Data(Settings):
    validation_share: Annotated[float, Field(ge=0.02, le=0.9)]
    """Share of the pool's tasks that only validate; drawn by a hash of the task's id."""
    user_training: list[str]
    """Folders under data/raw/user whose tasks also train, less those that overlap with evaluation tasks."""
    rearc_pairs: Annotated[int, Field(ge=2, le=20)]
    """Generated pairs per RE-ARC task."""
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
    pool: Annotated[int, Field(ge=16)]
    """Held-out target frames that a prediction is ranked against; chance is ln(pool) nats."""
    max_tasks: Count
    """Tasks of a test set that are ranked, the first ones by id."""
    readout_sequences: Annotated[int, Field(ge=64)]
    """Training sequences that the ridge read-out is fitted on."""
    bootstrap: Annotated[int, Field(ge=10)]
    """Resamples for an interval."""
    seed: Annotated[int, Field(ge=0)]
    """Draws pool, candidates and resamples; not the training seed."""
