"""Signals over time in a study's `[data]` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.data_spec.base import Spec
from common.data_spec.quantities import check_valid_range
from common.later import LATER


class SeriesSpec(Spec):
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
        valid_change_per_minute: a reading that lies further from the last possible one than this allows
            for the time between them is impossible; none: no limit.
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
    valid_change_per_minute: float | None = Field(default=None, gt=0.0, json_schema_extra=LATER)
    max_gap_minutes: float = Field(default=30.0, ge=0.0)
    stride_minutes: float = Field(default=30.0, gt=0.0)

    @model_validator(mode="after")
    def _on_grid(self) -> SeriesSpec:
        """Refuse empty ranges and durations off the grid."""
        if self.minimum >= self.maximum:
            raise ValueError("minimum must be less than maximum")
        check_valid_range(self.valid_minimum, self.valid_maximum)
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

    def in_steps(self, minutes: float) -> int:
        """How many grid steps a duration has."""
        return round(minutes / self.step_minutes)

    @property
    def half_range(self) -> float:
        """The signal's units per unit of the scaled values (an RMSE is multiplied by it)."""
        return (self.maximum - self.minimum) / 2.0

    @property
    def target_kind(self) -> str:
        """What a window's target is."""
        return "values"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (T, 1)."""
        return (self.in_steps(self.history_minutes), 1)
