"""Every setting of the project: what it means, what is allowed, and how a phase's settings are put together.

`load(path)` reads params.yaml; `Params.phase(name)` is what a phase trains with; `resolved(model)` is the same as
plain values without the leaves of mechanisms that are off, which is what decides whether a result is current.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from arcjepa.errors import UserError
from arcjepa.params import did_you_mean, leaves, number_hint, overlay, read_params, repeated_leaves

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
PRIMARY_SIGREG = 12.8
"""lambda * N of the prediction loss at lambda_sigreg = 1: published recipes that work lie between 5 and 26."""


class Settings(BaseModel):
    """Base of every section: unknown keys, wrong types (a bool for a number too), NaN and infinity are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
    read_by: ClassVar[dict[str, dict[str, set[str]]]] = {}
    """{selector: {choice: leaves that only other choices read}}: these vanish from the resolved settings."""


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
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    """Share of the pool's tasks that only validate; drawn by a hash of the task's id."""
    user_training: list[str]
    """Folders under data/raw/user whose tasks also train, less those that overlap with evaluation tasks."""
    rearc_pairs: Annotated[int, Field(ge=2, le=20)]
    """Generated pairs per RE-ARC task."""
    synthetic: Synthetic


class TokenSettings(Settings):
    connectivity: Literal[4, 8]
    """Neighbours that make two cells of one colour one object."""
    background: Literal["most_frequent", "zero"]
    """The colour that is no object: the frame's most frequent one (none where two tie), or 0."""
    max_objects: Annotated[int, Field(ge=1, le=62)]
    """Object tokens per frame; the rest is summarised by the residual token."""


class Curriculum(Settings):
    enabled: bool
    """Admit easy tasks first."""
    epochs: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=5)]
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
    predictor_layers: Annotated[int, Field(ge=1, le=24)]
    """Blocks of the predictor."""
    frame_attention: bool
    """The predictor attends over the context frames before it reads them side by side."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Dropout in the predictor."""

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
    """A code is replaced when its share of the assignments since the last refresh, times the number of codes,
    is below this."""


class Quantizer(Settings):
    kind: Literal["none", "vq", "gumbel", "fsq"]
    """Quantiser over object tokens: none, EMA codebook, Gumbel-softmax codes, finite scalar levels."""
    codes: Annotated[int, Field(ge=2, le=65536)]
    """Size of the codebook."""
    decay: Annotated[float, Field(gt=0, lt=1)]
    """EMA decay of the codebook."""
    commitment: NonNegative
    """Weight of the commitment loss."""
    refresh: Refresh
    temperature: Positive
    """Softmax temperature at the start; annealed to a tenth of it over training."""
    levels: Annotated[list[Annotated[int, Field(ge=3, le=64)]], Field(min_length=1, max_length=8)]
    """Levels per scalar."""
    read_by: ClassVar = {
        "kind": {
            "none": {"codes", "decay", "commitment", "refresh", "temperature", "levels"},
            "vq": {"temperature", "levels"},
            "gumbel": {"decay", "commitment", "refresh", "levels"},
            "fsq": {"codes", "decay", "commitment", "refresh", "temperature"},
        }
    }


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
        if not self.temperature_min <= self.temperature <= self.temperature_max:
            raise ValueError(
                f"temperature = {self.temperature} must lie within temperature_min = {self.temperature_min} "
                f"and temperature_max = {self.temperature_max}"
            )
        return self


class Teacher(Settings):
    enabled: bool
    """Targets come from an exponential moving average of the encoder, without gradient."""
    decay: Annotated[float, Field(ge=0, lt=1)]
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
    """raw: squared distances as they are; normalised: divided by the variance of the embeddings."""


class GradNorm(Settings):
    enabled: bool
    """Balance the prediction and SIGReg terms by the norms of their gradients."""
    alpha: NonNegative
    """Restoring force."""


class Loss(Settings):
    prediction: Literal["infonce", "lejepa"]
    """infonce: contrastive; lejepa: squared error + lambda_sigreg * (12.8 / N) * SIGReg_N, nothing detached."""
    lambda_sigreg: NonNegative | None = None
    """Set from the top-level lambda_sigreg where prediction is lejepa; no overlay sets it."""
    infonce: InfoNCE
    teacher: Teacher
    sigreg: AuxiliarySIGReg
    invariance: Invariance
    relational: Relational
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
    lr: Annotated[float, Field(gt=0, le=1)]
    """Peak learning rate of AdamW; 5 % linear warm-up, then cosine to a thousandth."""
    weight_decay: NonNegative
    """Decoupled weight decay, none on norms and biases."""
    clip: Positive
    """Largest norm of the gradient."""


class Stopping(Settings):
    enabled: bool
    """Stop when validation no longer improves (the prediction loss of InfoNCE, the relative error of LeJEPA), and keep
    the best weights."""
    patience: Count
    """Epochs without improvement."""
    min_delta: NonNegative
    """Smallest decrease that counts."""


class Training(Settings):
    """The budget of a scale: the same for all phases that are compared."""

    epochs: Count
    """Passes of `sequences` each."""
    sequences: Count
    """Sequences per epoch."""
    batch_size: Annotated[int, Field(ge=4)]
    """Sequences per step."""

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


