"""How a study maps a target column's values to classes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.data_spec.base import Scalar, Spec
from common.data_spec.follow_up import FollowUp
from common.later import LATER


class ValueRange(BaseModel):
    """Makes the target column a number.

    Attributes:
        unit: the study's; a site that says it has another one is converted, or refused.
        minimum: value (in that unit) that maps to -1; public.
        maximum: value that maps to 1; beyond the two is clipped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    unit: str = Field(default="", max_length=16)
    minimum: float
    maximum: float

    @model_validator(mode="after")
    def _ordered(self) -> ValueRange:
        """Refuse empty ranges."""
        if self.minimum >= self.maximum:
            raise ValueError("minimum must be less than maximum")
        return self

    @property
    def middle(self) -> float:
        """The value that 0 stands for."""
        return (self.minimum + self.maximum) / 2.0

    @property
    def half_range(self) -> float:
        """Units per unit of the scaled values."""
        return (self.maximum - self.minimum) / 2.0


class ClassedSpec(Spec):
    """Kinds whose target is a column.

    The target's values are mapped either by `positive` (two classes: the others, then these; with
    `negative` given, a value in neither list is an error) or by `classes` (class name → its values,
    in class order). With `follow_up` given, the target is an event (`positive`) or none so far (the others), and a
    time goes with it. With `value` in the place of both, the target is a number in a public range.

    Attributes:
        target: the study's name of the target column.
        positive: target values of class 1.
        negative: target values of class 0; none: all the others.
        classes: values of each class.
        follow_up: when the event came, or how long there was none.
        value: the range of a target that is a number.
    """

    target: str = Field(min_length=1)
    positive: tuple[Scalar, ...] | None = None
    negative: tuple[Scalar, ...] | None = None
    classes: dict[str, tuple[Scalar, ...]] | None = None
    follow_up: FollowUp | None = Field(default=None, json_schema_extra=LATER)
    value: ValueRange | None = Field(default=None, json_schema_extra=LATER)

    @model_validator(mode="after")
    def _mapped_once(self) -> ClassedSpec:
        """Refuse a target that is mapped twice, or not at all."""
        given = [each for each in (self.positive, self.classes, self.value) if each is not None]
        if len(given) != 1:
            raise ValueError(
                "give either positive = [...] or classes = {name = [...]}, or value = {minimum = …, maximum = …} "
                "where the target is a number"
            )
        if self.negative is not None and self.positive is None:
            raise ValueError("negative goes with positive")
        groups = self.classes or {"positive": self.positive or (), "negative": self.negative or ()}
        values = [str(value) for group in groups.values() for value in group]
        if len(set(values)) != len(values):
            raise ValueError("a target value belongs to two classes")
        return self

    @model_validator(mode="after")
    def _one_event(self) -> ClassedSpec:
        """Refuse several classes of events."""
        if self.follow_up is not None and self.positive is None:
            raise ValueError("follow_up goes with positive: the values that mean the event")
        return self

    @property
    def target_kind(self) -> str:
        """What a row's target is."""
        if self.value is not None:
            return "value"
        return "class" if self.follow_up is None else "hazard"

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The study's names of the columns that the target is read from."""
        time = self.follow_up.time if self.follow_up is not None else None
        return (self.target,) if time is None else (self.target, time)
