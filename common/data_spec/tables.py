"""Tables in a study's `[data]` section."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.data_spec.base import Scalar
from common.data_spec.quantities import check_names, check_valid_range
from common.data_spec.targets import ClassedSpec
from common.later import LATER


class Feature(BaseModel):
    """One input column of a table.

    A `number` is clipped to [minimum, maximum] and scaled to [-1, 1]; a `flag` is -1 or 1; a
    `category` is one-hot (1, and -1 elsewhere; a value outside `categories` is all -1). A missing
    value becomes `fill` (public; in the column's own units, 0 or 1 for a flag, a category's name),
    or the neutral 0 when there is none. A number outside [valid_minimum, valid_maximum] is impossible
    and counts as missing.

    Attributes:
        name: the study's name of the column; a site maps it to its own in site.toml.
        type: number, category or flag.
        minimum: lower end of a number's public range, in its own units.
        maximum: upper end of that range.
        categories: the public list of a category's values.
        fill: public value used where the site has none.
        missing_indicator: add one input that is 1 where the value was missing, else -1.
        required: leave out (quarantine) a row that has no value here.
        unit: a number's unit; a site that says it has another one is converted, or refused.
        valid_minimum: a number below it is impossible; none: no limit.
        valid_maximum: a number above it is impossible; none: no limit.
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
    unit: str = Field(default="", max_length=16, json_schema_extra=LATER)
    valid_minimum: float | None = Field(default=None, json_schema_extra=LATER)
    valid_maximum: float | None = Field(default=None, json_schema_extra=LATER)

    @model_validator(mode="after")
    def _complete(self) -> Feature:
        """Refuse a feature whose type lacks what it needs."""
        if self.type == "number":
            self._check_number()
        elif self.unit or self._limits != (None, None, None, None):
            raise ValueError(
                f"feature {self.name!r}: only a number has a unit, minimum and maximum"
            )
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
        check_valid_range(self.valid_minimum, self.valid_maximum)

    @property
    def _limits(self) -> tuple[float | None, ...]:
        return (self.minimum, self.maximum, self.valid_minimum, self.valid_maximum)

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


class TableSpec(ClassedSpec):
    """Rows of a table, shape (F,).

    Attributes:
        features: the input columns, in order.
    """

    kind: Literal["table"]
    features: tuple[Feature, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> TableSpec:
        """Refuse repeated features, a target among them, and a follow-up without its column."""
        names = [feature.name for feature in self.features]
        check_names("feature", names)
        for column in self.target_columns:
            if column in names:
                raise ValueError(f"target {column!r} is also a feature")
        if self.follow_up is not None and self.follow_up.time in (None, self.target):
            raise ValueError("follow_up of a table needs time, a column of its own")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (F,)."""
        return (sum(feature.width for feature in self.features),)
