"""How a site describes its data sets in site.toml: one model a kind.

Relative paths are resolved against the folder of site.toml (pydantic context `folder`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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


class _Table(BaseModel):
    """A table of site.toml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Located(_Table):
    """Something that lies at a path."""

    path: LocalPath


class _Dataset(_Located):
    """What every data set states.

    Attributes:
        declared_patients: the public, rounded number of patients; used as weight and as divisor.
        population: patients who share a budget of their own, because they are in no other data set of the site but
            those that name the same population; none: the whole site's.
    """

    declared_patients: int = Field(ge=1)
    population: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")


class TextFormat(_Table):
    """How the site writes its tables.

    Attributes:
        separator: between fields.
        decimal: the decimal mark.
        encoding: of the text, a Python codec name.
        header: column names of files that have no header line.
        missing: values that mean "missing", besides empty ones (`"-1"` also matches `-1.0`).
        columns: the study's column name → the site's.
        replace: per column (the study's name), the site's value → the study's.
        scale: per column, factor from the site's unit to the study's (mmol/L to mg/dL: 18.0182).
        offset: per column, added after the factor.
    """

    separator: str = Field(default=",", min_length=1)
    decimal: str = Field(default=".", min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    header: tuple[str, ...] | None = None
    missing: tuple[Scalar, ...] = ()
    columns: dict[str, str] = {}
    replace: dict[str, dict[str, Scalar]] = {}
    scale: dict[str, float] = {}
    offset: dict[str, float] = {}

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

    def local(self, name: str) -> str:
        """Return the site's name of one of the study's columns."""
        return self.columns.get(name, name)


Filter = dict[str, tuple[Scalar, ...]]


class _Filtered(_Table):
    """Rows are kept where every column of `filter` has one of its values."""

    filter: Filter = {}

    @field_validator("filter", mode="before")
    @classmethod
    def _values(cls, value: object) -> object:
        return {k: _many(v) for k, v in value.items()} if isinstance(value, dict) else value


class Join(_Located, _Filtered):
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


class DicomDataset(_Dataset, TextFormat):
    """A folder (or .zip) of DICOM files and a table of labels.

    The labels have the columns patient_id and label, with x_mm, y_mm, z_mm where a study crops
    round a point, and `split` (train or test) where the split is fixed; `columns` maps other names.
    """

    kind: Literal["dicom"]
    labels: LocalPath


class TableDataset(_Dataset, TextFormat, _Filtered):
    """One table (csv, csv.gz, tsv, parquet), joined with others if need be.

    Attributes:
        patient: column with the patient's identifier; none: every row is a patient of its own.
        split: column that fixes the split (train or test); none: drawn from the identifier.
        join: tables whose columns are added before the filter.
        absent: the study's features that this site does not record; they get the study's fill.
    """

    kind: Literal["table"]
    patient: str | None = None
    split: str | None = None
    join: tuple[Join, ...] = ()
    absent: tuple[str, ...] = ()


class SeriesDataset(_Dataset, TextFormat, _Filtered):
    """Readings over time, one row a reading, in one file or in a folder (or .zip) of files.

    Attributes:
        patient: column with the patient's identifier, or "<file>": the file name's stem.
        time: column with the time of the reading.
        value: column with the reading.
        record: column that keeps apart recordings of one patient whose clocks differ (e.g. a stay).
        time_format: strptime format of the time; none: recognised (ISO 8601 and the like).
        time_unit: unit of a time that is a plain number.
        files: which files of the folder, a glob pattern on the path.
        join: tables whose columns are added to every file (e.g. stay → patient).
    """

    kind: Literal["series"]
    patient: str = "patient"
    time: str = "time"
    value: str = "value"
    record: str | None = None
    time_format: str | None = None
    time_unit: Literal["milliseconds", "seconds", "minutes", "hours", "days"] | None = None
    files: str | None = None
    join: tuple[Join, ...] = ()
    scale: float | dict[str, float] = 1.0  # type: ignore[assignment]

    @property
    def factor(self) -> float:
        """Factor from the site's unit to the study's."""
        return self.scale.get("value", 1.0) if isinstance(self.scale, dict) else self.scale


class ArrayDataset(_Dataset):
    """An .npz file: images and labels (and patients), or MedMNIST's train_/val_/test_ arrays.

    Attributes:
        images: key of the images, [N, rows, columns] or [N, rows, columns, 3].
        labels: key of the labels, [N]: class numbers, or class names.
        patients: key of the patients, [N]; where the file has none, every image is a patient.
        splits: of a file with splits, read these only.
        part: "i/n", the i-th of n equal parts of the patients (to cut one public file into sites).
        part_seed: of the public shuffle before it is cut.
    """

    kind: Literal["arrays"]
    images: str = "images"
    labels: str = "labels"
    patients: str = "patients"
    splits: tuple[Literal["train", "val", "test"], ...] | None = None
    part: str | None = Field(default=None, pattern=r"^[1-9][0-9]{0,5}/[1-9][0-9]{0,5}$")
    part_seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _inside(self) -> ArrayDataset:
        index, of = self.part_of
        if index > of:
            raise ValueError(f"part '{self.part}' is beyond the last of {of}")
        return self

    @property
    def part_of(self) -> tuple[int, int]:
        """The part as (i, n), counted from 1."""
        index, of = (self.part or "1/1").split("/")
        return int(index), int(of)


DatasetConfig = Annotated[
    DicomDataset | TableDataset | SeriesDataset | ArrayDataset, Field(discriminator="kind")
]
