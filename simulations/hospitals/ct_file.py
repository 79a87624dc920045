"""Genuine CT Image Storage files, written with pydicom, the same bytes for the same seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RLELossless

from simulations.hospitals.phantom import Volume
from simulations.hospitals.scanner import Scanner, stored

IMPLEMENTATION = UID("2.25.61803398874989484820458683436563811772")
FIRST_DAY = 20240101


@dataclass(frozen=True)
class Series:
    """One patient's CT series.

    Attributes:
        key: text that is unlike any other series'; its UIDs follow from it.
        patient: the identifier.
        sex, age: "F" or "M"; years.
        origin: (x, y, z) in mm, patient coordinates (left, posterior, head), of the first slice's
            first pixel.
        spacing, thickness: mm in the plane and between slices.
        description: SeriesDescription.
    """

    key: str
    patient: str
    sex: str
    age: int
    origin: tuple[float, float, float]
    spacing: float
    thickness: float
    description: str = "CHEST"


def uid(*parts: object) -> UID:
    """Return a UID under 2.25 that follows from `parts`."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:15], 'big')}")


def write_series(series: Series, volume: Volume, scanner: Scanner, paths: list[Path]) -> None:
    """Write one file a slice of `volume` (Hounsfield units, Z x Y x X), axial, slice 0 nearest the feet."""
    for index, path in enumerate(paths):
        dataset = _header(series, scanner, index, len(paths))
        _add_pixels(dataset, volume[index], scanner)
        dataset.save_as(path, enforce_file_format=True)


def _header(series: Series, scanner: Scanner, index: int, slices: int) -> Dataset:
    x, y, z = series.origin
    instance = slices - index if scanner.head_first_order else index + 1
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid(series.key, "instance", index)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = uid(series.key, "study")
    dataset.SeriesInstanceUID = uid(series.key, "series")
    dataset.FrameOfReferenceUID = uid(series.key, "frame")
    dataset.PositionReferenceIndicator = ""
    dataset.Modality = "CT"
    dataset.PatientID = series.patient
    dataset.PatientName = f"Generated^{series.patient}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = series.sex
    dataset.PatientAge = f"{series.age:03d}Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = str(FIRST_DAY)
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "120000"
    dataset.AccessionNumber = dataset.StudyID = dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Generated, no person"
    dataset.SeriesDescription = series.description
    dataset.SeriesNumber = 2
    dataset.AcquisitionNumber = 1
    dataset.InstanceNumber = instance
    dataset.Manufacturer = scanner.manufacturer
    dataset.ManufacturerModelName = scanner.model
    dataset.ConvolutionKernel = scanner.kernel
    dataset.KVP = scanner.kilovolt
    dataset.PatientPosition = "HFS"
    dataset.PixelSpacing = [series.spacing, series.spacing]
    dataset.SliceThickness = series.thickness
    dataset.SpacingBetweenSlices = series.thickness
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [_mm(x), _mm(y), _mm(z + index * series.thickness)]
    dataset.SliceLocation = _mm(z + index * series.thickness)
    return dataset


def _add_pixels(dataset: Dataset, image: Volume, scanner: Scanner) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if scanner.monochrome1 else "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = scanner.bits_stored
    dataset.HighBit = scanner.bits_stored - 1
    dataset.PixelRepresentation = int(scanner.signed)
    dataset.RescaleIntercept = scanner.intercept
    dataset.RescaleSlope = scanner.slope
    dataset.RescaleType = "HU"
    dataset.WindowCenter = -600
    dataset.WindowWidth = 1500
    pixels = stored(image, scanner).astype("<i2" if scanner.signed else "<u2")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    if scanner.compressed:
        dataset.compress(RLELossless, encoding_plugin="gdcm", generate_instance_uid=False)


def _mm(value: float) -> float:
    return round(value, 3)
