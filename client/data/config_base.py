"""What the descriptions of data sets in site.toml are made of: paths, text formats, filters, joins.

Relative paths are resolved against the folder of site.toml (pydantic context `folder`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from common.data_spec import Scalar


def _many(value: object) -> object:
    """Read one value where a list is allowed."""
    return value if isinstance(value, list | tuple) else [value]


def _absolute(value: Path, info: ValidationInfo) -> Path:
    """Resolve against the folder of site.toml."""
    folder = (info.context or {}).get("folder", Path())
    return Path(folder) / value.expanduser()


LocalPath = Annotated[Path, AfterValidator(_absolute)]


class Part(BaseModel):
    """A table of site.toml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Located(Part):
    """Something that lies at a path."""

    path: LocalPath


class Held(Part):
    """What every data set states.

    Attributes:
        declared_patients: the public, rounded number of patients; used as weight and as divisor.
        population: patients who share a budget of their own, because they are in no other data set of the site but
            those that name the same population; none: the whole site's.
    """

    declared_patients: int = Field(ge=1)
    population: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")


class Dataset(Located, Held):
    """A data set that lies at one path.

    Attributes:
        kind: which source reads it.
    """

    kind: str


class TextFormat(Part):
    """How the site writes its tables.

    Attributes:
        separator: between fields.
        decimal: the decimal mark.
        thousands: the mark between thousands, such as the comma of 1,234; none: there is none.
        encoding: of the text, a Python codec name.
        header: column names of files that have no header line.
        missing: values that mean "missing", besides empty ones (`"-1"` also matches `-1.0`).
        columns: the study's column name → the site's.
        replace: per column (the study's name), the site's value → the study's.
        scale: per column, factor from the site's unit to the study's (mmol/L to mg/dL: 18.0182).
        offset: per column, added after the factor.
        units: per column, the site's unit where it is not the study's; converted where both are known, unless
            scale or offset say how.
    """

    separator: str = Field(default=",", min_length=1)
    decimal: str = Field(default=".", min_length=1, max_length=1)
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    header: tuple[str, ...] | None = None
    missing: tuple[Scalar, ...] = ()
    columns: dict[str, str] = {}
    replace: dict[str, dict[str, Scalar]] = {}
    scale: dict[str, float] = {}
    offset: dict[str, float] = {}
    units: dict[str, str] = {}

    @field_validator("missing", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return _many(value)

    @field_validator("encoding")
    @classmethod
    def _codec(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"unknown encoding '{value}'") from None
        return value

    @model_validator(mode="after")
    def _two_marks(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError("thousands and decimal are the same mark")
        return self

    def local(self, name: str) -> str:
        """Return the site's name of one of the study's columns."""
        return self.columns.get(name, name)


Filter = dict[str, tuple[Scalar, ...]]


class Filtered(Part):
    """Rows are kept where every column of `filter` has one of its values."""

    filter: Filter = {}

    @field_validator("filter", mode="before")
    @classmethod
    def _values(cls, value: object) -> object:
        return {k: _many(v) for k, v in value.items()} if isinstance(value, dict) else value


class Join(Located, Filtered):
    """Another table, one row for each key, whose columns are added to the main one.

    Attributes:
        on: the key column or columns, named alike in both tables.
        columns: take these columns only; none: all that the main table does not have.
    """

    on: tuple[str, ...] = Field(min_length=1)
    columns: tuple[str, ...] | None = None

    @field_validator("on", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return _many(value)
