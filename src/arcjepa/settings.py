"""What a phase trains with: every setting documented beneath its field, with what is allowed."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

SMALLEST, LARGEST = 1e-12, 1e9
"""Size of a number that is not 0: beyond these, 32-bit arithmetic gives 0 or infinity sooner or later."""


def _sized(value: float) -> float:
    if value and not SMALLEST <= abs(value) <= LARGEST:
        raise PydanticCustomError("size", "Input should be 0, or from 1e-12 to 1e9 in size")
    return value


Number = Annotated[float, AfterValidator(_sized)]
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
MOST_CODES = 65536
PRIMARY_SIGREG = 12.8
"""lambda * N of the prediction loss at lambda_sigreg = 1: published recipes that work lie between 5 and 26."""


class Settings(BaseModel):
    """Base of every section: unknown keys, wrong types (a bool for a number too), NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    read_by: ClassVar[dict[str, dict[str | bool, set[str]]]] = {}
    """{selector: {choice: leaves that only other choices read}}: these vanish from the resolved settings."""


class Curriculum(Settings):
    enabled: bool
    """Admit easy tasks first."""
    epochs: Annotated[list[Count], Field(min_length=1, max_length=5)]
    """Epochs at which the next band of difficulty is admitted; ascending."""

    @model_validator(mode="after")
    def _ascending(self) -> "Curriculum":
        if sorted(set(self.epochs)) != self.epochs:
            raise ValueError(f"epochs = {self.epochs} must ascend")
        return self


class Sequence(Settings):
    framing: Literal["demonstrations", "query", "repeat"]
    """Context: earlier pairs and the query; the query alone; the query repeated (the analysed run's own)."""
    window: Literal[3, 5, 7]
    """Frames of context: 2k - 1 for k pairs, the last pair's output being the target."""
    synthetic_share: Share
    """Share of training sequences drawn from synthetic tasks."""
    curriculum: Curriculum
    read_by: ClassVar = {"framing": {"demonstrations": set(), "query": {"window"}, "repeat": set()}}


class Model(Settings):
    width: Annotated[int, Field(ge=8, le=2048)]
    """Channels of the token encoder."""
    layers: Annotated[int, Field(ge=1, le=24)]
    """Transformer blocks of the token encoder."""
    heads: Count
    """Attention heads; divides width."""
    embedding: Annotated[int, Field(ge=8, le=1024)]
    """Dimensions of a frame's projected embedding."""
    additive: bool
    """Embeddings have a linear map of the summed features of a frame's tokens too, and a narrower projector."""
    sketch: Annotated[int, Field(ge=0, le=4096)]
    """Random sums of a frame's cells that this map reads as well; 0 is none."""
    predictor_layers: Annotated[int, Field(ge=1, le=24)]
    """Blocks of the predictor."""
    frame_attention: bool
    """The predictor attends over the context frames before it reads them side by side."""
    analogy: bool
    """The predictor starts from the query moved by the mean change of the demonstrations; other framings show none."""
    dropout: Annotated[Number, Field(ge=0, lt=1)]
    """Dropout in the predictor."""
    read_by: ClassVar = {"additive": {True: set(), False: {"sketch"}}}

    @model_validator(mode="after")
    def _divides(self) -> "Model":
        if self.width % self.heads:
            raise ValueError(f"heads = {self.heads} must divide width = {self.width}")
        return self


class Refresh(Settings):
    enabled: bool
    """Replace unused codes with encoder outputs."""
    interval: Count
    """Steps between refreshes."""
    threshold: Share
    """A code is replaced when its share of assignments since the last refresh, times `codes`, is below this."""


class Commitment(Settings):
    enabled: bool
    """Pull objects towards their codes: the commitment loss."""
    weight: NonNegative
    """Weight of the term."""


class Quantizer(Settings):
    kind: Literal["none", "vq", "gumbel", "fsq"]
    """Quantiser over object tokens: none, EMA codebook, Gumbel-softmax codes, finite scalar levels."""
    codes: Annotated[int, Field(ge=2, le=MOST_CODES)]
    """Size of the codebook."""
    decay: Annotated[Number, Field(gt=0, lt=1)]
    """EMA decay of the codebook."""
    commitment: Commitment
    refresh: Refresh
    temperature: Positive
    """Softmax temperature at the start; annealed to a tenth of it over training."""
    levels: Annotated[list[Annotated[int, Field(ge=3, le=64)]], Field(min_length=1, max_length=8)]
    """Levels per scalar; their product is the number of codes."""
    read_by: ClassVar = {
        "kind": {
            "none": {"codes", "decay", "commitment", "refresh", "temperature", "levels"},
            "vq": {"temperature", "levels"},
            "gumbel": {"decay", "commitment", "refresh", "levels"},
            "fsq": {"codes", "decay", "commitment", "refresh", "temperature"},
        }
    }

    @model_validator(mode="after")
    def _countable(self) -> "Quantizer":
        if (codes := math.prod(self.levels)) > MOST_CODES:
            raise ValueError(f"levels = {self.levels} make {codes} codes; allowed are at most {MOST_CODES}")
        return self


class InfoNCE(Settings):
    queue: Annotated[int, Field(ge=0, le=1_000_000)]
    """Earlier targets kept as negatives, beside those of the batch."""
    temperature: Positive
    """Learnable softmax temperature at the start."""
    temperature_min: Positive
    """Lower bound of the temperature."""
    temperature_max: Positive
    """Upper bound of the temperature."""

    @model_validator(mode="after")
    def _bounded(self) -> "InfoNCE":
        low, t, high = self.temperature_min, self.temperature, self.temperature_max
        if not low <= t <= high:
            raise ValueError(f"temperature = {t} must lie within temperature_min = {low} and temperature_max = {high}")
        return self


