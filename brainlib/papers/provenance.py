"""The parts of a paper's experiment, as frozen values with their provenance.

`Protocol`, `ModelSettings` and `Phase` are made of settings alone, so the table of stated and assumed values is
printed, not typed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from brainlib.errors import shorten

if TYPE_CHECKING:
    from brainlib.data.splits import Split

T = TypeVar("T")
KeyPath = tuple[str | int, ...]  # from a paper to a part of it: ("arms", "cnn", "phases", 0, "epochs")
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Words = Annotated[str, StringConstraints(pattern=r"\S\s+\S")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100)]
# Limits far beyond any study of slices, so that a slip is refused, not trained: of images; of epochs and the images of
# a batch; of filters and units of a layer (VGG has 4096); of a side in pixels (an image of 4096 has 200 MB in float32).
MOST_IMAGES = 1_000_000
Images = Annotated[int, Field(ge=1, le=MOST_IMAGES)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Width = Annotated[int, Field(ge=1, le=10_000)]
Side = Annotated[int, Field(ge=1, le=4096)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
#: Import path of a Python function, "package.module:function". Who runs a paper that names one runs that function.
Function = Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.<>]+(#[0-9a-f]+)?$")]
Optimizer = (
    Literal["adam", "adamw", "nadam", "adamax", "adagrad", "adadelta", "rmsprop", "sgd", "sgd_momentum", "lion"]
    | Function
)


class FrozenDict(dict):
    """A dict that can be read, hashed, pickled and written as JSON, but not changed."""

    def _refuse(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("a paper is read only")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple:
        return FrozenDict, (dict(self),)


class Frozen(BaseModel):
    """Base of all parts: read only, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Setting(Frozen, Generic[T]):
    """A value with its provenance: exactly one of `stated` and `assumed`.

    `value` is what the reproduction uses; `stated` where the paper gives it; `assumed` why this value, where the paper
    is silent or can be read in several ways. `alternatives` are the other readings, only with `assumed` and then at
    least one: values of the same type, or a few words (with a space) for a reading that no value can express.
    """

    value: T
    stated: Text | None = None
    assumed: Text | None = None
    alternatives: tuple[T | Words, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _has_provenance(cls, data: Any) -> Any:
        given = {"stated", "assumed"} & set(data) if isinstance(data, dict) else set()
        if len(given) == 2:
            raise ValueError("expected either 'stated' or 'assumed', received both")
        if not given:
            wanted = "{value, stated} or {value, assumed, alternatives}"
            raise ValueError(f"missing provenance: expected {wanted}, received {shorten(data)}")
        return data

    @model_validator(mode="after")
    def _has_alternatives(self) -> Setting[T]:
        if self.stated is None and self.assumed is None:
            raise ValueError("missing provenance: expected a reason or a place, received null")
        if self.stated is not None and self.alternatives:
            raise ValueError("expected alternatives only for an assumed value, not a stated one")
        if self.assumed is not None and not self.alternatives:
            raise ValueError("expected at least one alternative to an assumed value, received none")
        if self.value in self.alternatives:
            raise ValueError(f"expected alternatives to the value, received it: {self.value!r}")
        return self


class Protocol(Frozen):
    """How the images are split, and what all arms of the paper share in training.

    `image_size` is the side of the square input in pixels; `holdout` the share of the images held out for the test,
    or "published" for the set's own test folders; `validation` the share of all images that is kept as the monitored
    split (value null: none); `folds` the k of cross-validation on the others (null: none); `oversample` the class whose
    training images are repeated, each time augmented anew, until it equals the largest (null: none), or, by
    `oversample_to`, the mean of all; `loss` "crossentropy" is binary for two classes, else categorical; `epoch` the one
    whose predictions count, "best" by the accuracy on the monitored images; `threshold` on the positive class's
    probability (null: the most probable class), "youden" that with the largest sum of sensitivity and specificity on
    the very images that are scored; `final` the model that is tested: of all images that are not held out, or that of
    the best or last fold; `resizing` how an image gets its size: stretched, with or without antialiasing, or padded
    with black. What may be left out stands for the first of its values; `t_test`
    the one by which two arms are compared over the folds, by its name in `stats.comparisons.T_TESTS` (null: none).
    """

    image_size: Setting[Side]
    holdout: Setting[Fraction | Literal["published"]]
    validation: Setting[Fraction | None]
    folds: Setting[Annotated[int, Field(ge=2, le=99)] | None]
    stratified: Setting[bool]
    split_by: Setting[Literal["image", "group"]]
    oversample: Setting[Text | None]
    batch_size: Setting[Count]
    loss: Setting[Literal["binary_crossentropy", "categorical_crossentropy", "crossentropy", "mean_squared_error"]]
    optimizer: Setting[Optimizer]
    epoch: Setting[Literal["last", "best"]]
    threshold: Setting[Fraction | Literal["youden"] | None]
    t_test: Setting[Literal["paired", "unpaired", "corrected resampled"]] | None = None
    oversample_to: Setting[Literal["largest", "mean"]] | None = None
    final: Setting[Literal["refit", "best_fold", "last_fold"]] | None = None
    resizing: Setting[Literal["bilinear", "antialiased", "padded"]] | None = None

    def split(self, fold: int = 0, images: int = 0, seed: int = 0, by: str = "") -> Split:
        """How so many images (0: all) are divided, for a fold or (0) the final model; `by` in place of `split_by`."""
        from brainlib.data.splits import Split  # with pandas, which a paper by itself does not need

        published, by = self.holdout.value == "published", by or self.split_by.value
        return Split(
            holdout=0.0 if published else self.holdout.value,
            published=published,
            folds=self.folds.value if fold else 0,
            fold=fold,
            validation=self.validation.value or 0.0,
            stratified=self.stratified.value,
            by=by,
            images=images,
            seed=seed,
            # A published protocol is repeated with its leaks; one that keeps duplicates apart must have none.
            leakage="as_published" if by == "image" else "refused",
        )


class _Model(Frozen):
    """What both kinds of model have: input channels and scaling, pooled features, dense head.

    `scaling`: "unit" is x / 255; "raw" is x; "centred" is x / 127.5 - 1; "backbone" is what the backbone's
    preprocess_input in keras.applications does; "imagenet_mean_std" is (x / 255 - mean) / std per channel, and
    "training_mean_std" the same with those of the training images. `dense` are
    hidden ReLU units; `head_dropout` the rates of the dropout after the pooled or flattened
    features and after each hidden layer, in this order (0, or left out at the end: none). The output
    layer is derived: one sigmoid unit for binary_crossentropy, else a softmax unit per class.
    """

    channels: Setting[Literal[1, 3]]
    scaling: Setting[Literal["unit", "raw", "centred", "backbone", "imagenet_mean_std", "training_mean_std"]]
    pooling: Setting[Literal["flatten", "average", "max"]]
    dense: Setting[Annotated[tuple[Width, ...], Field(max_length=100)]]
    head_dropout: Setting[tuple[Rate, ...]]

    @model_validator(mode="after")
    def _dropout_has_its_place(self) -> _Model:
        places = 1 + len(self.dense.value)
        if len(self.head_dropout.value) > places:
            raise ValueError(
                f"head_dropout: expected at most {places} rates, one after the features "
                f"and after each dense layer, received {len(self.head_dropout.value)}"
            )
        return self


class CnnSettings(_Model):
    """A plain network: per entry of `convolutions` (filters) a ReLU convolution, pool, dropout."""

    kind: Literal["cnn"]
    convolutions: Setting[Annotated[tuple[Width, ...], Field(min_length=1, max_length=100)]]
    kernel_size: Setting[Side]
    padding: Setting[Literal["same", "valid"]]
    pool_size: Setting[Side]
    conv_dropout: Setting[Rate]


class TransferSettings(_Model):
    """A backbone, such as "resnet50v2", with a new head."""

    kind: Literal["transfer"]
    backbone: Setting[Identifier]
    pretrained: Setting[bool]


class OwnSettings(Frozen):
    """A model that the `function` ``size, classes -> keras.Model`` builds, for images of so many channels."""

    kind: Literal["own"]
    function: Setting[Function]
    channels: Setting[Literal[1, 3]]


ModelSettings = Annotated[CnnSettings | TransferSettings | OwnSettings, Field(discriminator="kind")]


class Augmentation(TypedDict, total=False):
    """Random changes of a training image: degrees for rotation, fractions for the others."""

    __pydantic_config__ = Frozen.model_config

    flip: Literal["horizontal", "vertical", "both"]
    rotation: Annotated[float, Field(gt=0, le=180)]
    shift: Fraction
    zoom: Fraction
    shear: Fraction


class Phase(Frozen):
    """One stretch of training: what is trainable ("all", "head", "upper_half", or layer-name prefixes), how.

    `batch_norm` is whether the batch normalisation among the trainable layers trains with them, on the statistics of
    each batch, or stays frozen, on those that it has; null where the model or what trains of it has none. `optimizer`
    is one of this arm's own (null: the protocol's); the others are described at `training.Phase`, and null stands for
    their defaults there.
    """

    name: Text
    trainable: Setting[Literal["all", "head", "upper_half"] | Annotated[tuple[Text, ...], Field(min_length=1)]]
    epochs: Setting[Count]
    learning_rate: Setting[Annotated[float, Field(gt=0, le=100)]]
    batch_norm: Setting[Literal["trained", "frozen", "statistics"]] | None = None
    augmentation: Setting[Annotated[Augmentation, AfterValidator(FrozenDict)]]
    optimizer: Setting[Optimizer] | None = None
    schedule: Setting[Function] | None = None
    callbacks: Setting[Function] | None = None
    early_stopping: Setting[Count] | None = None
    fill: Setting[Literal["black", "nearest"]] | None = None
    augmented: Setting[Literal["train", "all"]] | None = None
    start: Setting[Literal["previous", "pretrained"]] | None = None


class Arm(Frozen):
    """One model of the paper with the phases that train it, each going on from the one before.

    `like` is the arm that this one equals in everything but its title and its backbone; null where it is written out.
    """

    title: Text
    like: Identifier | None = None
    model: ModelSettings
    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _phases_have_names_of_their_own(self) -> Arm:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"phases: expected different names, received {names}")
        return self


