"""The short cut for files of one series: it says what the full reader says, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.data.dicom.header import read_slices
from client.data.dicom.quiet import quiet
from client.data.dicom.unusable import Unusable
from client.data.files import File
from client.data.index.alike import Alike, outline

Write = Callable[..., Any]
RAMP = (np.arange(64, dtype=np.uint16) * 30).reshape(8, 8)


def read(path: Path, modality: str = "CT") -> Any:
    """Read a file in full: the UID and the rows, or the reason."""
    file = File(path.name, str(path), path.stat().st_size, 0)
    try:
        with quiet(), path.open("rb") as stream:
            uid, slices = read_slices(file, stream, modality)
    except Unusable as reason:
        return str(reason)
    return uid, [found.to_row() for found in slices]


def by_likeness(path: Path, first: Path, modality: str = "CT") -> Any:
    """Read a file by its likeness to another one; None where there is none."""
    alike, content = Alike(), path.read_bytes()
    file = File(path.name, str(path), len(content), 0)
    other, mine = outline(first.read_bytes()), outline(content)
    if other is None or mine is None:
        return None
    try:
        with quiet(), first.open("rb") as stream:
            alike.keep(other, read_slices(file, stream, modality)[1], modality)
    except Unusable:
        return None
    found = alike.find(file, mine, len(content), modality)
    return None if found is None else (mine.uid, [found.to_row()])


def test_the_next_slice_is_found(write_ct: Write, tmp_path: Path) -> None:
    write_ct(tmp_path / "a", RAMP, "zz-1", z=0)
    write_ct(
        tmp_path / "b",
        RAMP + 1,
        "zz-1",
        z=-2.5,
        InstanceNumber=123456,
        StudyDescription="longer than before",
    )
    found = by_likeness(tmp_path / "b", tmp_path / "a")
    assert found is not None
    assert found == read(tmp_path / "b")


@pytest.mark.parametrize(
    "changes",
    [
        {"PixelSpacing": [1, 2]},
        {"RescaleSlope": 2},
        {"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]},
        {"Modality": "MR"},
        {"PatientID": "zz-2"},
        {"SpecificCharacterSet": "ISO_IR 192"},
        {"InstanceNumber": None},
        {"ImagePositionPatient": [0, 0]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"BitsStored": 12, "HighBit": 11},
        {"AcquisitionNumber": 2},
        {"WindowCenter": 40, "WindowWidth": 400},
    ],
)
def test_any_other_difference_is_for_the_full_reader(
    write_ct: Write, tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_ct(tmp_path / "a", RAMP, "zz-1", z=0)
    write_ct(tmp_path / "b", RAMP, "zz-1", z=1, **changes)
    assert by_likeness(tmp_path / "b", tmp_path / "a") is None


def test_a_truncated_file_is_for_the_full_reader(write_ct: Write, tmp_path: Path) -> None:
    write_ct(tmp_path / "a", RAMP, "zz-1", z=0)
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes()[:-20])
    assert by_likeness(tmp_path / "b", tmp_path / "a") is None
    assert read(tmp_path / "b") == "truncated"


def test_real_files(shared: Path) -> None:
    """Whatever is found by likeness among all real files is what the full reader finds."""
    found = 0
    for folder in sorted(path for path in (shared / "dicom").iterdir() if path.is_dir()):
        paths = [path for path in sorted(folder.iterdir()) if path.stat().st_size < 1 << 20]
        for first, path in pairwise(paths):
            for modality in ("CT", "MR"):
                got = by_likeness(path, first, modality)
                if got is not None:
                    assert got == read(path, modality)
                    found += 1
    assert found
