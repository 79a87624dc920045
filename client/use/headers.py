"""Reads again the headers of the images that a prediction is about: results repeat whose they are."""

from __future__ import annotations

from collections.abc import Iterable

import pydicom
from pydicom.dataset import Dataset

from client.data.dicom.cut import Cut
from client.data.dicom.opening import opened
from client.data.dicom.slices import Slice
from client.data.files import Reader

EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
"""What every object must have, be it empty; files that went through other hands lack some of it."""


def slices_of(cuts: Iterable[Cut]) -> list[Slice]:
    """Return the slices that samples are made of, each once."""
    found = {
        (part.slice.file.name, part.slice.frame): part.slice
        for cut in cuts
        for layer in cut.layers
        for part in layer.parts
    }
    return list(found.values())


def headers_of(slices: Iterable[Slice]) -> list[Dataset]:
    """Return the header of every slice's file, in order, with what is missing and may be empty put in empty.

    Raises:
        OSError: a file cannot be read any more.
        Unusable: a packed one has become too large.
    """
    headers: list[Dataset] = []
    with Reader() as reader:
        for found in slices:
            with opened(found.file, reader) as stream:
                headers.append(pydicom.dcmread(stream, stop_before_pixels=True, force=True))
    for header in headers:
        for keyword in EMPTY:
            if keyword not in header:
                setattr(header, keyword, "")
    return headers
