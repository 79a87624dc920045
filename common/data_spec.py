"""What a study asks of a hospital's data: the `[data]` section, one model a kind.

Every number that shapes a sample is a *public constant* written in the study (windows, ranges,
fills), never something computed from patients: a normalisation constant that is learned from data
would have to be charged.
All samples are float32 scaled to [-1, 1].
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Scalar = bool | int | float | str


class _Spec(BaseModel):
    """What all kinds share.

    Attributes:
        dataset: the name of the site's data set (`[data.NAME]` in site.toml); none: its only one
            of this kind.
        test_fraction: probability that a patient is held out; drawn for each patient on its own.
        max_samples_per_patient: keep at most so many samples of a patient, evenly spread; none:
            all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str | None = None
    test_fraction: float = Field(default=0.25, ge=0.0, lt=1.0)
    max_samples_per_patient: int | None = Field(default=None, ge=1)


class _Sized(_Spec):
    """Kinds whose samples are images of one size.

    Attributes:
        image_size: in pixels: one number for a square, or [rows, columns].
    """

    image_size: tuple[int, int]

    @field_validator("image_size", mode="before")
    @classmethod
    def _square(cls, value: object) -> object:
        """Read one number as a square."""
        return (value, value) if isinstance(value, int) else value

    @field_validator("image_size")
    @classmethod
    def _sane(cls, value: tuple[int, int]) -> tuple[int, int]:
        """Refuse sizes that no image can have."""
        if not all(1 <= side <= 4096 for side in value):
            raise ValueError("image_size must be between 1 and 4096 pixels a side")
        return value


class ImageSpec(_Sized):
    """Two-dimensional slices from DICOM files, shape (1, rows, columns).

    Attributes:
        spacing_mm: resample in the plane to this pixel spacing; none: keep each scanner's own.
        centre: crop round the labels' `x_mm, y_mm, z_mm` ("point", DICOM patient coordinates) or
            the image's middle.
        slices: "all", or the n slices of each series nearest to the point or to the middle of the
            series.
        window_centre: middle of the intensity window, in HU for CT, else in the modality's
            rescaled units.
        window_width: width of that window; its ends map to -1 and 1, beyond them is clipped.
        modality: files of any other DICOM modality are quarantined.
    """

    kind: Literal["dicom"]
    spacing_mm: float | None = Field(default=None, gt=0.0, le=100.0)
    centre: Literal["image", "point"] = "image"
    slices: Literal["all"] | Annotated[int, Field(ge=1)] = "all"
    window_centre: float = -600.0
    window_width: float = Field(default=1500.0, gt=0.0)
    modality: Literal["CT", "MR", "PT", "NM", "CR", "DX", "MG", "US"] = "CT"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (1, rows, columns)."""
        return (1, *self.image_size)


class ArraySpec(_Sized):
    """Images in an .npz file, shape (channels, rows, columns).

    Attributes:
        channels: 1 (grey) or 3 (RGB; a grey image is repeated).
        value_min: stored value that maps to -1.
        value_max: stored value that maps to 1; beyond the two is clipped.
    """

    kind: Literal["arrays"]
    channels: Literal[1, 3] = 1
    value_min: float = 0.0
    value_max: float = 255.0

    @model_validator(mode="after")
    def _ordered(self) -> ArraySpec:
        """Refuse an empty range."""
        if self.value_min >= self.value_max:
            raise ValueError("value_min must be less than value_max")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (channels, rows, columns)."""
        return (self.channels, *self.image_size)


