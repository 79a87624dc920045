"""Reads the header of one DICOM file: its slices, or the reason why it is left out."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from client.data.dicom.slices import Geometry, Native, Slice
from client.data.files import File

MAX_PIXELS = 1 << 26
MAX_FRAMES = 4096
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
_CALIBRATED = ("CT", "PT")  # their rescaled values have units, whatever the display inverts
_KEYWORDS = (
    "ImageType SOPClassUID SOPInstanceUID Modality PatientID SeriesInstanceUID InstanceNumber "
    "ImagePositionPatient ImageOrientationPatient SamplesPerPixel PhotometricInterpretation "
    "NumberOfFrames Rows Columns PixelSpacing ImagerPixelSpacing BitsAllocated BitsStored HighBit "
    "PixelRepresentation RescaleIntercept RescaleSlope SharedFunctionalGroupsSequence "
    "PerFrameFunctionalGroupsSequence"
)
_TAGS: list[Any] = [tag_for_keyword(word) for word in _KEYWORDS.split()]
_GROUPS = (0x52009230, 0x52009229)  # per frame, shared
_NOTHING = Dataset()


class Unusable(Exception):
    """A file is left out; the message is the reason and names nobody."""


def read_slices(file: File, stream: IO[bytes], modality: str) -> tuple[str, list[Slice]]:
    """Read a header.

    Args:
        file: where it is from.
        stream: its bytes, seekable.
        modality: the study's; others are left out.

    Returns:
        the SOPInstanceUID and the file's slices.

    Raises:
        Unusable: with the reason.
    """
    header, offset, length = _header(stream)
    try:
        return _slices(file, header, offset, length, modality)
    except Unusable:
        raise
    except Exception:  # whatever pydicom raises when it converts a damaged value
        raise Unusable("damaged header") from None


def _header(stream: IO[bytes]) -> tuple[Dataset, int, int]:
    """Return the elements before the pixels, and the offset and length of the pixels (-1: none)."""
    start = stream.read(132)
    stream.seek(0)
    bare = start[128:] != b"DICM"
    if bare and start[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        raise Unusable("not DICOM")
    seen: list[tuple[int, int]] = []

    def at_pixels(tag: Any, vr: str | None, length: int) -> bool:
        if int(tag) == _PIXEL_DATA:
            seen.append((8 if vr is None or vr not in ("OB", "OW", "UN") else 12, length))
        return int(tag) >= _PIXEL_DATA

    try:
        header = read_partial(stream, at_pixels, force=bare, specific_tags=_TAGS)  # type: ignore[arg-type]
        position = stream.tell()
    except Exception:  # pydicom raises many kinds on damaged files
        raise Unusable("not DICOM" if bare else "damaged header") from None
    if bare and "SOPClassUID" not in header:
        raise Unusable("not DICOM")
    return (header, position + seen[-1][0], seen[-1][1]) if seen else (header, -1, -1)


def _slices(
    file: File, header: Dataset, offset: int, length: int, modality: str
) -> tuple[str, list[Slice]]:
    _check(header, offset, modality)
    patient = str(header.get("PatientID") or "").strip(" \0\t\r\n")
    if not patient:
        raise Unusable("no patient id")
    frames = int(header.get("NumberOfFrames") or 1)
    if not 1 <= frames <= MAX_FRAMES or int(header.Rows) * int(header.Columns) > MAX_PIXELS:
        raise Unusable("impossible size")
    found = [
        Slice(
            file=file,
            frame=frame,
            patient=patient,
            series=str(header.get("SeriesInstanceUID") or ""),
            instance=int(header.get("InstanceNumber") or 0) + frame,
            shape=(int(header.Rows), int(header.Columns)),
            geometry=_geometry(header, frame, frames),
            spacing_mm=_spacing(header, frame),
            slope=_rescale(header, frame, "RescaleSlope", 1.0),
            intercept=_rescale(header, frame, "RescaleIntercept", 0.0),
            inverted_bits=_inverted(header),
            native=_native(header, offset, length, frame, frames, file.size),
        )
        for frame in range(frames)
    ]
    return str(header.get("SOPInstanceUID") or ""), found


def _check(header: Dataset, offset: int, modality: str) -> None:
    """Refuse what is no grey image of the modality."""
    found = str(header.get("Modality") or "").strip().upper()
    if found != modality:
        raise Unusable("wrong modality" if found else "no modality")
    if "LOCALIZER" in [str(word).upper() for word in header.get("ImageType") or ()]:
        raise Unusable("localizer image")
    if offset < 0:
        raise Unusable("no pixel data")
    if not int(header.get("Rows") or 0) or not int(header.get("Columns") or 0):
        raise Unusable("no image size")
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise Unusable("colour image")
    if not str(header.get("PhotometricInterpretation") or "").startswith("MONOCHROME"):
        raise Unusable("colour image")
    if int(header.get("BitsAllocated") or 0) not in (8, 16, 32):
        raise Unusable("unsupported bit depth")


def _group(header: Dataset, frame: int, name: str) -> Dataset:
    """Find an enhanced object's functional group: the frame's own, else the shared one."""
    for sequence in (tag for tag in _GROUPS if tag in header):
        groups = header[sequence].value
        place = frame if sequence == _GROUPS[0] else 0
        if place < len(groups) and groups[place].get(name):
            found: Dataset = groups[place].get(name)[0]
            return found
    return _NOTHING


def _geometry(header: Dataset, frame: int, frames: int) -> Geometry | None:
    position = _group(header, frame, "PlanePositionSequence").get("ImagePositionPatient")
    if position is None and frames == 1:
        position = header.get("ImagePositionPatient")
    plane = _group(header, frame, "PlaneOrientationSequence").get("ImageOrientationPatient")
    plane = plane or header.get("ImageOrientationPatient")
    if position is None or plane is None or len(position) != 3 or len(plane) != 6:
        return None
    axes = np.array([float(v) for v in plane])
    place = np.array([float(v) for v in position])
    across, down = axes[:3], axes[3:]
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if not np.isfinite(place).all() or not np.allclose(lengths, 1.0, atol=0.05):
        return None
    across, down = across / lengths[0], down / lengths[1]
    return Geometry(place, across, down) if abs(across @ down) < 0.05 else None


def _spacing(header: Dataset, frame: int) -> tuple[float, float] | None:
    spacing = _group(header, frame, "PixelMeasuresSequence").get("PixelSpacing")
    spacing = spacing or header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    if spacing is None or len(spacing) != 2:
        return None
    rows, columns = float(spacing[0]), float(spacing[1])
    return (rows, columns) if 1e-4 < rows < 1e3 and 1e-4 < columns < 1e3 else None


def _rescale(header: Dataset, frame: int, name: str, default: float) -> float:
    own = _group(header, frame, "PixelValueTransformationSequence").get(name)
    value = own if own is not None else header.get(name)
    number = default if value is None or value == "" else float(value)
    if not np.isfinite(number) or (name == "RescaleSlope" and number == 0.0):
        raise Unusable("impossible rescale")
    return number


def _inverted(header: Dataset) -> int:
    plain = header.PhotometricInterpretation != "MONOCHROME1" or header.Modality in _CALIBRATED
    return 0 if plain else int(header.get("BitsStored") or header.BitsAllocated)


def _native(
    header: Dataset, offset: int, length: int, frame: int, frames: int, size: int
) -> Native | None:
    """Locate plain pixels, so that reading them needs no decoder."""
    meta = getattr(header, "file_meta", Dataset())
    syntax = str(meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian)
    if length != _UNDEFINED and syntax in (*_PLAIN, ExplicitVRBigEndian):
        words = int(header.BitsAllocated) // 8
        expected = int(header.Rows) * int(header.Columns) * words
        if length < expected * frames or offset + length > size + 1:
            raise Unusable("truncated")
        if syntax in _PLAIN:
            stored = int(header.get("BitsStored") or header.BitsAllocated)
            high = int(header.get("HighBit") or stored - 1)
            if not 0 < stored <= high + 1 <= words * 8:
                raise Unusable("unsupported bit depth")
            kind = "i" if int(header.get("PixelRepresentation") or 0) else "u"
            return Native(offset + frame * expected, f"<{kind}{words}", stored, high)
    return None
