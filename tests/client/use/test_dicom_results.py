"""Masks lie on the source's own pixels, whatever the study's grid; reports belong to the images that they are about."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import generate_uid
from trained_runs import trained_with

from client.data.files import Reader, walk
from client.data.masks import read
from client.use.predict import Order, Outcome, predict
from common.errors import StudyError
from simulations.hospitals.ct_file import Series, write_series
from simulations.hospitals.scanner import SCANNERS

SLICES, SIDE = 6, 40
CPU = torch.device("cpu")


class Bright(torch.nn.Module):
    """Takes what is above the window's middle for the structure."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        middle = inputs[:, inputs.shape[1] // 2 : inputs.shape[1] // 2 + 1]
        return torch.cat([-middle, middle], dim=1) * 20


@pytest.fixture
def truth() -> np.ndarray:
    """A block that no symmetry maps to itself."""
    block = np.zeros((SLICES, SIDE, SIDE), dtype=bool)
    block[1:4, 4:16, 20:34] = True
    block[3, 24:34, 6:12] = True
    return block


@pytest.fixture
def scan(tmp_path: Path, truth: np.ndarray) -> Path:
    """A series of air and tissue."""
    folder = tmp_path / "in"
    folder.mkdir()
    volume = np.where(truth, 50.0, -900.0).astype(np.float32)
    series = Series("x", "P1", "F", 60, (-40.0, -40.0, -112.0), 2.0, 4.0)
    write_series(series, volume, SCANNERS[0], [folder / f"{n}.dcm" for n in range(SLICES)])
    return folder


def drawn(tmp_path: Path, scan: Path, **data: Any) -> tuple[np.ndarray, Outcome]:
    """Draw with a study's grid; return the NIfTI file's voxels as [slices, rows, columns]."""
    wanted = {"kind": "dicom", "window_centre": -400.0, "window_width": 400.0, "labels": "mask"}
    wanted |= {"structures": ["tissue"], **data}
    model = {"name": "unet"}
    trained = trained_with(Bright(), task={"name": "segmentation"}, model=model, data=wanted)
    done = predict(Order(trained, tmp_path / "out", CPU), scan)
    image = nibabel.load(tmp_path / "out" / "case-0001-series-1.nii.gz")
    return np.asarray(image.dataobj).transpose(2, 1, 0).astype(bool), done


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.mark.parametrize(
    "data",
    [
        {"image_size": 48},
        {"image_size": 16},
        {"image_size": [32, 16], "spacing_mm": 1.0, "plane": "axial"},
        {"image_size": 16, "planes": 3, "slices": 2},
        {"image_size": 32, "depth": 16},
        {
            "image_size": 32,
            "depth": 4,
            "spacing_mm": 1.0,
            "slice_spacing_mm": 4.0,
            "plane": "axial",
        },
    ],
    ids=["larger", "smaller", "other spacing", "stacks", "volume", "resampled volume"],
)
def test_masks_lie_on_the_images(
    tmp_path: Path, scan: Path, truth: np.ndarray, data: dict[str, Any]
) -> None:
    found, done = drawn(tmp_path, scan, **data)
    assert (found.shape, done.cases) == (truth.shape, 1)
    assert overlap(found, truth) > (0.999 if "spacing_mm" not in data else 0.93)


