"""Small DICOM files of the kinds that the shared real data lack, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

Pixels = NDArray[Any]


def dataset(patient: str, modality: str, **elements: Any) -> FileDataset:
    """An object without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    made.SeriesInstanceUID = UID("1.2.3.4")
    made.PatientID, made.Modality = patient, modality
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def image(patient: str, modality: str, pixels: Pixels, **elements: Any) -> FileDataset:
    """An image; [rows, columns], [frames, rows, columns] or, with three samples, [..., 3]."""
    bits = pixels.dtype.itemsize * 8
    made = dataset(patient, modality)
    colours = elements.get("SamplesPerPixel", 1)
    rows, columns = pixels.shape[-2:] if colours == 1 else pixels.shape[-3:-1]
    made.Rows, made.Columns, made.SamplesPerPixel = rows, columns, colours
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit = bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in elements.items():
        setattr(made, name, value)
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    made["PixelData"].VR = "OW" if bits > 8 else "OB"
    return made


def save(made: FileDataset, path: Path) -> Path:
    """Write a file, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def item(**elements: Any) -> Dataset:
    """One item of a sequence."""
    made = Dataset()
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def items(*made: Dataset) -> Items:
    """A sequence."""
    return Items(made)


def table(entries: Sequence[int], first: int = 0, bits: int = 16) -> Items:
    """A look-up table's sequence."""
    one = item()
    one.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    one.add_new("LUTData", "US", list(entries))
    return items(one)


def add_palette(made: FileDataset, colours: Sequence[tuple[int, int, int]]) -> None:
    """Give an image a palette of 16 bits."""
    made.PhotometricInterpretation = "PALETTE COLOR"
    for number, name in enumerate(("Red", "Green", "Blue")):
        entries = np.array([colour[number] for colour in colours], "<u2")
        made.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [len(colours), 0, 16])
        made.add_new(f"{name}PaletteColorLookupTableData", "OW", entries.tobytes())


def contours(patient: str, name: str, drawn: Sequence[Sequence[Sequence[float]]]) -> FileDataset:
    """An RTSTRUCT with one structure."""
    made = dataset(patient, "RTSTRUCT")
    made.StructureSetROISequence = items(item(ROINumber=7, ROIName=name))
    lines = [
        item(
            ContourGeometricType="CLOSED_PLANAR",
            NumberOfContourPoints=len(points),
            ContourData=[float(value) for point in points for value in point],
        )
        for points in drawn
    ]
    made.ROIContourSequence = items(item(ReferencedROINumber=7, ContourSequence=items(*lines)))
    return made


def nifti(path: Path, voxels: Pixels, affine: Pixels) -> Path:
    """Write a NIfTI-1 file of bytes; `affine` maps voxels to millimetres to the right, front and top."""
    header = bytearray(352)
    header[0:4] = (348).to_bytes(4, "little")
    header[40:56] = np.array([3, *voxels.shape, 1, 1, 1, 1], "<i2").tobytes()
    header[70:74] = np.array([2, 8], "<i2").tobytes()
    header[76:108] = np.ones(8, "<f4").tobytes()
    header[108:112] = np.array([352], "<f4").tobytes()
    header[252:256] = np.array([0, 1], "<i2").tobytes()
    header[280:328] = affine[:3].astype("<f4").tobytes()
    header[344:348] = b"n+1\0"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(header) + voxels.astype(np.uint8).tobytes(order="F"))
    return path
