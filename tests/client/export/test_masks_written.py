"""Masks written as DICOM SEG and NIfTI lie where they were drawn, for our own reader and for others."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from client.data.dicom.header import read_slices
from client.data.files import Reader, walk
from client.data.masks import on_slice, read
from client.export.dicom_seg import Author, write_seg
from client.export.nifti import affine_of, write_nifti
from common.errors import DataError
from simulations.hospitals.ct_file import Series, write_series
from simulations.hospitals.scanner import SCANNERS

STRUCTURES = ("left lung", "nodule")
SLICES, SIDE = 4, 24


@pytest.fixture
def scan(tmp_path: Path) -> list[Path]:
    """A small series, feet first."""
    series = Series("x", "P1", "F", 60, (-31.5, 20.25, -112.0), 1.5, 2.5)
    volume = np.random.default_rng(1).normal(0, 50, (SLICES, SIDE, SIDE)).astype(np.float32)
    paths = [tmp_path / f"{number}.dcm" for number in range(SLICES)]
    write_series(series, volume, SCANNERS[0], paths)
    return paths


@pytest.fixture
def masks() -> np.ndarray:
    """Two structures; nothing in the last slice."""
    drawn = np.zeros((SLICES, SIDE, SIDE), dtype=np.uint8)
    drawn[0:3, 2:9, 14:20] = 1
    drawn[1, 4:6, 15:17] = 2
    return drawn


def headers(paths: list[Path]) -> list[Dataset]:
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]


@pytest.mark.parametrize("name", ["P1.dcm", "P1.nii.gz", "P1.nii"])
def test_our_reader_finds_every_pixel(
    tmp_path: Path, scan: list[Path], masks: np.ndarray, name: str
) -> None:
    file = tmp_path / name
    if name.endswith("dcm"):
        write_seg(file, headers(scan), masks, STRUCTURES, Author("unet", "1"))
    else:
        write_nifti(file, headers(scan), masks)
    with Reader() as reader:
        found = read(next(walk(file)), reader)
    assert [mask.patients[0] for mask in found] == ["P1", "P1"]
    assert [mask.name for mask in found] == (list(STRUCTURES) if ".dcm" in name else ["1", "2"])
    for path, drawn in zip(scan, masks, strict=True):
        with path.open("rb") as stream:
            own = read_slices(next(walk(path)), stream, "CT")[1][0]
        for number, mask in enumerate(found, start=1):
            np.testing.assert_array_equal(on_slice(mask.region, own), drawn == number)


def test_the_segmentation_belongs_to_its_images(
    tmp_path: Path, scan: list[Path], masks: np.ndarray
) -> None:
    images = headers(scan)
    write_seg(tmp_path / "s.dcm", images, masks, STRUCTURES, Author("unet of a study", "0.1"))
    made = pydicom.dcmread(tmp_path / "s.dcm")
    assert made.StudyInstanceUID == images[0].StudyInstanceUID
    assert made.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    assert made.SeriesInstanceUID != images[0].SeriesInstanceUID
    assert made.pixel_array.shape == (4, SIDE, SIDE), "three of the one, one of the other"
    (first, second) = made.SegmentSequence
    assert (first.SegmentLabel, second.SegmentLabel) == STRUCTURES
    assert first.SegmentAlgorithmType == "AUTOMATIC"
    assert first.SegmentAlgorithmName == "unet of a study"
    referenced = {str(i.ReferencedSOPInstanceUID) for i in _instances(made)}
    assert referenced == {str(image.SOPInstanceUID) for image in images}


def _instances(made: Dataset) -> list[Dataset]:
    return list(made.ReferencedSeriesSequence[0].ReferencedInstanceSequence)


def test_nobody_drew_by_hand_unless_it_is_said(
    tmp_path: Path, scan: list[Path], masks: np.ndarray
) -> None:
    file = tmp_path / "s.dcm"
    write_seg(file, headers(scan), masks, STRUCTURES, Author("reader", "1", by_hand=True))
    assert pydicom.dcmread(file).SegmentSequence[0].SegmentAlgorithmType == "MANUAL"


def test_nifti_points_to_the_same_places(scan: list[Path], tmp_path: Path) -> None:
    images = headers(scan)
    write_nifti(tmp_path / "m.nii.gz", images, np.zeros((SLICES, SIDE, SIDE), np.uint8))
    affine = nibabel.load(tmp_path / "m.nii.gz").affine
    x, y, z = images[2].ImagePositionPatient
    right_front_head = affine @ [3, 5, 2, 1]
    np.testing.assert_allclose(right_front_head[:3], [-(x + 4.5), -(y + 7.5), z], atol=1e-4)


def test_the_same_mask_gives_the_same_file(
    tmp_path: Path, scan: list[Path], masks: np.ndarray
) -> None:
    files = [tmp_path / name / "P1.nii.gz" for name in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        write_nifti(file, headers(scan), masks)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_slices_that_nifti_cannot_say_are_refused(scan: list[Path]) -> None:
    images = headers(scan)
    with pytest.raises(DataError, match="not evenly spaced"):
        affine_of([images[0], images[1], images[3]])
    del images[1].ImagePositionPatient
    with pytest.raises(DataError, match="where they lie"):
        affine_of(images)
