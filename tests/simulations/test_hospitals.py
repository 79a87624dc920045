"""Generated hospitals: the same bytes, genuine files, honest classes, clear refusals."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage, RLELossless

from common.errors import MachineError, RunError, StudyError
from common.plugins import registry
from simulations.hospitals import create, recipe
from simulations.hospitals.recipe import MANIFEST, MARKER, is_generated

SITES, PATIENTS = 4, 6


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make(folder: Path, **changes: object) -> list[Path]:
    settings = {"sites": SITES, "patients": PATIENTS, "seed": 7, "workers": 1, **changes}
    return create(folder, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "hospitals"
    make(folder)
    return folder


def readable(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and "LOST" not in p.parts]


def test_same_seed_gives_same_bytes_in_any_number_of_processes(
    hospitals: Path, tmp_path: Path
) -> None:
    make(tmp_path / "again", workers=2)
    assert digests(tmp_path / "again") == digests(hospitals)


def test_another_seed_gives_other_bytes(hospitals: Path, tmp_path: Path) -> None:
    make(tmp_path / "other", seed=8, archives=["heart"])
    table = "hospital-1/heart/heart.csv"
    assert digests(tmp_path / "other")[table] != digests(hospitals)[table]


def test_an_archive_does_not_depend_on_which_others_are_written(
    hospitals: Path, tmp_path: Path
) -> None:
    make(tmp_path / "one", sites=2, archives=["lung-nodule"])
    alone, whole = digests(tmp_path / "one"), digests(hospitals)
    same = [name for name in alone if "/lung-nodule/" in name]
    assert same
    assert all(alone[name] == whole[name] for name in same)


def test_files_are_ct_images_with_the_scanner_of_their_hospital(hospitals: Path) -> None:
    first = [
        dcmread(readable(hospitals / f"hospital-{n}/lung-nodule/dicom")[0]) for n in (1, 2, 3, 4)
    ]
    assert {file.SOPClassUID for file in first} == {CTImageStorage}
    assert len({file.Manufacturer for file in first}) == 4
    assert len({file.ConvolutionKernel for file in first}) == 4
    assert [file.PhotometricInterpretation for file in first].count("MONOCHROME1") == 1
    assert [file.file_meta.TransferSyntaxUID for file in first].count(RLELossless) == 1
    assert {file.BitsStored for file in first} == {12, 14, 16}
    for file in first:
        values = file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)
        assert -1000 < np.median(values) < 60
        assert values.max() < 900


def test_the_mark_lies_on_the_nodule_in_patient_coordinates(hospitals: Path) -> None:
    """Reads the slice nearest to the mark as a reader would: the point is brighter than lung."""
    bright = []
    for site in sorted(hospitals.glob("hospital-*")):
        slices = [dcmread(path) for path in readable(site / "lung-nodule/dicom")]
        for row in pd.read_csv(site / "lung-nodule/labels.csv").itertuples():
            mine = [s for s in slices if s.PatientID == row.patient_id]
            assert len(mine) == 4
            near = min(mine, key=lambda s: abs(s.ImagePositionPatient[2] - row.z_mm))
            x, y = near.ImagePositionPatient[:2]
            spacing = near.PixelSpacing[0]
            column, line = round((row.x_mm - x) / spacing), round((row.y_mm - y) / spacing)
            around = near.pixel_array[line - 1 : line + 2, column - 1 : column + 2].mean()
            bright.append(around * near.RescaleSlope + near.RescaleIntercept > -450)
    assert np.mean(bright) > 0.95


def test_slices_of_a_patient_are_one_series_with_their_own_places(hospitals: Path) -> None:
    folder = hospitals / "hospital-2/lung-nodule/dicom/EXPORT/D000/S00000"
    slices = sorted((dcmread(p) for p in folder.iterdir()), key=lambda s: s.ImagePositionPatient[2])
    assert len({s.SeriesInstanceUID for s in slices}) == 1
    assert len({s.SOPInstanceUID for s in slices}) == len(slices) == 4
    gaps = np.diff([float(s.ImagePositionPatient[2]) for s in slices])
    assert np.allclose(gaps, slices[0].SliceThickness)
    assert [s.InstanceNumber for s in slices] == [4, 3, 2, 1]  # this scanner counts from the head
    assert [p.name.isdigit() for p in folder.iterdir()] == [True] * 4


def test_broken_files_are_really_broken(hospitals: Path) -> None:
    truncated, other, empty, capture = sorted(
        (hospitals / "hospital-1/lung-nodule/dicom/EXPORT/LOST").iterdir()
    )
    with pytest.raises(ValueError, match="pixel data"):
        _ = dcmread(truncated).pixel_array
    with pytest.raises(InvalidDicomError):
        dcmread(other)
    assert "PixelData" not in dcmread(empty)
    assert dcmread(capture).Modality == "OT"


def test_site_files_describe_what_lies_there(hospitals: Path) -> None:
    for site in hospitals.glob("hospital-*"):
        content = tomllib.loads((site / "site.toml").read_text())
        assert content["site"]["name"] == site.name
        assert set(content["data"]) == set(registry("hospitals"))
        for table in content["data"].values():
            for part in table.get("parts", {"": table}).values():
                assert (site / part["path"]).exists()
            assert table["declared_patients"] == (12 if table["kind"] == "series" else PATIENTS)


def test_the_same_recipe_is_used_again_and_another_refused(hospitals: Path) -> None:
    before = (hospitals / MANIFEST).stat().st_mtime_ns
    make(hospitals)
    assert (hospitals / MANIFEST).stat().st_mtime_ns == before
    with pytest.raises(RunError, match="not empty"):
        make(hospitals, seed=8)


def test_generated_hospitals_are_told_from_a_folder_beside_them(
    hospitals: Path, tmp_path: Path
) -> None:
    generated = [path.parent for path in hospitals.glob("*/site.toml")]
    assert generated
    assert all(is_generated(folder) for folder in generated)
    assert not is_generated(hospitals / "somebody-else")
    (tmp_path / "hospital-1").mkdir()
    assert not is_generated(tmp_path / "hospital-1")


def test_what_a_site_keeps_for_itself_does_not_make_the_hospitals_strange(tmp_path: Path) -> None:
    """A study leaves prepared cohorts and quarantine lists there; the next one uses the same hospitals."""
    folder = tmp_path / "h"
    make(folder, sites=1, archives=["heart"])
    own = folder / "hospital-1" / ".consilium" / "cohorts"
    own.mkdir(parents=True)
    (own / "meta.json").write_text("{}")
    make(folder, sites=1, archives=["heart"])
    assert (own / "meta.json").is_file()


def test_foreign_folders_are_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        make(tmp_path, archives=["heart"])
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_half_written_hospitals_are_written_afresh(tmp_path: Path) -> None:
    make(tmp_path / "whole", archives=["heart"])
    half = tmp_path / "half"
    (half / "hospital-1" / "heart").mkdir(parents=True)
    (half / MARKER).write_text("{}")
    make(half, archives=["heart"])
    assert digests(half) == digests(tmp_path / "whole")


def test_hospitals_that_lost_a_file_are_not_taken_for_whole(tmp_path: Path) -> None:
    make(tmp_path / "h", archives=["heart"])
    (tmp_path / "h/hospital-2/heart/heart.csv").unlink()
    with pytest.raises(RunError):
        make(tmp_path / "h", archives=["heart"])


def test_a_full_disk_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("simulations.hospitals.writing.prepare", full)
    with pytest.raises(MachineError, match="disk is full"):
        make(tmp_path / "h")


def test_unknown_archives_are_named_with_the_nearest() -> None:
    with pytest.raises(StudyError, match="Did you mean 'heart'"):
        recipe.make_recipe(1, 1, 1, ["hart"])
    with pytest.raises(StudyError, match="patients is 0"):
        recipe.make_recipe(1, 0, 1, None)
