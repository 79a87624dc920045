"""Longitudinal records in a study's `[data]` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from common.data_spec.quantities import Quantity, check_names, whole
from common.data_spec.tables import Feature
from common.data_spec.targets import ClassedSpec
from common.later import LATER


class Variable(Quantity):
    """One thing that is measured now and then.

    The readings of a step become one value. A step without any takes the last one before it, if that is at most
    `carry_minutes` old, else `fill`: nothing is ever taken from a later reading.

    Attributes:
        combine: how the readings of one step become one value.
        carry_minutes: how long a reading stays good.
        fill: public value (in the variable's unit) of a step without one; none: the middle of the range, 0.
        missing_indicator: add one input that is 1 where the step had no reading of its own, else -1.
    """

    combine: Literal["mean", "last", "minimum", "maximum"] = "mean"
    carry_minutes: float = Field(default=0.0, ge=0.0)
    fill: float | None = None
    missing_indicator: bool = False

    @property
    def width(self) -> int:
        """Number of inputs that the variable gives."""
        return 1 + self.missing_indicator


class RecordSpec(ClassedSpec):
    """Records of irregular readings on a regular grid, shape (T, F), with a later outcome as target.

    Time zero is the record's own (an admission). The window is [start, start + history); readings outside are not
    looked at, and a record whose outcome was known before the window's end plus `lead_minutes` is left out.

    Attributes:
        variables: what was measured over time.
        features: what is known of a record from its start; the same in every step.
        step_minutes: length of a step.
        history_minutes: length of the window; T = history_minutes / step_minutes.
        start_minutes: where the window starts, after time zero (negative: before).
        lead_minutes: how long after the window's end the outcome must lie.
        min_readings: leave out a record with fewer readings in its window.
        visits: keep only the last so many steps that have a reading, and T is this number; a record with fewer is
            filled up in front. Two inputs are added: how long before the window's end the step lies (1 at its end,
            -1 at its start, and where it is filled up), and whether it is a visit (1) or filled up (-1).
    """

    kind: Literal["records"]
    variables: tuple[Variable, ...] = Field(min_length=1)
    features: tuple[Feature, ...] = ()
    step_minutes: float = Field(default=60.0, gt=0.0)
    history_minutes: float = Field(gt=0.0)
    start_minutes: float = 0.0
    lead_minutes: float = Field(default=0.0, ge=0.0)
    min_readings: int = Field(default=1, ge=0)
    visits: int | None = Field(default=None, ge=1, json_schema_extra=LATER)

    @model_validator(mode="after")
    def _consistent(self) -> RecordSpec:
        """Refuse repeated names and a window that is no whole number of steps."""
        names = [variable.name for variable in self.variables]
        names += [feature.name for feature in self.features]
        check_names("variable", [*names, self.target])
        whole("history_minutes / step_minutes", self.history_minutes / self.step_minutes, 10_000)
        if self.visits is not None and self.visits > self.window_steps:
            raise ValueError("visits are more than the window has steps")
        if self.follow_up is not None and self.follow_up.time is not None:
            raise ValueError("follow_up of records has no time: the site's outcome_time says it")
        return self

    @property
    def window_steps(self) -> int:
        """T, the steps of a window."""
        return round(self.history_minutes / self.step_minutes)

    @property
    def end_minutes(self) -> float:
        """Where the window ends, after time zero."""
        return self.start_minutes + self.history_minutes

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (T, F)."""
        width = sum(variable.width for variable in self.variables)
        width += sum(feature.width for feature in self.features)
        return (self.visits or self.window_steps, width + 2 * (self.visits is not None))
