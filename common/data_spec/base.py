"""What the data of every kind have in common in a study's `[data]` section."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

Scalar = bool | int | float | str


class Spec(BaseModel):
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


class SizedSpec(Spec):
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
