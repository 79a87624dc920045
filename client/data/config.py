"""How a site describes its data sets in site.toml: one model a kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from client.data.config_base import Dataset, Filtered, Held, Join, LocalPath, TextFormat
from client.data.episodes.config import EpisodeDataset
from client.data.molecules.config import MoleculeDataset
from client.data.pacs.config import PacsConfig
from client.data.records.config import RecordDataset
from client.data.signals.config import SignalDataset


class DicomDataset(Dataset, TextFormat):
    """A folder (or .zip) of DICOM files and a table of labels.

    The labels have the columns patient_id and label, with x_mm, y_mm, z_mm where a study crops
    round a point (and diameter_mm where it learns points), and `split` (train or test) where the
    split is fixed; `columns` maps other names.

    Attributes:
        labels: the table of labels; for studies that learn masks it says who takes part.
        masks: a folder (or .zip) of segmentations, DICOM SEG, RTSTRUCT or NIfTI, for studies that
            crop round a structure or learn masks. A NIfTI file is named after its patient, or lies in a folder
            that is.
        structures: the study's name of a structure → the site's.
    """

    kind: Literal["dicom"]
    labels: LocalPath
    masks: LocalPath | None = None
    structures: dict[str, str] = Field(default_factory=dict)
    pacs: PacsConfig | None = None


class TableDataset(Dataset, TextFormat, Filtered):
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


class SeriesDataset(Dataset, TextFormat, Filtered):
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


class ArrayDataset(Dataset):
    """An .npz file: images or volumes and labels (and patients), or MedMNIST's train_/val_/test_ arrays.

    Attributes:
        images: key of the images, [N, rows, columns] or [N, rows, columns, 3], or of the volumes,
            [N, depth, rows, columns] or [N, depth, rows, columns, 3]: the study's `depth` says which.
        labels: key of the labels, [N]: class numbers, or class names; of several findings [N, L]: 1, 0, and −1 for
            unknown.
        masks: key of the masks, [N, rows, columns] or [N, depth, rows, columns]: numbers of the study's structures, 0
            for none of them; only for studies that learn masks, which need no labels.
        points: key of the points, [N, P, 3], of volumes [N, P, 4]: of volumes the slice, then row and column (pixels,
            from the middle of the first) and diameter (pixels); rows that are no numbers are no points; only for
            studies that learn points.
        patients: key of the patients, [N]; where the file has none, every image is a patient.
        splits: of a file with splits, read these only.
        part: "i/n", the i-th of n equal parts of the patients (to cut one public file into sites).
        part_alpha: parts of unlike classes: each class's patients are shared out by a Dirichlet draw with this
            concentration (0.5: very unlike, 100: alike); none: equal parts.
        part_seed: of the public shuffle or draw.
    """

    kind: Literal["arrays"]
    images: str = "images"
    labels: str = "labels"
    masks: str = "masks"
    points: str = "points"
    patients: str = "patients"
    splits: tuple[Literal["train", "val", "test"], ...] | None = None
    part: str | None = Field(default=None, pattern=r"^[1-9][0-9]{0,5}/[1-9][0-9]{0,5}$")
    part_alpha: float | None = Field(default=None, ge=0.01, le=1e6)
    part_seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _inside(self) -> ArrayDataset:
        index, of = self.part_of
        if index > of:
            raise ValueError(f"part '{self.part}' is beyond the last of {of}")
        if self.part_alpha is not None and self.part is None:
            raise ValueError("part_alpha goes with part")
        return self

    @property
    def part_of(self) -> tuple[int, int]:
        """The part as (i, n), counted from 1."""
        index, of = (self.part or "1/1").split("/")
        return int(index), int(of)


OrdinaryDataset = Annotated[
    DicomDataset
    | TableDataset
    | SeriesDataset
    | ArrayDataset
    | SignalDataset
    | RecordDataset
    | MoleculeDataset,
    Field(discriminator="kind"),
]
"""What a fused data set is put together from."""


class FusedDataset(Held):
    """Data sets of the same patients, whom all of them call by the same identifier.

    Attributes:
        parts: by the study's name of a part, the data set; `declared_patients` and `population` stand here, not there.
        absent: parts of the study that this site does not have.
    """

    kind: Literal["fused"]
    parts: dict[str, OrdinaryDataset] = Field(min_length=1)
    absent: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_the_whole(cls, value: Any) -> Any:
        """Hand the declared number of patients to the parts."""
        if not isinstance(value, dict) or not isinstance(value.get("parts"), dict):
            return value
        stated = {"declared_patients": value.get("declared_patients", 1)}
        parts = {k: stated | v if isinstance(v, dict) else v for k, v in value["parts"].items()}
        return {**value, "parts": parts}

    @model_validator(mode="after")
    def _one_whole(self) -> FusedDataset:
        for name, part in self.parts.items():
            if (part.declared_patients, part.population) != (self.declared_patients, None):
                raise ValueError(
                    f"part '{name}': declared_patients and population stand beside the parts"
                )
            if name in self.absent:
                raise ValueError(f"part '{name}' is absent, and yet described")
        return self


DatasetConfig = Annotated[
    DicomDataset
    | TableDataset
    | SeriesDataset
    | ArrayDataset
    | SignalDataset
    | RecordDataset
    | EpisodeDataset
    | MoleculeDataset
    | FusedDataset,
    Field(discriminator="kind"),
]


def members(name: str, dataset: DatasetConfig) -> Mapping[str, Dataset]:
    """Return what a data set consists of, by name: the parts of a fused one, or itself."""
    if isinstance(dataset, FusedDataset):
        return {f"{name}.parts.{part}": each for part, each in dataset.parts.items()}
    return {name: dataset}