class Params(Settings):
    """params.yaml with the scale's overlay applied."""

    scale: str
    phase: str
    lambda_sigreg: NonNegative
    device: Literal["auto", "cpu", "cuda"]
    """auto: the GPU where there is one; cuda: fail where there is none."""
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]
    data: Data
    tokens: TokenSettings
    base: dict[str, Any]
    phases: dict[str, dict[str, Any]]
    evaluation: Evaluation

    @cached_property
    def names(self) -> list[str]:
        """Phases in the order of params.yaml."""
        return list(self.phases)

    def lineage(self, name: str) -> list[str]:
        """From the root ancestor to `name`. Errors: UserError for an unknown parent or a cycle."""
        chain: list[str] = []
        while name != "base":
            if name in chain:
                raise UserError(f"params.yaml: phases.{name}.parent: {' -> '.join([*chain, name])} is a cycle")
            if not isinstance(name, str) or name not in self.phases:
                hint = did_you_mean(str(name), [*self.names, "base"])
                where = f"phases.{chain[-1]}.parent: " if chain else ""
                raise UserError(f"params.yaml: {where}no phase {name!r}{hint}")
            chain.append(name)
            name = self.phases[name].get("parent", "")
        return chain[::-1]

    def phase_settings(self, name: str, where: str = "") -> Phase:
        """The settings that a phase trains with, validated. Errors: UserError naming the overlay and the leaf."""
        tree = self.base
        for ancestor in self.lineage(name):
            tree = overlay(tree, _changes(self.phases[ancestor]), f"phases.{ancestor}")
        loss = tree.get("loss")
        if isinstance(loss, Mapping) and "lambda_sigreg" in loss:
            raise UserError("params.yaml: base.loss.lambda_sigreg: unknown key; set lambda_sigreg at the top level")
        if isinstance(loss, Mapping) and loss.get("prediction") == "lejepa":
            tree = {**tree, "loss": {**loss, "lambda_sigreg": self.lambda_sigreg}}
        return _validated(Phase, tree, f"{where}phase {name}: ")

    def repetitions(self) -> list[str]:
        """Leaves of phase overlays that only repeat their parent's value."""
        found = []
        for name in self.names:
            tree = self.base
            for ancestor in self.lineage(name)[:-1]:
                tree = overlay(tree, _changes(self.phases[ancestor]), f"phases.{ancestor}")
            found += [f"phases.{name}.{leaf}" for leaf in repeated_leaves(tree, _changes(self.phases[name]))]
        return found


def load(path: Path = Path("params.yaml")) -> Params:
    """Read, merge and validate params.yaml: the scale's overlay and every phase.

    Errors: UserError naming file, key, value and what is allowed.
    """
    return from_mapping(read_params(path))


def from_mapping(tree: Mapping[str, Any]) -> Params:
    """As `load`, from a mapping that was read already (with command line overrides merged in)."""
    tree = dict(tree)
    scales = tree.pop("scales", None)
    if not isinstance(scales, Mapping) or not scales:
        raise UserError("params.yaml: scales: must map the name of a scale to what it changes")
    scale = tree.get("scale")
    if not isinstance(scale, str) or scale not in scales:
        raise UserError(f"params.yaml: scale: {scale!r} is not allowed{did_you_mean(str(scale), list(scales))}")
    chosen = _at_scale(tree, scales, scale, "")
    for other in scales:
        _at_scale(tree, scales, other, f"scale {other}: ")
    return chosen


def _at_scale(tree: Mapping[str, Any], scales: Mapping[str, Any], scale: str, where: str) -> Params:
    changes = {} if scales[scale] is None else scales[scale]
    if not isinstance(changes, Mapping):
        raise UserError(f"params.yaml: scales.{scale}: is {changes!r}, must be a mapping of settings")
    params: Params = _validated(Params, overlay(tree, changes, f"scales.{scale}"), where)
    if params.phase not in params.phases:
        hint = did_you_mean(params.phase, params.names)
        raise UserError(f"params.yaml: phase: {params.phase!r} is not allowed{hint}")
    for name in params.names:
        params.phase_settings(name, where)
    return params


def resolved(settings: Settings) -> dict[str, Any]:
    """Plain values of what is switched on: where `enabled` is false, or another choice reads a leaf, it is gone."""
    if getattr(settings, "enabled", True) is False:
        return {"enabled": False}
    hidden: set[str] = set()
    for selector, choices in settings.read_by.items():
        hidden |= choices[getattr(settings, selector)]
    return {
        name: resolved(value) if isinstance(value, Settings) else value
        for name, value in settings
        if name not in hidden
    }


def canonical(tree: Any) -> str:
    """One JSON text per value: equal settings give equal texts."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hyperparameters(phase: Phase) -> list[str]:
    """The numeric or categorical leaves of loss, quantizer, optimizer and stopping whose mechanism is on."""
    tree = {name: resolved(getattr(phase, name)) for name in ("loss", "quantizer", "optimizer", "stopping")}
    return [".".join(path) for path, value in leaves(tree) if not isinstance(value, bool)]


def _changes(phase: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in phase.items() if key != "parent"}


def _validated(model: type[Settings], tree: Mapping[str, Any], prefix: str = "") -> Any:
    try:
        return model.model_validate(dict(tree))
    except ValidationError as error:
        raise UserError("params.yaml: " + prefix + "; ".join(_sentence(e, model) for e in error.errors()[:5])) from None


def _sentence(error: Any, model: type[Settings]) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "value"
    value = error.get("input")
    if error["type"] == "missing":
        return f"{key}: is missing"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(str(error['loc'][-1]), list(_fields_at(model, error['loc'][:-1])))}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    shown = "" if isinstance(value, dict) else f"is {value!r}, "
    return f"{key}: {shown}{message}{number_hint(value)}"


def _fields_at(model: Any, location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = field.annotation if field else None
    return list(model.model_fields) if hasattr(model, "model_fields") else []
