"""Collects the identifiers that a site's data sets hold, so that a scan can look for them elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from client.data import tabular
from client.data.config import ArrayDataset, DatasetConfig, DicomDataset, members
from client.data.config_base import Dataset, TextFormat
from client.data.dicom.opening import opened
from client.data.dicom.quiet import quiet
from client.data.dicom.unusable import Unusable
from client.data.files import File, Reader, unpack, walk
from client.data.readings import read_file
from client.data.records.config import RecordDataset
from client.guard.needles import Identifier
from common.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

PATIENT = "patient id"
_READ = (".csv", ".tsv", ".txt", ".gz", ".parquet", ".pq", ".data", ".hea", ".edf", ".bdf", ".rec")
_HEADER = {
    "PatientID": PATIENT,
    "OtherPatientIDs": PATIENT,
    "PatientName": "patient name",
    "PatientBirthDate": "birth date",
    "AccessionNumber": "accession number",
    "StudyInstanceUID": "UID",
    "SeriesInstanceUID": "UID",
    "SOPInstanceUID": "UID",
}


class Collector:
    """Reads data sets for the identifiers in them.

    Attributes:
        files: read.
        unread: tables that could not be read, so that their patients are not looked for.
    """

    def __init__(self) -> None:
        self.files = 0
        self.unread: list[str] = []

    def of(self, dataset: DatasetConfig) -> Iterator[Identifier]:
        """Yield the identifiers of a data set."""
        for each in members("", dataset).values():
            yield from self._of(each)

    def _of(self, dataset: Dataset) -> Iterator[Identifier]:
        if isinstance(dataset, DicomDataset):
            yield from self._headers(dataset.path)
        elif isinstance(dataset, ArrayDataset):
            yield from self._arrays(dataset)
        elif isinstance(dataset, RecordDataset):
            yield from self._records(dataset)
        else:
            yield from self._readings(dataset)
        labels = getattr(dataset, "labels", None)
        if isinstance(labels, Path) and isinstance(dataset, TextFormat):
            yield from self._column(labels, dataset, dataset.local("patient_id"))

    def _records(self, dataset: RecordDataset) -> Iterator[Identifier]:
        """Read patients and stays from the outcomes; the readings name stays only."""
        text = dataset.model_copy(update={"header": None})
        for column in (dataset.patient, dataset.record):
            yield from self._column(dataset.outcomes, text, column)

    def _headers(self, root: Path) -> Iterator[Identifier]:
        with quiet(), Reader() as reader:
            for file in unpack(walk(root)):
                try:
                    with opened(file, reader) as stream:
                        found = _header(stream)
                except (OSError, Unusable):
                    continue  # what cannot be read by anybody is not looked for
                self.files += 1
                yield from found

    def _arrays(self, dataset: ArrayDataset) -> Iterator[Identifier]:
        import numpy as np

        try:
            with np.load(dataset.path, allow_pickle=False) as arrays:
                if dataset.patients in arrays:
                    yield from (
                        Identifier(PATIENT, str(x)) for x in set(arrays[dataset.patients].tolist())
                    )
            self.files += 1
        except (OSError, ValueError):
            self.unread.append(str(dataset.path))

    def _readings(self, dataset: Any) -> Iterator[Identifier]:
        """Read tables with a column of patients, or files and folders named after them."""
        column = dataset.patient
        if column in (None, "<labels>"):
            return
        with Reader() as reader:
            for file in unpack(walk(dataset.path)):
                single = file.member is None and file.path == str(dataset.path)
                if not single and not file.name.casefold().endswith(_READ):
                    continue
                if column in ("<file>", "<folder>"):
                    self.files += 1
                    yield Identifier(PATIENT, _named(file.name, column))
                else:
                    yield from self._patients(file, reader, dataset, column)
        for join in getattr(dataset, "join", ()):
            yield from self._column(join.path, dataset, column, needed=False)

    def _patients(
        self, file: File, reader: Reader, text: TextFormat, column: str
    ) -> Iterator[Identifier]:
        wanted = {column, text.local(column)}
        try:
            frame = read_file(file, reader, text, wanted, where=file.path)
        except (DataError, OSError):
            self.unread.append(file.path)
            return
        yield from self._values_of(frame, text, column, file.path, needed=True)

    def _column(
        self, path: Path, text: TextFormat, column: str | None, *, needed: bool = True
    ) -> Iterator[Identifier]:
        if column is None:
            return
        try:
            frame = tabular.read_table(path, text)
        except DataError:
            self.unread.append(str(path))
            return
        yield from self._values_of(frame, text, column, str(path), needed=needed)

    def _values_of(
        self, frame: pd.DataFrame, text: TextFormat, column: str, where: str, *, needed: bool
    ) -> Iterator[Identifier]:
        self.files += 1
        local = next((name for name in (column, text.local(column)) if name in frame), None)
        if local is not None:
            yield from (Identifier(PATIENT, str(value)) for value in frame[local].unique())
        elif needed:
            self.unread.append(f"{where}, column '{column}'")


def _named(name: str, after: str) -> str:
    """Return the patient after whom a file or its folder is called."""
    path = PurePosixPath(name.removesuffix(".gz"))
    return path.stem if after == "<file>" else path.parent.name


def _header(stream: Any) -> list[Identifier]:
    from pydicom.filereader import dcmread

    try:
        header = dcmread(stream, stop_before_pixels=True, specific_tags=list(_HEADER), force=True)
        return [made for word, kind in _HEADER.items() for made in _values(kind, header.get(word))]
    except Exception:  # pydicom raises many kinds on damaged files
        return []


def _values(kind: str, value: Any) -> list[Identifier]:
    many = value if isinstance(value, list | tuple) or _is_multiple(value) else [value]
    found: list[Identifier] = []
    for each in many:
        text = str(each or "").strip()
        if not text:
            continue
        found.append(Identifier(kind, text))
        if kind == "patient name":
            found += [Identifier(kind, form) for form in _spoken(text)]
        if kind == "birth date" and len(text) == 8:
            found.append(Identifier(kind, f"{text[:4]}-{text[4:6]}-{text[6:]}"))
    return found


def _is_multiple(value: Any) -> bool:
    from pydicom.multival import MultiValue

    return isinstance(value, MultiValue)


def _spoken(name: str) -> list[str]:
    """Return a name as people write it: "Meier, Anna" and "Anna Meier"."""
    parts = [part for part in name.split("=")[0].split("^") if part]
    return [f"{parts[0]}, {parts[1]}", f"{parts[1]} {parts[0]}"] if len(parts) > 1 else []
