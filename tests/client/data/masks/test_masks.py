"""SEG, RTSTRUCT and NIfTI as regions of the body: real files, drawn shapes, and crops round them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_kinds import contours, nifti, save
from pydicom.dataset import Dataset

from client.data import masks
from client.data.cohort import Cohort
from client.data.dicom.header import read_slices
from client.data.dicom.quiet import quiet
from client.data.dicom.slices import Slice
from client.data.dicom.unusable import Unusable
from client.data.files import Reader, walk
from client.data.quarantine import QuarantineLog

Build = Callable[..., Cohort]
Write = Callable[..., pydicom.FileDataset]


def read(path: Path) -> list[masks.Mask]:
    with quiet(), Reader() as reader:
        return masks.read(next(walk(path)), reader)


def ct_slice(path: Path) -> Slice:
    file = next(walk(path))
    with quiet(), open(path, "rb") as stream:
        return read_slices(file, stream, "CT")[1][0]


@pytest.mark.parametrize("form", ["seg_dcmqi/liver.dcm", "multiframe/liver_rle.dcm"])
def test_a_real_segmentation_lies_on_its_ct(shared: Path, form: str) -> None:
    """Every pixel agrees with what pydicom reads, frame by frame."""
    (liver,) = read(shared / "dicom" / form)
    truth = pydicom.dcmread(shared / "dicom" / "seg_dcmqi" / "liver.dcm")
    places = {
        float(group.PlanePositionSequence[0].ImagePositionPatient[2]): number
        for number, group in enumerate(truth.PerFrameFunctionalGroupsSequence)
    }
    for number in (1, 2, 3):
        found = ct_slice(shared / "dicom" / "seg_dcmqi" / f"ct-3slice_0{number}.dcm")
        assert found.geometry is not None
        drawn = masks.on_slice(liver.region, found)
        depth = float(found.geometry.position[2])
        frame = places[min(places, key=lambda z: abs(z - depth))]
        np.testing.assert_array_equal(drawn, truth.pixel_array[frame] != 0)
    assert (liver.patients, liver.name) == (("99000",), "Liver")


def test_overlapping_segments_are_structures_of_their_own(shared: Path) -> None:
    found = read(shared / "dicom" / "seg_dcmqi" / "partial_overlaps.dcm")
    assert [mask.name for mask in found] == ["GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE"]


def square(low: float, high: float, z: float) -> list[list[float]]:
    return [[low, low, z], [high, low, z], [high, high, z], [low, high, z]]


def test_contours_with_a_hole(tmp_path: Path) -> None:
    drawn = [square(0, 10, z) for z in (0, 3, 6)] + [square(4, 6, 3)]
    (mask,) = read(save(contours("a", "GTV", drawn), tmp_path / "rt.dcm"))
    points = [[5, 5, 0], [5, 5, 3], [1, 5, 3], [5, 5, 1.4], [5, 5, 8], [11, 5, 0], [5, 5, -1.4]]
    inside = mask.region.covers(np.array(points, dtype=float))
    assert inside.tolist() == [True, False, True, True, False, False, True]
    np.testing.assert_allclose(mask.region.middle(), [5, 5, 3], atol=1e-6)
    assert mask.name == "GTV"


def test_contours_that_are_not_flat_are_refused(tmp_path: Path) -> None:
    crooked = [[0, 0, 0], [9, 0, 0], [9, 9, 5], [0, 9, 0]]
    with pytest.raises(Unusable, match="not flat"):
        read(save(contours("a", "GTV", [crooked]), tmp_path / "rt.dcm"))


@pytest.mark.parametrize("packed", [False, True])
def test_a_nifti_mask(tmp_path: Path, packed: bool) -> None:
    voxels = np.zeros((10, 8, 6), np.uint8)
    voxels[2:5, 3:6, 1:3] = 7
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    affine[:3, 3] = [-30, 20, 100]
    path = nifti(tmp_path / "patient-1" / "mask.nii", voxels, affine)
    if packed:
        path.with_suffix(".nii.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_suffix(".nii.gz")
    log = QuarantineLog()
    found = [m for m in masks.masks_in(tmp_path, log) if m.name == "7"]
    assert len(found) == 1 + packed
    assert found[0].patients == ("mask", "patient-1")
    middle = [-30 + 2 * 3, 20 + 2 * 4, 100 + 5 * 1.5]
    np.testing.assert_allclose(found[0].region.middle(), [-middle[0], -middle[1], middle[2]])
    point = np.array([middle, [0, 0, 0]]) * [-1, -1, 1]
    assert found[0].region.covers(point).tolist() == [True, False]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unusable, match=r"damaged NIfTI|truncated"):
        read(path)


def test_crops_lie_round_the_structure(build: Build, write_ct: Write, tmp_path: Path) -> None:
    """Patient a has contours, b a NIfTI mask in a folder of its name, c none."""
    for patient in "abc":
        for z in (0, 3, 6):
            image = np.full((32, 32), 1024, np.uint16)
            image[19:22, 9:12] = 2024 if z == 3 else 1024
            write_ct(tmp_path / f"d/{patient}{z}", image, patient, z=z)
    corners = [[8.5, 18.5, 3], [11.5, 18.5, 3], [11.5, 21.5, 3], [8.5, 21.5, 3]]
    save(contours("a", "Nodule ", [corners]), tmp_path / "m/rt.dcm")
    voxels = np.zeros((32, 32, 3), np.uint8)
    voxels[9:12, 19:22, 1] = 2
    affine = np.diag([-1.0, -1.0, 3.0, 1.0])
    nifti(tmp_path / "m/b/seg.nii", voxels, affine)
    nifti(tmp_path / "m/b/other.nii", voxels // 2 * 5, affine)
    (tmp_path / "m/notes.txt").write_text("b")
    (tmp_path / "l.csv").write_text("patient_id,label\na,x\nb,x\nc,y\n")
    site = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\nmasks = "m"\n'
    spec: dict[str, Any] = {
        "kind": "dicom", "image_size": 5, "centre": "mask", "structure": "nodule", "slices": 1,
        "spacing_mm": 1.0, "window_centre": 0, "window_width": 4000,
    }  # fmt: skip
    one = build(site, spec, ["x", "y"])
    np.testing.assert_allclose(one.inputs[0, 0, 1:4, 1:4] * 2000, 1000, atol=1)
    assert one.inputs[0, 0, 0, 0] == 0
    assert one.quarantine.counts == {
        "not DICOM": 1,
        "patient without the structure in the masks": 2,
    }
    other = build(site + 'structures = {nodule = "2"}\n', spec, ["x", "y"])
    np.testing.assert_allclose(other.inputs[0], one.inputs[0], atol=1e-3)
    with pytest.raises(Exception, match="has no masks"):
        build(site.replace('masks = "m"\n', ""), spec, ["x", "y"])


def test_damaged_masks_have_reasons(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "dicom" / "seg_dcmqi" / "23x38x3_seg_label.seg.dcm").read_bytes()
    for number, cut in enumerate(range(200, len(whole), 150)):
        (tmp_path / f"{number}.dcm").write_bytes(whole[:cut])
    log = QuarantineLog()
    assert not list(masks.masks_in(tmp_path, log))
    assert log.result().total == number + 1
    empty = Dataset()
    empty.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    (tmp_path / "x").write_bytes(b"\x08\x00")
    with pytest.raises(Unusable):
        read(tmp_path / "x")