class Feature(BaseModel):
    """One input column of a table.

    A `number` is clipped to [minimum, maximum] and scaled to [-1, 1]; a `flag` is -1 or 1; a
    `category` is one-hot (1, and -1 elsewhere; a value outside `categories` is all -1). A missing
    value becomes `fill` (public; in the column's own units, 0 or 1 for a flag, a category's name),
    or the neutral 0 when there is none.

    Attributes:
        name: the study's name of the column; a site maps it to its own in site.toml.
        type: number, category or flag.
        minimum: lower end of a number's public range, in its own units.
        maximum: upper end of that range.
        categories: the public list of a category's values.
        fill: public value used where the site has none.
        missing_indicator: add one input that is 1 where the value was missing, else -1.
        required: leave out (quarantine) a row that has no value here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    type: Literal["number", "category", "flag"] = "number"
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[Scalar, ...] | None = None
    fill: Scalar | None = None
    missing_indicator: bool = False
    required: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Feature:
        """Refuse a feature whose type lacks what it needs."""
        if self.type == "number":
            self._check_number()
        elif self.minimum is not None or self.maximum is not None:
            raise ValueError(f"feature {self.name!r}: only a number has minimum and maximum")
        if (self.type == "category") != bool(self.categories):
            raise ValueError(f"feature {self.name!r}: categories belong to type 'category' alone")
        if self.type == "flag" and self.fill is not None and self.fill not in (0, 1):
            raise ValueError(f"feature {self.name!r}: the fill of a flag is 0 or 1")
        self._check_fill()
        return self

    def _check_number(self) -> None:
        if self.minimum is None or self.maximum is None or self.minimum >= self.maximum:
            raise ValueError(f"feature {self.name!r}: a number needs minimum < maximum (public)")
        if self.fill is not None and isinstance(self.fill, str):
            raise ValueError(f"feature {self.name!r}: the fill of a number is a number")

    def _check_fill(self) -> None:
        known = [str(value) for value in self.categories or ()]
        if len(set(known)) != len(known):
            raise ValueError(f"feature {self.name!r}: a category is listed twice")
        if self.type == "category" and self.fill is not None and str(self.fill) not in known:
            raise ValueError(f"feature {self.name!r}: fill {self.fill!r} is not in categories")

    @property
    def width(self) -> int:
        """Number of inputs that the feature gives."""
        return len(self.categories or (None,)) + self.missing_indicator


class TableSpec(_Spec):
    """Rows of a table, shape (F,).

    The target's values are mapped either by `positive` (two classes: the others, then these; with
    `negative` given, a value in neither list is an error) or by `classes` (class name → its values,
    in class order).

    Attributes:
        features: the input columns, in order.
        target: the study's name of the target column.
        positive: target values of class 1.
        negative: target values of class 0; none: all the others.
        classes: values of each class.
    """

    kind: Literal["table"]
    features: tuple[Feature, ...] = Field(min_length=1)
    target: str = Field(min_length=1)
    positive: tuple[Scalar, ...] | None = None
    negative: tuple[Scalar, ...] | None = None
    classes: dict[str, tuple[Scalar, ...]] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> TableSpec:
        """Refuse repeated features and a target that is mapped twice, or not at all."""
        names = [feature.name for feature in self.features]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"feature {repeated[0]!r} is listed twice")
        if self.target in names:
            raise ValueError(f"target {self.target!r} is also a feature")
        if (self.positive is None) == (self.classes is None):
            raise ValueError("give either positive = [...] or classes = {name = [...]}")
        if self.negative is not None and self.positive is None:
            raise ValueError("negative goes with positive")
        self._check_disjoint()
        return self

    def _check_disjoint(self) -> None:
        groups = self.classes or {"positive": self.positive or (), "negative": self.negative or ()}
        values = [str(value) for group in groups.values() for value in group]
        if len(set(values)) != len(values):
            raise ValueError("a target value belongs to two classes")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (F,)."""
        return (sum(feature.width for feature in self.features),)


class SeriesSpec(_Spec):
    """Windows of a regularly sampled signal, shape (T, 1), with later values as targets.

    The last time step is a real reading, so it is the persistence baseline's forecast; a target
    is a real reading too. Inputs and targets are clipped to [minimum, maximum] and scaled to
    [-1, 1]; `half_range` scales errors back.

    Attributes:
        step_minutes: the grid's step; readings in one step are averaged.
        history_minutes: length of the input window; T = history_minutes / step_minutes.
        horizons_minutes: how far after the window's last reading each target lies.
        unit: the signal's unit, for people (e.g. mg/dL).
        minimum: value (in that unit) that maps to -1.
        maximum: value that maps to 1.
        valid_minimum: a reading below it is impossible and counts as missing; none: no limit.
        valid_maximum: a reading above it counts as missing; none: no limit.
        max_gap_minutes: readings at most so far apart are joined by a straight line; longer gaps
            end a window.
        stride_minutes: distance between the starts of two windows of a patient.
    """

    kind: Literal["series"]
    step_minutes: float = Field(default=5.0, gt=0.0)
    history_minutes: float = Field(default=120.0, gt=0.0)
    horizons_minutes: tuple[Annotated[float, Field(gt=0.0)], ...] = Field(
        default=(30.0,), min_length=1
    )
    unit: str = Field(default="", max_length=16)
    minimum: float
    maximum: float
    valid_minimum: float | None = None
    valid_maximum: float | None = None
    max_gap_minutes: float = Field(default=30.0, ge=0.0)
    stride_minutes: float = Field(default=30.0, gt=0.0)

    @model_validator(mode="after")
    def _on_grid(self) -> SeriesSpec:
        """Refuse empty ranges and durations off the grid."""
        if self.minimum >= self.maximum:
            raise ValueError("minimum must be less than maximum")
        low, high = self.valid_minimum, self.valid_maximum
        if low is not None and high is not None and low >= high:
            raise ValueError("valid_minimum must be less than valid_maximum")
        named = [("history_minutes", self.history_minutes), ("stride_minutes", self.stride_minutes)]
        named += [("horizons_minutes", horizon) for horizon in self.horizons_minutes]
        for name, minutes in named:
            steps = minutes / self.step_minutes
            if steps > 100_000:
                raise ValueError(f"{name} is more than 100,000 steps of step_minutes")
            if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
                raise ValueError(f"{name} must be a multiple of step_minutes ({self.step_minutes})")
        if len(set(self.horizons_minutes)) != len(self.horizons_minutes):
            raise ValueError("horizons_minutes lists a horizon twice")
        return self

    def steps(self, minutes: float) -> int:
        """How many grid steps a duration has."""
        return round(minutes / self.step_minutes)

    @property
    def half_range(self) -> float:
        """The signal's units per unit of the scaled values (an RMSE is multiplied by it)."""
        return (self.maximum - self.minimum) / 2.0

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (T, 1)."""
        return (self.steps(self.history_minutes), 1)


DataSpec = Annotated[
    ImageSpec | ArraySpec | TableSpec | SeriesSpec,
    Field(discriminator="kind"),
]
