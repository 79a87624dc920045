"""Points as targets: where the finding lies in the sample, whatever its shape, and how large it is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from client.data.cohort import Cohort
from client.data.points import rows_of
from client.data.quarantine_advice import advice
from common.errors import DataError

Build = Callable[..., Cohort]
Write = Callable[..., pydicom.FileDataset]
SITE = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n'
SPEC: dict[str, Any] = {
    "kind": "dicom", "image_size": 24, "window_centre": 0, "window_width": 2000, "labels": "points",
    "structures": ["nodule"], "max_points": 2,
}  # fmt: skip
BLOB = (slice(3, 8), slice(9, 14), slice(4, 9))  # slices, rows, columns: its middle is a pixel's
MIDDLE = np.array([6.0, 11.0, 5.0])  # columns, rows, slices
SHAPE = (10, 20, 18)
GAP = 1.0
TURNED = [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]
FLAT = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
HEADER = "patient_id,x_mm,y_mm,z_mm,diameter_mm"


def place(pixel: np.ndarray, axes: list[float]) -> np.ndarray:
    """Return where a (column, row, slice) lies in the patient."""
    across, down = np.array(axes[:3]), np.array(axes[3:])
    start = np.array([-5.0, 7.0, 30.0])
    return start + pixel[0] * across + pixel[1] * down + pixel[2] * GAP * np.cross(across, down)


def row(patient: str, pixel: np.ndarray, diameter: float, axes: list[float] = FLAT) -> str:
    return ",".join([patient, *(f"{v:.3f}" for v in place(pixel, axes)), f"{diameter}"])


def site(
    tmp_path: Path,
    write_ct: Write,
    rows: list[str],
    patients: str = "a",
    axes: list[float] = FLAT,
    **extra: Any,
) -> None:
    """Write a series of each patient with a bright blob, and the findings."""
    volume = np.full(SHAPE, 24, np.uint16)
    volume[BLOB] = 2024
    for patient in patients:
        for number, image in enumerate(volume):
            where = place(np.array([0.0, 0.0, number]), axes).tolist()
            changes = {"ImagePositionPatient": where, "ImageOrientationPatient": axes, **extra}
            write_ct(tmp_path / f"d/{patient}{number}", image, patient, z=number, **changes)
    (tmp_path / "l.csv").write_text("\n".join([HEADER, *rows]))


@pytest.mark.parametrize("axes", [FLAT, TURNED])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"planes": 3},
        {"depth": 12},
        {"depth": 7, "image_size": [14, 16]},
        {"spacing_mm": 0.5, "image_size": [44, 38]},
        {"spacing_mm": 1.0, "depth": 24, "slice_spacing_mm": 0.5},
        {"plane": True, "depth": 10},
        {"plane": True, "image_size": [24, 20]},
        {"centre": "point", "image_size": [8, 10], "depth": 6},
    ],
)
def test_the_point_lies_where_the_finding_is(
    build: Build, write_ct: Write, tmp_path: Path, changes: dict[str, Any], axes: list[float]
) -> None:
    site(tmp_path, write_ct, [row("a", MIDDLE, 5.0, axes)], axes=axes)
    if "plane" in changes:
        changes = {**changes, "plane": "sagittal" if axes is TURNED else "axial"}
    cohort = build(SITE, {**SPEC, **changes})
    bright = cohort.inputs[:, changes.get("planes", 1) // 2] > 0.0
    assert cohort.targets.shape == (len(bright), 2, bright.ndim)
    assert cohort.targets.dtype == np.float32
    assert (cohort.targets[:, 1] == -1).all()
    pixel_mm = changes.get("spacing_mm", 1.0)
    sizes = []
    for image, target in zip(bright, cohort.targets[:, 0], strict=True):
        assert image.any() == (target[-1] > 0)
        if image.any():
            middle = np.argwhere(image).mean(axis=0)
            np.testing.assert_allclose(target[:-1] * image.shape - 0.5, middle, atol=0.5)
            sizes.append(target[-1] * image.shape[-1] * pixel_mm)
    if "depth" in changes:
        assert sizes == pytest.approx([5.0])
    else:
        assert sorted(sizes) == pytest.approx([3.0, 3.0, 21**0.5, 21**0.5, 5.0]), (
            "circles of a ball"
        )


def test_the_largest_are_kept_and_counted(build: Build, write_ct: Write, tmp_path: Path) -> None:
    rows = [row("a", MIDDLE + shift, 3.0 + shift) for shift in (0.0, 1.0, 2.0)]
    site(tmp_path, write_ct, [*rows, rows[2]])  # a row that stands twice is one finding
    cohort = build(SITE, {**SPEC, "depth": 12})
    assert (cohort.targets[0, :, -1] * 24).tolist() == pytest.approx([5.0, 4.0])
    assert any("1 images have more points" in note for note in cohort.notes)


def test_nothing_found_and_not_known(build: Build, write_ct: Write, tmp_path: Path) -> None:
    """An empty row says that there is nothing; half a row, or a word, that something is not known."""
    rows = ["a,,,,", row("b", MIDDLE, 5.0), "b,1,2,,4", "c,here,there,up,4", row("d", MIDDLE, 5.0)]
    site(tmp_path, write_ct, rows, "abcd")
    cohort = build(SITE, {**SPEC, "depth": 12})
    assert cohort.patients == 2
    assert sorted((cohort.targets[:, :, -1] > 0).sum(axis=1).tolist()) == [0, 1]
    counts = dict(cohort.quarantine.counts)
    assert counts["label row with half a point"] == 2
    (tmp_path / "l.csv").write_text("patient_id,x_mm,y_mm,z_mm\na,1,2,3\n")
    with pytest.raises(DataError, match="diameter_mm"):
        build(SITE, SPEC)


@pytest.mark.parametrize("diameter", ["0", "-4", "4 mm", "inf"])
def test_a_finding_without_a_size_leaves_out_its_patient(
    build: Build, write_ct: Write, tmp_path: Path, diameter: str
) -> None:
    """What else is known of the patient is not enough; the others stay."""
    rows = [row("a", MIDDLE, 5.0), row("b", MIDDLE, 5.0), f"b,1,2,3,{diameter}"]
    site(tmp_path, write_ct, rows, "ab")
    cohort = build(SITE, {**SPEC, "depth": 12})
    assert cohort.patients == 1
    reasons = [reason for reason in cohort.quarantine.counts if reason.startswith("label row")]
    assert len(reasons) == 1
    assert cohort.quarantine.counts[reasons[0]] == 1
    assert ("diameter" in reasons[0]) == (diameter in ("0", "-4"))
    assert ("mm" in advice(reasons[0], "dicom")) == ("diameter" in reasons[0])


def test_points_outside_a_sample_are_not_in_it(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    far = [MIDDLE + np.array(step) for step in ([0, 0, 20.0], [0, 30.0, 0], [-30.0, 0, 0])]
    site(tmp_path, write_ct, [row("a", point, 4.0) for point in far])
    assert (build(SITE, {**SPEC, "depth": 12}).targets == -1).all()
    assert (build(SITE, SPEC).targets == -1).all()


def test_points_of_one_frame_of_reference(build: Build, write_ct: Write, tmp_path: Path) -> None:
    """Two visits have coordinates of their own: a point could be of either."""
    site(tmp_path, write_ct, [row("a", MIDDLE, 5.0), row("b", MIDDLE, 5.0)], "ab")
    image = np.full(SHAPE[1:], 24, np.uint16)
    write_ct(tmp_path / "d/x", image, "b", FrameOfReferenceUID="1.2.9", SeriesInstanceUID="1.2.8")
    cohort = build(SITE, {**SPEC, "depth": 12})
    assert cohort.patients == 1
    assert any("several frames of reference" in reason for reason in dict(cohort.quarantine.counts))


def test_images_without_a_place_have_no_points(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    site(tmp_path, write_ct, [row("a", MIDDLE, 5.0)], PixelSpacing=None)
    with pytest.raises(DataError, match="geometry missing"):
        build(SITE, SPEC)


def test_points_of_arrays(build: Build, tmp_path: Path) -> None:
    points = np.full((3, 4, 3), np.nan)
    points[0, 0], points[2, 3], points[2, 1] = [0, 7, 4], [9.5, 3, 2], [1, 1, 5]
    images = np.zeros((3, 12, 16), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, points=points)
    spec = {**SPEC, "kind": "arrays", "image_size": [12, 16]}
    del spec["window_centre"], spec["window_width"]
    arrays = 'kind = "arrays"\npath = "a.npz"\n'
    found = build(arrays, spec).targets
    assert found.shape == (3, 2, 3)
    assert sorted((found[..., -1] > 0).sum(axis=1).tolist()) == [0, 1, 2]
    two = found[(found[..., -1] > 0).all(axis=1)][0]
    np.testing.assert_allclose(two, [[1.5 / 12, 1.5 / 16, 5 / 16], [10 / 12, 3.5 / 16, 2 / 16]])
    points[0, 0, 0] = 40
    np.savez(tmp_path / "a.npz", images=images, points=points)
    with pytest.raises(DataError, match="1 points lie outside"):
        build(arrays, spec)
    np.savez(tmp_path / "a.npz", images=images, points=points[..., :2])
    with pytest.raises(DataError, match="numbers of"):
        build(arrays, spec)


def test_points_without_a_size_are_refused() -> None:
    with pytest.raises(ValueError, match="no size"):
        rows_of(np.array([[1.0, 1.0, 0.0]]), (4, 4), 2)
    assert (rows_of(np.empty((0, 3)), (4, 4), 2) == -1).all()
