"""DICOM: Hounsfield units, geometry, labels, and everything that a real folder holds besides."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless

from client.data.cohort import Cohort
from client.data.dicom import dcmtk
from client.data.dicom.header import Unusable
from client.data.dicom.pixels import rescaled
from client.data.dicom.quiet import quiet
from client.data.files import Reader
from client.data.index.archive import archive
from common.errors import DataError

Build = Callable[..., Cohort]
Write = Callable[..., pydicom.FileDataset]
CLASSES = ["benign", "malignant"]
SITE = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n'
SPEC: dict[str, Any] = {
    "kind": "dicom",
    "image_size": 8,
    "window_centre": 0,
    "window_width": 4000,
}
RAMP = (np.arange(64, dtype=np.uint16) * 30).reshape(8, 8)


def labels(folder: Path, *rows: str, head: str = "patient_id,label") -> None:
    """Write the table of labels."""
    (folder / "l.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8-sig")


def hu(cohort: Cohort) -> np.ndarray:
    """Undo the window of SPEC."""
    return cohort.inputs[:, 0] * 2000.0


def same_image(build: Build, tmp_path: Path) -> None:
    labels(tmp_path, "zz-1,benign")
    np.testing.assert_allclose(hu(build(SITE, SPEC, CLASSES))[0], RAMP - 1024.0, atol=1e-3)


@pytest.mark.parametrize(
    ("pixels", "changes"),
    [
        (RAMP, {}),
        (RAMP | 0xF000, {"BitsStored": 12, "HighBit": 11}),  # an old overlay in the unused bits
        (RAMP << 4, {"BitsStored": 12, "HighBit": 15}),
        (RAMP.astype(np.int16) - 1024, {"RescaleIntercept": None, "RescaleSlope": None}),
        (
            ((RAMP.astype(np.int32) - 1024) & 0xFFF).astype(np.int16),
            {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": 0},
        ),
        (RAMP * 2, {"RescaleSlope": 0.5}),
        (RAMP, {"PhotometricInterpretation": "MONOCHROME1"}),  # display only: HU stay HU
    ],
)
def test_hounsfield_units(
    build: Build, write_ct: Write, tmp_path: Path, pixels: Any, changes: dict[str, Any]
) -> None:
    write_ct(tmp_path / "d/x/any name", pixels, "zz-1", **changes)
    same_image(build, tmp_path)


@pytest.mark.parametrize("encoding", [RLELossless, JPEGLSLossless])
def test_compressed(build: Build, write_ct: Write, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "d/a.dcm"
    dataset = write_ct(path, RAMP, "zz-1")
    dataset.compress(encoding)
    dataset.save_as(path)
    same_image(build, tmp_path)


def test_in_an_archive_without_preamble(build: Build, write_ct: Write, tmp_path: Path) -> None:
    write_ct(tmp_path / "a.dcm", RAMP, "zz-1")
    (tmp_path / "d").mkdir()
    with zipfile.ZipFile(tmp_path / "d/a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/a", (tmp_path / "a.dcm").read_bytes()[132:])
    same_image(build, tmp_path)


def test_uncalibrated_monochrome1_is_turned(build: Build, write_ct: Write, tmp_path: Path) -> None:
    changes = {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": 0, "Modality": "DX"}
    changes["PhotometricInterpretation"] = "MONOCHROME1"
    write_ct(tmp_path / "d/a", RAMP, "zz-1", **changes)
    labels(tmp_path, "zz-1,benign")
    spec = {**SPEC, "modality": "DX", "window_centre": 2000}
    found = hu(build(SITE, spec, CLASSES))[0] + 2000
    np.testing.assert_allclose(found, np.minimum(4095.0 - RAMP, 4000), atol=1e-3)


def test_crops_round_the_point_at_the_study_spacing(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    """A bright voxel at a known place in the body is in the middle, whatever the scanner's grid."""
    for patient, spacing, axes in (("a", 0.5, [1, 0, 0, 0, 1, 0]), ("b", 1.0, [0, 1, 0, 1, 0, 0])):
        for z in (0, 3, 6):
            image = np.zeros((64, 64), np.uint16)
            image[20:25, 40:45] = 2000 if z == 3 else 500
            place = np.array([-10.0, 5.0, z])
            write_ct(
                tmp_path / f"d/{patient}{z}",
                image,
                patient,
                z=z,
                PixelSpacing=[spacing, spacing],
                ImagePositionPatient=place.tolist(),
                ImageOrientationPatient=axes,
            )
        across, down = np.array(axes[:3]), np.array(axes[3:])
        point = np.array([-10, 5, 3.4]) + spacing * (42 * across + 22 * down)
        line = f"{patient},benign," + ",".join(map(str, point))
        with (tmp_path / "l.csv").open("a") as file:
            file.write(("" if file.tell() else "patient_id,label,x_mm,y_mm,z_mm\n") + line + "\n")
    spec = {**SPEC, "image_size": 21, "centre": "point", "slices": 1, "spacing_mm": 0.5}
    found = hu(build(SITE, spec, CLASSES))
    assert found.shape == (2, 21, 21)
    for patch in found:
        assert patch[10, 10] == pytest.approx(2000 - 1024)
        assert patch[0, 0] == pytest.approx(-1024)
        np.testing.assert_allclose(patch, patch[::-1, ::-1], atol=0.5)


