"""Decodes what no permissively licensed library does, with DCMTK's `dcmdjpeg` where it is installed.

These are JPEG with 12 bits (Process 2 and 4) and the two retired progressive kinds. Only the
compressed frame and its size are written, into a temporary folder of the user's own: no identifier.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, SecondaryCaptureImageStorage

from client.data.dicom.slices import Encoded
from client.data.dicom.unusable import Unusable

TOOL = "dcmdjpeg"
SECONDS = 60
SYNTAXES = ("1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")


def needed(encoded: Encoded) -> bool:
    """Tell whether an encoding is one of those."""
    return encoded.syntax in SYNTAXES and (encoded.bits_stored > 8 or encoded.syntax != SYNTAXES[0])


def installed() -> bool:
    """Tell whether the tool is there."""
    return shutil.which(TOOL) is not None


def decode(frame: bytes, rows: int, columns: int, encoded: Encoded) -> NDArray[np.generic]:
    """Return the stored numbers [rows, columns] of a grey frame.

    Raises:
        Unusable: the tool is absent, or cannot decode it.
    """
    name = UID(encoded.syntax).name
    if encoded.samples != 1:
        raise Unusable(f"cannot be decoded: {name}, in colour")
    if not installed():
        raise Unusable(f"needs DCMTK (package dcmtk) to be decoded: {name}")
    with tempfile.TemporaryDirectory(prefix="consilium-") as folder:
        source, result = Path(folder) / "packed.dcm", Path(folder) / "plain.dcm"
        _write(source, frame, rows, columns, encoded)
        try:
            subprocess.run(
                [TOOL, str(source), str(result)],
                check=True,
                timeout=SECONDS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            return _read(result, rows, columns, encoded)
        except (subprocess.SubprocessError, OSError, ValueError):
            raise Unusable(f"cannot be decoded: {name}") from None


def _write(path: Path, frame: bytes, rows: int, columns: int, encoded: Encoded) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    meta.TransferSyntaxUID = UID(encoded.syntax)
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = UID("2.25.1")
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = encoded.bits_allocated
    dataset.BitsStored = encoded.bits_stored
    dataset.HighBit = encoded.bits_stored - 1
    dataset.PixelRepresentation = int(encoded.signed)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)


def _read(path: Path, rows: int, columns: int, encoded: Encoded) -> NDArray[np.generic]:
    content = pydicom.dcmread(path).PixelData
    kind = f"<{'i' if encoded.signed else 'u'}{encoded.bits_allocated // 8}"
    size = rows * columns * encoded.bits_allocated // 8
    return np.frombuffer(content[:size], kind).reshape(rows, columns)
