"""Reads one file, takes the identity out, and writes the copy, named by pseudonyms only."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from pydicom import FileDataset, dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID

from client.data.deidentify.burnt_in import Risk, burnt_in
from client.data.deidentify.dataset import Deidentifier
from client.data.dicom.quiet import quiet
from client.data.dicom.unusable import Unusable
from client.guard.pseudonyms import Pseudonyms
from common.files import write_atomically


class Writer:
    """Writes copies below a folder: patient, series, image.

    Args:
        folder: where to.
        names: the site's pseudonyms.
        cleaner: takes the identity out.
        allow_possible: write images into which text may be burnt, too.

    Attributes:
        doubtful: copies of images into which text may be burnt.
        patients: pseudonym of every patient who has a copy, by identifier.
    """

    def __init__(
        self, folder: Path, names: Pseudonyms, cleaner: Deidentifier, *, allow_possible: bool
    ) -> None:
        self.doubtful = 0
        self.patients: dict[str, str] = {}
        self._folder = folder
        self._names = names
        self._cleaner = cleaner
        self._allow_possible = allow_possible
        self._written: set[Path] = set()

    def copy(self, stream: IO[bytes]) -> None:
        """Write the copy of one file.

        Raises:
            Unusable: no copy is written; the message is the reason and names nobody.
            MachineError: the disk is full or may not be written.
        """
        with quiet():
            dataset = _read(stream)
            risk = burnt_in(dataset)
            if risk not in (Risk.NONE, Risk.POSSIBLE):
                raise Unusable(risk.value)
            if risk is Risk.POSSIBLE and not self._allow_possible:
                raise Unusable(risk.value)
            patient, place = self._place(dataset)
            content = self._cleaned(dataset)
        if place in self._written:
            raise Unusable("duplicate")
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(place, content)
        self._written.add(place)
        self.doubtful += risk is Risk.POSSIBLE
        self.patients[patient] = self._names.patient(patient)

    @property
    def written(self) -> int:
        """Copies written."""
        return len(self._written)

    def _place(self, dataset: Dataset) -> tuple[str, Path]:
        patient = str(dataset.get("PatientID") or "").strip()
        instance = str(dataset.get("SOPInstanceUID") or "")
        if not patient or not instance:
            raise Unusable("no patient id" if instance else "no instance UID")
        series = self._names.name("series", str(dataset.get("SeriesInstanceUID") or ""))
        name = f"{self._names.name('instance', instance)}.dcm"
        return patient, self._folder / self._names.patient(patient) / series / name

    def _cleaned(self, dataset: FileDataset) -> bytes:
        """Return the copy's bytes; nothing of the original's preamble and file header but syntax and class."""
        try:
            syntax = dataset.file_meta.TransferSyntaxUID
            self._cleaner.clean(dataset)
            meta = FileMetaDataset()
            meta.TransferSyntaxUID = syntax
            meta.MediaStorageSOPClassUID = dataset.SOPClassUID
            meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
            dataset.file_meta = meta
            dataset.preamble = b"\0" * 128
            made = io.BytesIO()
            dataset.save_as(made, enforce_file_format=True)
        except Exception:  # whatever pydicom raises when it converts a damaged value
            raise Unusable("damaged header") from None
        return made.getvalue()


def _read(stream: IO[bytes]) -> FileDataset:
    start = stream.read(132)
    stream.seek(0)
    if start[128:] != b"DICM":
        raise Unusable("not DICOM")
    try:
        dataset = dcmread(stream)
        dataset.file_meta.TransferSyntaxUID  # noqa: B018 - a copy cannot be written without it
    except Exception:  # pydicom raises many kinds on damaged files
        raise Unusable("damaged header") from None
    return dataset