def test_a_point_outside_the_body_is_left_out(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    for patient in "ab":
        write_ct(tmp_path / f"d/{patient}", RAMP, patient)
    head = "patient_id,label,x_mm,y_mm,z_mm"
    labels(tmp_path, "a,benign,3,3,0", "b,benign,3,3,400", "b,benign,,3,1", head=head)
    cohort = build(SITE, {**SPEC, "centre": "point", "slices": 1}, CLASSES)
    assert cohort.patients == 1
    assert dict(cohort.quarantine.counts) == {
        "label row without a point": 1,
        "point outside the images": 1,
    }


def test_small_images_are_padded_with_air(build: Build, write_ct: Write, tmp_path: Path) -> None:
    write_ct(tmp_path / "d/a", RAMP, "a")
    labels(tmp_path, "a,benign")
    found = hu(build(SITE, {**SPEC, "image_size": 12}, CLASSES))[0]
    np.testing.assert_allclose(found[2:10, 2:10], RAMP - 1024.0, atol=1e-3)
    np.testing.assert_allclose(found[:2], -1000.0, atol=1e-3)


def test_slices_are_sorted_through_the_body(build: Build, write_ct: Write, tmp_path: Path) -> None:
    for number, z in enumerate((4, -8, 0, 8, -4)):
        write_ct(tmp_path / f"d/{number}", np.full((8, 8), 1024 + z, np.uint16), "a", z=z)
    labels(tmp_path, "a,benign")
    assert hu(build(SITE, SPEC, CLASSES))[:, 0, 0] == pytest.approx([-8, -4, 0, 4, 8], abs=1e-3)
    three = build(SITE, {**SPEC, "slices": 3}, CLASSES)
    assert hu(three)[:, 0, 0] == pytest.approx([-4, 0, 4], abs=1e-3)


def test_everything_else_in_a_folder_is_counted(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    folder = tmp_path / "d"
    kept = write_ct(folder / "ok", RAMP, "zz-1")
    kept.save_as(folder / "ok copy")
    write_ct(folder / "mr", RAMP, "zz-1", Modality="MR")
    write_ct(folder / "nobody", RAMP, " ")
    write_ct(folder / "stranger", RAMP, "zz-9")
    write_ct(folder / "scout", RAMP, "zz-1", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_ct(folder / "flat", RAMP, "zz-1", PixelSpacing=None)
    whole = write_ct(folder / "cut", RAMP, "zz-1")
    (folder / "cut").write_bytes((folder / "cut").read_bytes()[:-40])
    del whole.PixelData
    whole.SOPInstanceUID = "1.2.9"
    whole.save_as(folder / "bare")
    (folder / "notes.txt").write_text("zz-1 was here")
    (folder / "empty").touch()
    (folder / "loop").symlink_to(folder)
    labels(tmp_path, "zz-1,benign", "zz-2,malignant")
    cohort = build(SITE, {**SPEC, "spacing_mm": 1.0}, CLASSES)
    assert (cohort.patients, cohort.samples) == (1, 1)
    assert dict(cohort.quarantine.counts) == {
        "duplicate": 1,
        "empty file": 1,
        "geometry missing: pixel spacing": 1,
        "localizer image": 1,
        "no patient id": 1,
        "no pixel data": 1,
        "not DICOM": 1,
        "patient without a label": 1,
        "truncated": 1,
        "wrong modality": 1,
    }
    assert cohort.notes[0] == "1 labelled patients have no usable images."
    assert "zz-" not in str(cohort)
    listed = tmp_path / ".consilium" / "quarantine-default.csv"
    assert "scout,localizer image" in listed.read_text()
    assert listed.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("rows", "head", "said"),
    [
        (["zz-1,benign", "zz-1,malignant"], "patient_id,label", "1 patient has two different"),
        (["zz-1,odd"], "patient_id,label", "'odd'. "),
        (["zz-1,zz-1"], "patient_id,label", "right column"),
        (["zz-1,benign"], "patient,label", "Did you mean 'patient'?"),
        (["zz-1,benign,train", "zz-1,benign,test"], "patient_id,label,split", "two splits"),
        (["zz-01,benign"], "patient_id,label", "leading zeros"),
        ([], "patient_id,label", "no label"),
        (["zz-1;benign"], "patient_id;label", "check separator"),
        (["zz-1,"], "patient_id,label", "no label"),
    ],
)
def test_messages_about_labels(
    build: Build, write_ct: Write, tmp_path: Path, rows: list[str], head: str, said: str
) -> None:
    write_ct(tmp_path / "d/a", RAMP, "zz-1")
    labels(tmp_path, *rows, head=head)
    with pytest.raises(DataError) as caught:
        build(SITE, SPEC, CLASSES)
    assert said in str(caught.value)
    assert "zz-" not in str(caught.value)
    assert "l.csv" in caught.value.where


def test_local_names_and_words(build: Build, write_ct: Write, tmp_path: Path) -> None:
    write_ct(tmp_path / "d/a", RAMP, "007")
    labels(tmp_path, "007,1,Test", head="pid,diagnosis,split")
    site = SITE + 'columns = {patient_id = "pid", label = "diagnosis"}\n'
    cohort = build(site + 'replace = {label = {0 = "benign", 1 = "malignant"}}\n', SPEC, CLASSES)
    assert (cohort.targets.tolist(), cohort.split_id, cohort.test_patients) == ([1], "declared", 1)


def test_labels_may_be_class_numbers(build: Build, write_ct: Write, tmp_path: Path) -> None:
    write_ct(tmp_path / "d/a", RAMP, "a")
    labels(tmp_path, "a,1")
    assert build(SITE, SPEC, CLASSES).targets.tolist() == [1]
    labels(tmp_path, "a,2")
    with pytest.raises(DataError, match="'2'"):
        build(SITE, SPEC, CLASSES)
    labels(tmp_path, "a,2")
    assert build(SITE, SPEC, ["3", "2"]).targets.tolist() == [1]


@pytest.mark.parametrize("written", ["1.0", "01", "1.00", "1"])
def test_class_numbers_may_be_written_as_programs_write_columns_with_gaps(
    build: Build, write_ct: Write, tmp_path: Path, written: str
) -> None:
    write_ct(tmp_path / "d/a", RAMP, "a")
    labels(tmp_path, f"a,{written}", "b,0.0", "c,")
    assert build(SITE, SPEC, CLASSES).targets.tolist() == [1]
    labels(tmp_path, f"a,{written}")
    assert build(SITE, SPEC, ["0", "1"]).targets.tolist() == [1]
    labels(tmp_path, "a,1.5")
    with pytest.raises(DataError, match=r"'1\.5'"):
        build(SITE, SPEC, CLASSES)


def test_nobody_usable_says_why(build: Build, write_ct: Write, tmp_path: Path) -> None:
    write_ct(tmp_path / "d/a", RAMP, "a", Modality="MR")
    labels(tmp_path, "a,benign")
    with pytest.raises(DataError, match="1 × wrong modality"):
        build(SITE, SPEC, CLASSES)
    with pytest.raises(DataError, match="no such folder"):
        build(SITE.replace('"d"', '"nowhere"'), SPEC, CLASSES)


def read_all(path: Path) -> int:
    """Index a file and decode what it holds; return how many images could be read."""
    found = 0
    for modality in ("CT", "MR"):
        with quiet(), Reader() as reader, archive(path, modality) as held:
            for image in list(held.everything())[:3]:
                try:
                    assert np.isfinite(rescaled(image, reader)).all()
                    found += 1
                except (Unusable, OSError):
                    pass
    return found


def test_damaged_files_never_raise(write_ct: Write, tmp_path: Path) -> None:
    """Random bytes, cuts and lengths in plain and compressed files (fixed seed)."""
    dice = random.Random(7)
    originals = []
    for encoding in (None, RLELossless, JPEGLSLossless):
        dataset = write_ct(tmp_path / "a", RAMP, "a")
        if encoding:
            dataset.compress(encoding)
            dataset.save_as(tmp_path / "a")
        originals.append((tmp_path / "a").read_bytes())
        assert read_all(tmp_path / "a") == 1
    for _ in range(200):
        broken = bytearray(dice.choice(originals))
        place = dice.randrange(len(broken))
        kind = dice.random()
        if kind < 0.2:
            del broken[place:]
        elif kind < 0.4:
            broken[place : place + 4] = b"\xff\xff\xff\x7f"
        else:
            for _ in range(dice.choice([1, 4, 40])):
                broken[dice.randrange(len(broken))] = dice.randrange(256)
        (tmp_path / "a").write_bytes(broken)
        read_all(tmp_path / "a")
    (tmp_path / "a").write_bytes(dice.randbytes(5000))
    assert read_all(tmp_path / "a") == 0


def test_malformed_and_encoded_files_of_the_world(shared: Path, tmp_path: Path) -> None:
    for path in sorted((shared / "dicom" / "malformed").iterdir()):
        read_all(path)
    encodings = sorted((shared / "dicom" / "transfer_syntaxes").iterdir())
    assert len(encodings) == 16
    assert sum(read_all(path) for path in encodings) == (16 if dcmtk.installed() else 13)


def test_a_real_chest_ct(build: Build, shared: Path, tmp_path: Path) -> None:
    path = shared / "dicom" / "ct_chest_LungFCP-01-0001.zip"
    labels(tmp_path, "LungFCP-01-0001,benign")
    site = f'kind = "dicom"\npath = "{path}"\nlabels = "l.csv"\n'
    cohort = build(site, {**SPEC, "image_size": 64, "spacing_mm": 4.0, "slices": 12}, CLASSES)
    assert cohort.samples == 12
    assert (hu(cohort)[:, 32, :] > 0).any()  # the mediastinum
    assert (np.median(hu(cohort)) < 200) & (hu(cohort) < -700).any()
