"""Masks as targets: on the image's own grid, whatever the format of the mask and the shape of the sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_kinds import contours, item, items, nifti, save
from pydicom.uid import generate_uid

from client.data.cohort import Cohort
from common.errors import DataError

Build = Callable[..., Cohort]
Write = Callable[..., pydicom.FileDataset]
SITE = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\nmasks = "m"\n'
SPEC: dict[str, Any] = {
    "kind": "dicom", "image_size": 24, "window_centre": 0, "window_width": 2000, "labels": "mask",
    "structures": ["nodule"],
}  # fmt: skip
NUMBERED = SITE + 'structures = {nodule = "2", lung = "1"}\n'
BLOB = (slice(3, 7), slice(9, 15), slice(4, 12))  # slices, rows, columns
SHAPE = (10, 20, 18)
GAP = 2.0
TURNED = [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]


def site(
    tmp_path: Path,
    write_ct: Write,
    patients: str = "a",
    axes: list[float] | None = None,
    **extra: Any,
) -> None:
    """Write a series of each patient with a bright blob, and labels that only say who takes part."""
    axes = axes or [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    normal = np.cross(axes[:3], axes[3:])
    volume = np.full(SHAPE, 24, np.uint16)
    volume[BLOB] = 2024
    for patient in patients:
        for number, image in enumerate(volume):
            place = (np.array([-5.0, 7.0, 30.0]) + number * GAP * normal).tolist()
            changes = {"ImagePositionPatient": place, "ImageOrientationPatient": axes, **extra}
            write_ct(tmp_path / f"d/{patient}{number}", image, patient, z=number, **changes)
    (tmp_path / "l.csv").write_text("\n".join(["patient_id", *patients]))


def numbered(tmp_path: Path, patient: str, value: int = 2, axes: list[float] | None = None) -> Path:
    """Write the blob as a NIfTI mask on the grid of the images."""
    axes = axes or [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    voxels = np.zeros(SHAPE[::-1], np.uint8)
    voxels[BLOB[::-1]] = value
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = axes[:3], axes[3:], GAP * np.cross(axes[:3], axes[3:])
    lps[:3, 3] = [-5.0, 7.0, 30.0]
    return nifti(tmp_path / f"m/{patient}.nii", voxels, np.diag([-1, -1, 1, 1]) @ lps)


def drawn(frame: str = "", name: str = "nodule", grow: float = 0.5) -> pydicom.FileDataset:
    """The blob as contours."""
    low = (BLOB[2].start - 5.0 - grow, BLOB[1].start + 7.0 - grow)
    high = (BLOB[2].stop - 6.0 + grow, BLOB[1].stop + 6.0 + grow)
    lines = []
    for number in range(BLOB[0].start, BLOB[0].stop):
        z = 30.0 + GAP * number
        lines.append([[x, y, z] for x, y in zip(
            [low[0], high[0], high[0], low[0]], [low[1], low[1], high[1], high[1]], strict=True)])  # fmt: skip
    made = contours("a", name, lines)
    if frame:
        made.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = frame
    return made


def bright(cohort: Cohort, channel: int = 0) -> np.ndarray:
    """Where the blob is in the pictures."""
    return cohort.inputs[:, channel] > 0.0


@pytest.mark.parametrize("axes", [None, TURNED])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"planes": 3},
        {"depth": 12},
        {"depth": 5, "image_size": [9, 7]},
        {"spacing_mm": 0.5, "image_size": [44, 38]},
        {"spacing_mm": 3.0},
        {"spacing_mm": 1.0, "depth": 24, "slice_spacing_mm": 0.9},
        {"depth": 6, "slice_spacing_mm": 5.0, "spacing_mm": 1.0},
        {"planes": 3, "slice_spacing_mm": 0.9, "spacing_mm": 1.0},
        {"plane": True, "depth": 10},
        {"plane": True, "steps": ["flip", {"name": "crop", "size_px": 16}]},
        {"centre": "mask", "structure": "nodule", "image_size": [8, 10], "depth": 6},
    ],
)
def test_the_mask_lies_where_the_structure_is(
    build: Build, write_ct: Write, tmp_path: Path, changes: dict[str, Any], axes: list[float] | None
) -> None:
    site(tmp_path, write_ct, axes=axes)
    numbered(tmp_path, "a", axes=axes)
    if "plane" in changes:
        changes = {**changes, "plane": "sagittal" if axes else "axial"}
    cohort = build(NUMBERED, {**SPEC, **changes})
    seen = bright(cohort, changes.get("planes", 1) // 2)
    assert cohort.targets.dtype == np.uint8
    assert cohort.targets.shape == seen.shape
    assert cohort.targets.max() == 1
    wrong = (cohort.targets == 1) != seen
    coarse = max(changes.get("spacing_mm", 0), changes.get("slice_spacing_mm", 0)) > 2.0
    assert wrong.sum() <= (0.5 if coarse else 0.0) * seen.sum()
    inner = np.argwhere(seen).mean(axis=0)
    np.testing.assert_allclose(np.argwhere(cohort.targets).mean(axis=0), inner, atol=0.51)


def test_all_formats_draw_the_same(build: Build, write_ct: Write, tmp_path: Path) -> None:
    site(tmp_path, write_ct)
    numbered(tmp_path, "a")
    one = build(NUMBERED, SPEC)
    (tmp_path / "m/a.nii").unlink()
    save(drawn(), tmp_path / "m/rt.dcm")
    other = build(SITE, SPEC)
    np.testing.assert_array_equal(one.targets, other.targets)
    assert int(one.targets.sum()) == 4 * 6 * 8


def test_a_real_segmentation(shared: Path, build: Build, tmp_path: Path) -> None:
    """The liver of three CT slices, pixel by pixel."""
    folder = shared / "dicom" / "seg_dcmqi"
    truth = pydicom.dcmread(folder / "liver.dcm")
    (tmp_path / "l.csv").write_text("patient_id\n99000\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "m").mkdir()
    for number in (1, 2, 3):
        name = f"ct-3slice_0{number}.dcm"
        (tmp_path / "d" / name).symlink_to(folder / name)
    (tmp_path / "m/liver.dcm").symlink_to(folder / "liver.dcm")
    spec = {**SPEC, "image_size": [truth.Rows, truth.Columns], "structures": ["liver"]}
    cohort = build(SITE, spec)
    assert cohort.samples == 3
    frames = [(frame != 0).sum() for frame in truth.pixel_array]
    assert sorted(int(mask.sum()) for mask in cohort.targets) == sorted(frames)


def test_numbers_and_overlaps(build: Build, write_ct: Write, tmp_path: Path) -> None:
    """Where two structures overlap the later one stands; several files of one structure add up."""
    site(tmp_path, write_ct)
    numbered(tmp_path, "a/x", value=2)
    voxels = np.ones(SHAPE[::-1], np.uint8)
    voxels[:, :, 0] = 0
    affine = np.diag([-1.0, -1.0, GAP, 1.0])
    affine[:3, 3] = [5.0, -7.0, 30.0]
    nifti(tmp_path / "m/a/y.nii", voxels, affine)
    both = build(NUMBERED, {**SPEC, "structures": ["lung", "nodule"]}).targets
    assert np.bincount(both.ravel()).tolist()[1:] == [9 * 20 * 18 - 4 * 6 * 8, 4 * 6 * 8]
    turned = build(NUMBERED, {**SPEC, "structures": ["nodule", "lung"]}).targets
    assert np.bincount(turned.ravel()).tolist()[1:] == [0, 9 * 20 * 18]


def test_who_has_no_mask_is_left_out(build: Build, write_ct: Write, tmp_path: Path) -> None:
    """An empty mask says that there is nothing; no mask, or one of something else, says nothing."""
    site(tmp_path, write_ct, "abcd")
    numbered(tmp_path, "a")
    numbered(tmp_path, "b", value=0)
    numbered(tmp_path, "c", value=7)
    cohort = build(NUMBERED, SPEC)
    assert cohort.patients == 2
    assert dict(cohort.quarantine.counts) == {"patient without a mask": 2}
    per_patient = [int(cohort.targets[cohort.patient == n].sum()) for n in range(2)]
    assert sorted(per_patient) == [0, 4 * 6 * 8]
    with pytest.raises(DataError, match="no masks"):
        build(SITE.replace('masks = "m"\n', ""), SPEC)


@pytest.mark.parametrize(("own", "fits"), [("1.2.3.4", True), ("", True), ("1.2.3.5", False)])
def test_a_mask_of_other_images(
    build: Build, write_ct: Write, tmp_path: Path, own: str, fits: bool
) -> None:
    site(tmp_path, write_ct, FrameOfReferenceUID="1.2.3.4")
    save(drawn(own), tmp_path / "m/rt.dcm")
    if fits:
        assert int(build(SITE, SPEC).targets.sum()) == 4 * 6 * 8
        return
    with pytest.raises(DataError, match="another frame of reference"):
        build(SITE, SPEC)
    crop = {**SPEC, "labels": "class", "structures": [], "centre": "mask", "structure": "nodule"}
    (tmp_path / "l.csv").write_text("patient_id,label\na,x\n")
    with pytest.raises(DataError, match="another frame of reference"):
        build(SITE, crop, ["x", "y"])


def test_the_frame_of_a_structure_set(build: Build, write_ct: Write, tmp_path: Path) -> None:
    """A file with one frame of reference states it for all of its structures."""
    site(tmp_path, write_ct, FrameOfReferenceUID="1.2.3.4")
    made = drawn()
    made.ReferencedFrameOfReferenceSequence = items(item(FrameOfReferenceUID="1.2.3.9"))
    save(made, tmp_path / "m/rt.dcm")
    with pytest.raises(DataError, match="another frame of reference"):
        build(SITE, SPEC)


def test_each_series_gets_its_own_mask(build: Build, write_ct: Write, tmp_path: Path) -> None:
    """Of two visits one has a mask; a mask without coordinates could be of either."""
    site(tmp_path, write_ct, FrameOfReferenceUID="1.2.3.4")
    for path in list((tmp_path / "d").iterdir()):
        again = pydicom.dcmread(path)
        again.FrameOfReferenceUID, again.SeriesInstanceUID = "1.2.3.5", "1.2.9"
        again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        again.save_as(path.with_name(f"z{path.name}"))
    save(drawn("1.2.3.5"), tmp_path / "m/rt.dcm")
    cohort = build(SITE, SPEC)
    assert cohort.samples == SHAPE[0]
    assert int(cohort.targets.sum()) == 4 * 6 * 8
    assert dict(cohort.quarantine.counts) == {"series without a mask": 1}
    (tmp_path / "m/rt.dcm").unlink()
    numbered(tmp_path, "a")
    with pytest.raises(DataError, match="does not say which"):
        build(NUMBERED, SPEC)


def test_masks_are_kept_with_the_samples(build: Build, write_ct: Write, tmp_path: Path) -> None:
    """The cache gives them back, and notes that a mask has changed."""
    site(tmp_path, write_ct)
    numbered(tmp_path, "a")
    first = build(NUMBERED, SPEC, cache=tmp_path / "c")
    again = build(NUMBERED, SPEC, cache=tmp_path / "c")
    assert isinstance(again.targets, np.memmap)
    np.testing.assert_array_equal(first.targets, again.targets)
    numbered(tmp_path, "a", value=0)
    assert not build(NUMBERED, SPEC, cache=tmp_path / "c").targets.any()


def test_images_without_a_place_have_no_masks(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    site(tmp_path, write_ct, PixelSpacing=None)
    numbered(tmp_path, "a")
    with pytest.raises(DataError, match="geometry missing"):
        build(NUMBERED, SPEC)


def test_a_mask_may_be_finer_than_the_slices(build: Build, write_ct: Write, tmp_path: Path) -> None:
    """Between two slices the mask is taken from where the plane lies, not from the nearest slice."""
    site(tmp_path, write_ct)
    voxels = np.zeros((SHAPE[2], SHAPE[1], 20), np.uint8)
    voxels[:, :, 5:12] = 2
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = [5.0, -7.0, 30.0]
    nifti(tmp_path / "m/a.nii", voxels, affine)
    spec = {**SPEC, "depth": 19, "slice_spacing_mm": 1.0, "spacing_mm": 1.0}
    shown = build(NUMBERED, spec).targets[0].any(axis=(1, 2))
    assert np.flatnonzero(shown).tolist() == list(range(5, 12))