class Teacher(Settings):
    enabled: bool
    """Targets come from an exponential moving average of the encoder, without gradient."""
    decay: Annotated[Number, Field(ge=0, lt=1)]
    """EMA decay per step."""


class AuxiliarySIGReg(Settings):
    enabled: bool
    """Regularise embeddings towards a Gaussian beside the contrastive loss."""
    weight: NonNegative
    """Weight of the term."""
    form: Literal["normalised", "published"]
    """normalised: on unit-length embeddings and without the factor N, the analysed run's defect, which saturates;
    published: as in the LeJEPA loss, scaled by 12.8 / N."""


class Invariance(Settings):
    enabled: bool
    """Penalise the distance between the query frame's embedding and that of a view of it."""
    colour: NonNegative
    """Weight of colour permutations."""
    translation: NonNegative
    """Weight of translations."""
    symmetry: NonNegative
    """Weight of the symmetries of the square."""


class Relational(Settings):
    enabled: bool
    """Match distances between adjacent objects of context and target."""
    weight: NonNegative
    """Weight of the context-to-target error."""
    self_share: NonNegative
    """Weight of the variance over context frames, as a share of `weight`."""
    form: Literal["raw", "normalised"]
    """raw: squared distances over the square root of the width; normalised: these divided by the variance of the
    objects that have neighbours."""


class HardNegatives(Settings):
    enabled: bool
    """Tell the target from what it is easily taken for: its near misses (data.near_misses of each), and the frames of
    its own context."""
    weight: NonNegative
    """Weight of the term."""
    temperature: Positive
    """Of the softmax over squared distances per dimension (on unit-length embeddings under InfoNCE)."""


class GradNorm(Settings):
    enabled: bool
    """Balance the prediction and SIGReg terms, as `rule` says."""
    rule: Literal["gradnorm", "uncertainty"] = "gradnorm"
    """gradnorm: by the norms of their gradients; uncertainty: each by its own size (Kendall et al. 2018)."""
    alpha: NonNegative
    """Restoring force of gradnorm."""
    read_by: ClassVar = {"rule": {"gradnorm": set(), "uncertainty": {"alpha"}}}


class Loss(Settings):
    prediction: Literal["infonce", "lejepa"]
    """infonce: contrastive; lejepa: squared error + lambda_sigreg * (12.8 / N) * SIGReg_N, nothing detached."""
    lambda_sigreg: NonNegative | None = None
    """Set from the top-level lambda_sigreg where prediction is lejepa; a scenario may have its own, no phase has."""
    infonce: InfoNCE
    teacher: Teacher
    sigreg: AuxiliarySIGReg
    invariance: Invariance
    relational: Relational
    hard_negatives: HardNegatives
    gradnorm: GradNorm
    read_by: ClassVar = {"prediction": {"infonce": {"lambda_sigreg"}, "lejepa": {"infonce"}}}

    @model_validator(mode="after")
    def _one_sigreg(self) -> "Loss":
        if self.prediction == "lejepa" and self.sigreg.enabled:
            raise ValueError("sigreg.enabled = true must be false where prediction = lejepa, which has SIGReg already")
        if self.gradnorm.enabled and self.prediction == "infonce" and not self.sigreg.enabled:
            raise ValueError("gradnorm.enabled = true needs two terms: set sigreg.enabled = true")
        return self


class Optimizer(Settings):
    lr: Annotated[Number, Field(gt=0, le=1)]
    """Peak learning rate of AdamW; 5 % linear warm-up, then cosine to a thousandth."""
    weight_decay: NonNegative
    """Decoupled weight decay, none on norms and biases."""
    clip: Positive
    """Largest norm of the gradient."""


class Stopping(Settings):
    enabled: bool
    """Stop when validation no longer improves (the prediction loss of InfoNCE, the relative error of LeJEPA), and keep
    the weights of the last improvement by `min_delta`."""
    patience: Count
    """Epochs without improvement."""
    min_delta: NonNegative
    """Smallest decrease that counts."""


class Training(Settings):
    """The budget of a scale: the same for all phases that are compared."""

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    """Passes of `sequences` each."""
    sequences: Count
    """Sequences per epoch."""
    batch_size: Annotated[int, Field(ge=4, le=65536)]
    """Sequences per step."""
    tensorboard: bool = Field(default=False, exclude=True)
    """Show the record in TensorBoard too, from logs/SCALE/tensorboard; trainings that are finished stay as they are."""
    checkpoint_seconds: Annotated[Number, Field(ge=0, le=86_400, exclude=True)] = 300.0
    """Between two checkpoints, 0 for one after every step: what an interrupted training loses at most."""
    # No result depends on these: they are never among the resolved settings, nor in an encoder's file.
    read_by: ClassVar = {"tensorboard": {key: {"tensorboard", "checkpoint_seconds"} for key in (True, False)}}

    @model_validator(mode="after")
    def _whole_batch(self) -> "Training":
        if self.sequences < self.batch_size:
            raise ValueError(f"sequences = {self.sequences} must be at least batch_size = {self.batch_size}")
        return self


class Phase(Settings):
    """What a phase trains with."""

    sequence: Sequence
    model: Model
    quantizer: Quantizer
    loss: Loss
    optimizer: Optimizer
    stopping: Stopping
    training: Training

    @model_validator(mode="after")
    def _admits_all(self) -> "Phase":
        easy, all_ = self.sequence.curriculum, self.training.epochs
        if easy.enabled and easy.epochs[-1] > all_:
            raise ValueError(f"sequence.curriculum.epochs = {easy.epochs} must not go beyond training.epochs = {all_}")
        return self
