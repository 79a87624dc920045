"""Collects the identifiers that a site's data sets hold, so that a scan can look for them elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client.data import tabular
from client.data.config import ArrayDataset, DatasetConfig, DicomDataset
from client.data.config_base import TextFormat
from client.data.dicom.opening import opened
from client.data.dicom.quiet import quiet
from client.data.dicom.unusable import Unusable
from client.data.files import Reader, unpack, walk
from client.guard.needles import Identifier
from common.errors import DataError

PATIENT = "patient id"
_TABLES = (".csv", ".tsv", ".txt", ".gz", ".parquet", ".pq", ".data")
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
        if isinstance(dataset, DicomDataset):
            yield from self._headers(dataset.path)
        elif isinstance(dataset, ArrayDataset):
            yield from self._arrays(dataset)
        else:
            yield from self._readings(dataset)
        for attribute in ("labels", "outcomes"):
            other = getattr(dataset, attribute, None)
            path = getattr(other, "path", other)
            if isinstance(path, Path) and isinstance(dataset, TextFormat):
                column = getattr(dataset, "patient", "<labels>")
                named = dataset.local("patient_id") if attribute == "labels" else column
                yield from self._column(path, dataset, named)

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
        column = getattr(dataset, "patient", None)
        for file in walk(dataset.path):
            if column in ("<file>", "<folder>"):
                place = Path(file.name)
                yield Identifier(PATIENT, place.stem if column == "<file>" else place.parent.name)
            elif column and column != "<labels>" and file.name.casefold().endswith(_TABLES):
                yield from self._column(Path(file.path), dataset, column)
        for join in getattr(dataset, "join", ()):
            if column:
                yield from self._column(join.path, dataset, column, needed=False)

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
        self.files += 1
        local = next((name for name in (column, text.local(column)) if name in frame), None)
        if local is not None:
            yield from (Identifier(PATIENT, str(value)) for value in frame[local].unique())
        elif needed:
            self.unread.append(f"{path}, column '{column}'")


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
