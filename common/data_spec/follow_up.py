"""How long patients are watched for an event, cut into public intervals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Edge = Annotated[float, Field(gt=0.0)]

MINUTES = {
    "min": 1.0,
    "h": 60.0,
    "d": 1440.0,
    "wk": 10_080.0,
    "mo": 365.25 / 12 * 1440.0,
    "a": 365.25 * 1440.0,
}
"""Length of a unit of time; a month is a twelfth of a year."""


class FollowUp(BaseModel):
    """Makes the target column an event that may come at some time, or not while anybody looks.

    Time runs from the row's own zero; of records, from the end of the window. It is cut at `edges` into intervals:
    (0, first], (first, second] … What comes after the last edge is not looked at.

    Attributes:
        time: the study's name of the column with the time until the event or until the patient was last known to be
            without it. Of tables only: of records, the site's `outcome_time` says it.
        unit: of that time and of the edges: min, h, d, wk, mo or a (years).
        edges: public ends of the intervals, rising.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    time: str | None = Field(default=None, min_length=1)
    unit: Literal["min", "h", "d", "wk", "mo", "a"] = "d"
    edges: tuple[Edge, ...] = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _rising(self) -> FollowUp:
        """Refuse intervals that overlap."""
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("the edges of follow_up must rise")
        return self
