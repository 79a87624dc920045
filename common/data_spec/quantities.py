"""What is measured: a channel of a signal, a variable of a record."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


def check_valid_range(low: float | None, high: float | None) -> None:
    """Refuse an empty range of possible values.

    Raises:
        ValueError: in the words of the study file.
    """
    if low is not None and high is not None and low >= high:
        raise ValueError("valid_minimum must be less than valid_maximum")


class Quantity(BaseModel):
    """Something measured, with its unit and its public range.

    Attributes:
        name: the study's name; a site maps it to its own in site.toml.
        unit: the study's unit; a site that says it has another one is converted, or refused.
        minimum: value (in that unit) that maps to -1.
        maximum: value that maps to 1; beyond the two is clipped.
        valid_minimum: a value below it is impossible and counts as missing; none: no limit.
        valid_maximum: a value above it counts as missing; none: no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    unit: str = Field(default="", max_length=16)
    minimum: float
    maximum: float
    valid_minimum: float | None = None
    valid_maximum: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Quantity:
        """Refuse empty ranges."""
        if self.minimum >= self.maximum:
            raise ValueError(f"{self.name!r}: minimum must be less than maximum")
        check_valid_range(self.valid_minimum, self.valid_maximum)
        return self


def check_names(kind: str, names: list[str]) -> None:
    """Refuse a name that is listed twice.

    Raises:
        ValueError: naming it.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{kind} {repeated[0]!r} is listed twice")


def whole(name: str, amount: float, most: int = 100_000) -> int:
    """Return a number of steps that must be a whole one.

    Raises:
        ValueError: it is not, or it is past what anybody can mean.
    """
    if amount > most:
        raise ValueError(f"{name} is more than {most:,} steps")
    if abs(amount - round(amount)) > 1e-6 or round(amount) < 1:
        raise ValueError(f"{name} must be a whole number of steps, not {amount:g}")
    return round(amount)
