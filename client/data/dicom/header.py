"""Reads the header of one DICOM file: its slices, or the reason why it is left out."""

from __future__ import annotations

from typing import IO

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from client.data.deidentify.burnt_in import Risk, burnt_in
from client.data.dicom import frames as of_frame
from client.data.dicom.elements import Pixels, read_elements, tags
from client.data.dicom.slices import Encoded, Native, Slice
from client.data.dicom.unusable import Unusable
from client.data.files import File

__all__ = ["MAX_FRAMES", "MAX_PIXELS", "Unusable", "read_slices"]

MAX_PIXELS = 1 << 26
MAX_FRAMES = 4096
_UNDEFINED = 0xFFFFFFFF
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
_CALIBRATED = ("CT", "PT")  # their rescaled values have units, whatever the display inverts
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
TAGS = tags(
    "ImageType SOPClassUID SOPInstanceUID Modality PatientID SeriesInstanceUID InstanceNumber "
    "FrameOfReferenceUID BurnedInAnnotation ConversionType "
    "SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns "
    "BitsAllocated BitsStored HighBit PixelRepresentation ModalityLUTSequence VOILUTSequence "
    + of_frame.KEYWORDS
)


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
    header, pixels = read_elements(stream, TAGS)
    try:
        return _slices(file, header, pixels, modality)
    except Unusable:
        raise
    except Exception:  # whatever pydicom raises when it converts a damaged value
        raise Unusable("damaged header") from None


def _slices(
    file: File, header: Dataset, pixels: Pixels | None, modality: str
) -> tuple[str, list[Slice]]:
    _check(header, modality)
    if pixels is None:
        raise Unusable("no pixel data")
    colour = _check_image(header, pixels)
    patient = str(header.get("PatientID") or "").strip(" \0\t\r\n")
    if not patient:
        raise Unusable("no patient id")
    frames = int(header.get("NumberOfFrames") or 1)
    if not 1 <= frames <= MAX_FRAMES or int(header.Rows) * int(header.Columns) > MAX_PIXELS:
        raise Unusable("impossible size")
    risk = _burnt_in(header)
    found = [
        Slice(
            file,
            frame,
            patient=patient,
            series=str(header.get("SeriesInstanceUID") or ""),
            instance=int(header.get("InstanceNumber") or 0) + frame,
            shape=(int(header.Rows), int(header.Columns)),
            geometry=of_frame.geometry(header, frame, frames),
            spacing_mm=of_frame.spacing(header, frame),
            slope=rescale[0],
            intercept=rescale[1],
            inverted_bits=_inverted(header),
            native=_native(header, pixels, frame, frames),
            encoded=_encoded(header, pixels, frames),
            colour=colour,
            tables=_tables(header),
            window=of_frame.window(header, frame),
            stack=of_frame.stack(header, frame),
            frame_of_reference=str(header.get("FrameOfReferenceUID") or ""),
            burnt_in=risk,
        )
        for frame in range(frames)
        for rescale in [of_frame.rescale(header, frame)]
    ]
    return str(header.get("SOPInstanceUID") or ""), found


def _burnt_in(header: Dataset) -> str:
    risk = burnt_in(header)
    return "" if risk is Risk.NONE else risk.name


def _check(header: Dataset, modality: str) -> None:
    """Refuse what is not of the modality."""
    found = str(header.get("Modality") or "").strip().upper()
    if found != modality:
        raise Unusable("wrong modality" if found else "no modality")
    if "LOCALIZER" in [str(word).upper() for word in header.get("ImageType") or ()]:
        raise Unusable("localizer image")


def _check_image(header: Dataset, pixels: Pixels) -> str:
    """Refuse pixels that no image of a body has; return the kind of colour."""
    if not int(header.get("Rows") or 0) or not int(header.get("Columns") or 0):
        raise Unusable("no image size")
    bits = int(header.get("BitsAllocated") or 0)
    if bits == 1:
        raise Unusable("binary mask, not an image")
    if bits not in (8, 16, 32) and not (bits == 64 and pixels.number == "f8"):
        raise Unusable("unsupported bit depth")
    samples = int(header.get("SamplesPerPixel") or 1)
    kind = str(header.get("PhotometricInterpretation") or "")
    if samples == 1 and kind.startswith("MONOCHROME"):
        return ""
    if samples == 1 and kind == "PALETTE COLOR" and bits <= 16:
        return "palette"
    if samples == 3 and kind in _COLOURS and bits <= 16:
        return "rgb"
    raise Unusable("unsupported colours")


def _inverted(header: Dataset) -> int:
    plain = header.PhotometricInterpretation != "MONOCHROME1" or header.Modality in _CALIBRATED
    return 0 if plain else int(header.get("BitsStored") or header.BitsAllocated)


def _tables(header: Dataset) -> tuple[str, ...]:
    named = {"modality": "ModalityLUTSequence", "voi": "VOILUTSequence"}
    return tuple(name for name, keyword in named.items() if header.get(keyword))


def _syntax(header: Dataset) -> str:
    meta = getattr(header, "file_meta", Dataset())
    return str(meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian).strip(" \0")


def _is_plain(header: Dataset) -> bool:
    """Tell whether the pixels can be read as they lie."""
    return _syntax(header) in _PLAIN and int(header.get("SamplesPerPixel") or 1) == 1


def _native(header: Dataset, pixels: Pixels, frame: int, frames: int) -> Native | None:
    """Locate plain pixels, so that reading them needs no decoder."""
    if pixels.length == _UNDEFINED or _syntax(header) not in (*_PLAIN, ExplicitVRBigEndian):
        return None
    words = int(header.BitsAllocated) // 8
    samples = int(header.get("SamplesPerPixel") or 1)
    subsampled = str(header.PhotometricInterpretation) == "YBR_FULL_422"
    expected = int(header.Rows) * int(header.Columns) * words * samples
    if pixels.length < (expected * frames * 2 // 3 if subsampled else expected * frames):
        raise Unusable("truncated")
    if pixels.offset + pixels.length > pixels.end + 1:
        raise Unusable("truncated")
    if not _is_plain(header):
        return None
    offset = pixels.offset + frame * expected
    if pixels.number:
        return Native(offset, f"<{pixels.number}", words * 8, words * 8 - 1)
    stored = int(header.get("BitsStored") or header.BitsAllocated)
    high = int(header.get("HighBit") or stored - 1)
    if not 0 < stored <= high + 1 <= words * 8:
        raise Unusable("unsupported bit depth")
    kind = "i" if int(header.get("PixelRepresentation") or 0) else "u"
    return Native(offset, f"<{kind}{words}", stored, high)


def _encoded(header: Dataset, pixels: Pixels, frames: int) -> Encoded | None:
    """Describe pixels that need a decoder."""
    if _is_plain(header) and pixels.length != _UNDEFINED:
        return None
    if pixels.number:
        raise Unusable("unsupported: compressed fractions")
    allocated = int(header.BitsAllocated)
    stored = int(header.get("BitsStored") or allocated)
    if not 0 < stored <= allocated:
        raise Unusable("unsupported bit depth")
    return Encoded(
        offset=pixels.offset,
        syntax=_syntax(header),
        vr="OB" if pixels.vr == "OB" else "OW",
        frames=frames,
        samples=int(header.get("SamplesPerPixel") or 1),
        photometric=str(header.PhotometricInterpretation),
        planar=int(header.get("PlanarConfiguration") or 0),
        bits_allocated=allocated,
        bits_stored=stored,
        signed=bool(int(header.get("PixelRepresentation") or 0)),
    )