def test_the_segmentation_is_what_our_reader_and_the_table_say(
    tmp_path: Path, scan: Path, truth: np.ndarray
) -> None:
    drawn(tmp_path, scan, image_size=16)
    file = tmp_path / "out" / "case-0001-series-1.seg.dcm"
    with Reader() as reader:
        (mask,) = read(next(walk(file)), reader)
    assert (mask.name, mask.patients[0]) == ("tissue", "P1")
    with (tmp_path / "out" / "predictions.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["ml_tissue"]) == pytest.approx(truth.sum() * 2 * 2 * 4 / 1000)
    assert "P1" not in row.values()


def test_each_phase_and_plane_of_a_series_is_a_stack_of_its_own(
    tmp_path: Path, scan: Path, truth: np.ndarray
) -> None:
    """Two images a place have no distance between them, and two planes no order: neither has one volume."""
    for number, path in enumerate(sorted(scan.iterdir())):
        image = pydicom.dcmread(path)
        for word, change in (("late", {"AcquisitionNumber": 2}), ("again", {})):
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            for keyword, value in change.items():
                setattr(image, keyword, value)
            image.save_as(scan / f"{word}-{number}.dcm")
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        image.ImagePositionPatient = [-40, 4 * number, 40]
        image.save_as(scan / f"coronal-{number}.dcm")
    found, done = drawn(tmp_path, scan, image_size=48)
    assert (done.cases, done.notes, done.left_out.total) == (4, (), 0)
    assert overlap(found, truth) > 0.999
    with (tmp_path / "out" / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    axial = truth.sum() * 2 * 2 * 4 / 1000
    assert [row["slices"] for row in rows] == ["6"] * 4
    assert sorted(float(row["ml_tissue"]) == pytest.approx(axial) for row in rows)[1:] == [True] * 3
    assert len(list((tmp_path / "out").glob("*.seg.dcm"))) == 4


@pytest.mark.parametrize(("largest", "notes"), [(1024, 0), (39, 1)])
def test_what_is_too_large_to_be_drawn_whole_is_said(
    tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch, largest: int, notes: int
) -> None:
    monkeypatch.setattr("client.use.segment.LARGEST", largest)
    _, done = drawn(tmp_path, scan, image_size=16)
    assert len(done.notes) == notes
    assert not notes or "1 patients have images of more than 39 pixels" in done.notes[0]


def test_a_study_that_crops_round_a_structure_says_which_option_names_the_segmentations(
    tmp_path: Path, scan: Path
) -> None:
    data = {"kind": "dicom", "image_size": 8, "centre": "mask", "structure": "tissue"}
    with pytest.raises(StudyError) as caught:
        predict(Order(trained_with(data=data), tmp_path / "out", CPU), scan)
    assert "--masks" in caught.value.fix


def test_headers_that_lack_what_may_be_empty_will_do(
    tmp_path: Path, scan: Path, recwarn: pytest.WarningsRecorder
) -> None:
    for path in scan.iterdir():
        image = pydicom.dcmread(path)
        image.PatientName = "ZZNAME"
        for keyword in ("PatientBirthDate", "StudyID", "ReferringPhysicianName"):
            delattr(image, keyword)
        image.save_as(path)
    _, done = drawn(tmp_path, scan, image_size=16)
    assert done.notes == ()
    assert not any("ZZNAME" in str(warning.message) for warning in recwarn)
    assert (tmp_path / "out" / "case-0001-series-1.seg.dcm").exists()


def test_a_report_belongs_to_its_images(tmp_path: Path, scan: Path) -> None:
    from highdicom.sr import srread

    trained = trained_with(data={"kind": "dicom", "image_size": 8, "slices": 2})
    predict(Order(trained, tmp_path / "out", CPU), scan)
    report = srread(tmp_path / "out" / "case-0001.sr.dcm")
    image = pydicom.dcmread(next(scan.iterdir()))
    assert (report.PatientID, report.StudyInstanceUID) == ("P1", image.StudyInstanceUID)
    assert report.VerificationFlag == "UNVERIFIED"
    evidence = [
        item.ReferencedSOPInstanceUID
        for keyword in (
            "PertinentOtherEvidenceSequence",
            "CurrentRequestedProcedureEvidenceSequence",
        )
        for study in report.get(keyword, ())
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
    assert len(evidence) == 2, "the slices that the answer is about"
    (group,) = report.content.get_image_measurement_groups()
    with (tmp_path / "out" / "predictions.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    said = {m.name.meaning: float(m.value) for m in group.get_measurements()}
    assert said == {name: float(row[name]) for name in ("p_round", "p_square")}
    (word,) = group.get_qualitative_evaluations()
    assert word.value.meaning == row["predicted"]


def test_steps_that_move_pixels_are_refused(tmp_path: Path, scan: Path) -> None:
    with pytest.raises(StudyError, match="cannot be put back"):
        drawn(tmp_path, scan, image_size=40, steps=[{"name": "resize", "size_px": 16}])


def test_without_dicom_only_the_table_is_written(tmp_path: Path, scan: Path) -> None:
    trained = trained_with(data={"kind": "dicom", "image_size": 8})
    shutil.copy(next(scan.iterdir()), scan / "again.dcm")
    predict(Order(trained, tmp_path / "out", CPU, dicom=False), scan)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"predictions.csv", "left-out.csv"}
