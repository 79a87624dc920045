"""Sex and age of patients from the headers of their DICOM files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

import pandas as pd
from pydicom.dataset import Dataset

from client.data.dicom.elements import read_elements, tags
from client.data.dicom.quiet import quiet
from client.data.dicom.unusable import Unusable
from client.data.files import Reader
from client.data.index.archive import Archive

COLUMNS = ("sex", "age")
TAGS = tags("PatientSex PatientAge PatientBirthDate StudyDate")
_AGE = re.compile(r"(\d{1,4})([DWMY])")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def header_values(archive: Archive, column: str, patients: Sequence[str]) -> pd.Series[str]:
    """Return a column's value of every patient, from the first of the patient's files; "" where it is not known.

    Args:
        archive: the data set's index.
        column: `sex`, or `age` in years at the study: as stated, else from birth date and study date.
        patients: identifiers.
    """
    with Reader() as reader, quiet():
        found = [_value(archive, reader, column, patient) for patient in patients]
    return pd.Series(found, index=list(patients), dtype=str)


def _value(archive: Archive, reader: Reader, column: str, patient: str) -> str:
    slices = archive.slices(patient)
    if not slices:
        return ""
    try:
        with reader.open(slices[0].file) as stream:
            header, _ = read_elements(stream, TAGS)
        return _sex(header) if column == "sex" else _age(header)
    except (OSError, Unusable, ValueError, TypeError):  # a damaged value is not known
        return ""


def _sex(header: Dataset) -> str:
    return str(header.get("PatientSex") or "").strip(" \0")


def _age(header: Dataset) -> str:
    stated = _AGE.fullmatch(str(header.get("PatientAge") or "").strip(" \0").upper())
    if stated:
        return str(int(stated[1]) * _YEARS[stated[2]])
    born, seen = (_day(header, name) for name in ("PatientBirthDate", "StudyDate"))
    return "" if born is None or seen is None else str((seen - born).days / 365.25)


def _day(header: Dataset, name: str) -> date | None:
    text = str(header.get(name) or "").strip(" \0")
    return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) == 8 else None
