"""Fixtures for the hospital's data: site folders, small DICOM files, and the shared real data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from client.data.cohort import Cohort
from client.data.prepare import prepare
from client.site import load_site
from common.data_spec import DataSpec

SECRET = b"a site's secret of 32 bytes....."
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data (real data, not part of the repository)")
    return SHARED


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Cohort]:
    """Write a site.toml around a `[data]` section and prepare its cohort."""

    def run(
        data: str,
        spec: dict[str, Any],
        classes: list[str] | None = None,
        *,
        secret: bytes = SECRET,
        cache: Path | None = None,
    ) -> Cohort:
        text = f'[site]\nname = "house"\n[data]\ndeclared_patients = 10\n{data}'
        (tmp_path / "site.toml").write_text(text, encoding="utf-8")
        parsed: DataSpec = TypeAdapter(DataSpec).validate_python(spec)
        return prepare(load_site(tmp_path), parsed, classes, secret, cache)

    return run


def ct(
    path: Path, pixels: NDArray[Any], patient: str, z: float = 0.0, **changes: Any
) -> FileDataset:
    """Write one CT slice; HU = stored - 1024 unless `changes` say otherwise (None drops an element)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    bits = pixels.dtype.itemsize * 8
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": f"1.2.3.{sum(patient.encode())}",
        "Modality": "CT",
        "PatientID": patient,
        "InstanceNumber": int(z) + 1000,
        "ImagePositionPatient": [0, 0, z],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [1, 1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        **changes,
    }
    for name, value in values.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


@pytest.fixture
def write_ct() -> Callable[..., FileDataset]:
    """The function that writes one CT slice."""
    return ct