def values(part: Any) -> Any:
    """Return a part of a paper with each setting's value in its place, and a dict for each model of settings."""
    if isinstance(part, Setting):
        return part.value
    if isinstance(part, BaseModel | dict):
        return {key: values(value) for key, value in dict(part).items()}
    return tuple(map(values, part)) if isinstance(part, tuple) else part


def settings_of(part: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Setting]]:
    """Yield the settings of a part of a paper with their key paths; of an arm like another, what it does not share."""
    if isinstance(part, Setting):
        yield path, part
    elif isinstance(part, Arm) and part.like is not None:
        yield (*path, "model", "backbone"), part.model.backbone
    elif isinstance(part, BaseModel | dict | tuple):
        for key, value in enumerate(part) if isinstance(part, tuple) else dict(part).items():
            yield from settings_of(value, (*path, key))


def key_of(path: KeyPath) -> str:
    """Write a key path as text: "arms.cnn.phases[0].epochs"."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def name_of(path: KeyPath) -> str:
    """Write the key path of a setting in words: "cnn, phase 1: epochs"."""
    place = [path[1]] if path[0] == "arms" else []
    place += [f"phase {key + 1}" for key in path if isinstance(key, int)]
    name = str(path[-1]).replace("_", " ")
    return f"{', '.join(place)}: {name}" if place else name


def in_words(value: object) -> str:
    """Write the value of a setting in words: "yes" for True, "32, 64" for (32, 64), "none" for () and None."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return {"True": "yes", "False": "no", "None": "none"}.get(str(value), str(value))
