"""Subgroups of patients in a study's `[evaluation]` section: public groups by a column of the sites' data."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.data_spec import Scalar

UNKNOWN = "unknown"
"""Whoever is in none of the groups, or of whom the site does not know it."""
READY: Mapping[str, Mapping[str, Any]] = {
    "sex": {
        "name": "sex",
        "groups": {"female": ("F", "female", "woman"), "male": ("M", "male", "man")},
    },
    "age": {"name": "age", "bands": (18, 40, 65, 80)},
}
"""What a name alone stands for."""


class Subgroup(BaseModel):
    """One way to divide the patients: by the values of a column, or by bands of a number.

    `"sex"` and `"age"` (in years) may stand for themselves. Everybody who belongs to none of the groups is "unknown".

    Attributes:
        name: what the report calls it.
        column: the study's name of the column; a site maps it to its own in site.toml. DICOM files have `sex` and
            `age` in their headers. None: as the name.
        groups: group → the column's values, upper and lower case alike.
        bands: ascending limits of a number; each band starts at one of them and ends before the next.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=32)
    column: str | None = Field(default=None, min_length=1)
    groups: dict[str, tuple[Scalar, ...]] | None = Field(default=None, min_length=1, max_length=16)
    bands: tuple[float, ...] | None = Field(default=None, min_length=1, max_length=15)

    @model_validator(mode="before")
    @classmethod
    def _ready(cls, value: Any) -> Any:
        """Write out what a name stands for."""
        if not isinstance(value, str):
            return value
        if value not in READY:
            known = ", ".join(f"'{name}'" for name in READY)
            raise ValueError(
                f"'{value}' needs its groups or bands written out; {known} stand for themselves"
            )
        return dict(READY[value])

    @model_validator(mode="after")
    def _divides(self) -> Subgroup:
        """Refuse groups that overlap or that nobody can be in."""
        if (self.groups is None) == (self.bands is None):
            raise ValueError("give either groups = {name = [...]} or bands = [...]")
        if UNKNOWN in (self.groups or {}):
            raise ValueError("'unknown' is the group of all the others")
        values = [str(v).casefold() for group in (self.groups or {}).values() for v in group]
        if len(set(values)) != len(values) or not all((self.groups or {"": ("",)}).values()):
            raise ValueError("every group needs values, and no value belongs to two")
        if any(low >= high for low, high in pairwise(self.bands or ())):
            raise ValueError("bands must ascend")
        return self

    @property
    def source(self) -> str:
        """The study's name of the column."""
        return self.column or self.name

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the groups in order; the last is "unknown"."""
        if self.groups is not None:
            return (*self.groups, UNKNOWN)
        limits = [f"{limit:g}" for limit in self.bands or ()]
        middle = [f"{low} to under {high}" for low, high in pairwise(limits)]
        return (f"under {limits[0]}", *middle, f"{limits[-1]} and over", UNKNOWN)
