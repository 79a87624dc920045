"""Reads segmentations, whatever their format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from client.data.dicom.elements import read_elements, tags
from client.data.dicom.opening import opened
from client.data.dicom.quiet import quiet
from client.data.dicom.unusable import Unusable
from client.data.files import File, Reader, unpack, walk
from client.data.masks.nifti import read_nifti
from client.data.masks.regions import Mask
from client.data.masks.rtstruct import TAGS as CONTOUR_TAGS
from client.data.masks.rtstruct import read_rtstruct
from client.data.masks.seg import TAGS as SEGMENT_TAGS
from client.data.masks.seg import read_seg
from client.data.quarantine import QuarantineLog
from common.errors import DataError

_TAGS = tags("SOPClassUID Modality PatientID") + SEGMENT_TAGS + CONTOUR_TAGS
_NIFTI = (".nii", ".nii.gz")


def read(file: File, reader: Reader) -> list[Mask]:
    """Return the structures of one DICOM SEG, RTSTRUCT or NIfTI file.

    Raises:
        Unusable: it holds none, or cannot be read; the message is the reason.
        OSError: the file cannot be read.
    """
    suffix = next((s for s in _NIFTI if file.name.casefold().endswith(s)), "")
    try:
        if suffix:
            with reader.open(file) as stream:
                return read_nifti(stream, _patients(file.name[: -len(suffix)]))
        return _read_dicom(file, reader)
    except (Unusable, OSError):
        raise
    except Exception:  # whatever pydicom raises when it converts a damaged value
        raise Unusable("damaged mask") from None


def _patients(name: str) -> tuple[str, ...]:
    """Return whom a file may be of: what its name says, and its folder's."""
    return tuple(name.split("/")[:-3:-1])


def _read_dicom(file: File, reader: Reader) -> list[Mask]:
    with opened(file, reader) as stream:
        header, pixels = read_elements(stream, _TAGS)
        patient = str(header.get("PatientID") or "").strip(" \0\t\r\n")
        if not patient:
            raise Unusable("no patient id")
        kind = str(header.get("Modality") or "").strip().upper()
        if kind == "SEG":
            return read_seg(header, pixels, stream, patient)
        if kind == "RTSTRUCT":
            return read_rtstruct(header, patient)
    raise Unusable("no segmentation")


def masks_in(path: Path, log: QuarantineLog) -> Iterator[Mask]:
    """Yield the structures of every file of a folder (or .zip), file by file.

    Args:
        path: where the segmentations are.
        log: what is left out, and why.

    Raises:
        DataError: there is no such folder.
    """
    if not path.exists():
        raise DataError("There is no such folder.", where=str(path), fix="Correct the path.")
    with quiet(), Reader() as reader:
        for file in unpack(walk(path, log.add), log.add):
            try:
                yield from read(file, reader)
            except Unusable as reason:
                log.add(file.name, str(reason))
            except OSError:
                log.add(file.name, "cannot be read")
