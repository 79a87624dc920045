"""DICOM segmentation objects: binary, fractional and label maps (PS3.3, A.51)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from client.data.dicom import frames as of_frame
from client.data.dicom import rle
from client.data.dicom.decode import decoded
from client.data.dicom.elements import Pixels, tags
from client.data.dicom.header import MAX_FRAMES, MAX_PIXELS
from client.data.dicom.slices import Encoded
from client.data.dicom.unusable import Unusable
from client.data.masks.grid import GridRegion, Plane
from client.data.masks.regions import NOWHERE, Mask

TAGS = tags(
    "FrameOfReferenceUID SegmentSequence SegmentationType MaximumFractionalValue SegmentIdentificationSequence "
    "Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation BitsAllocated "
    "BitsStored PixelRepresentation " + of_frame.KEYWORDS
)
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def read_seg(header: Dataset, pixels: Pixels | None, stream: IO[bytes], patient: str) -> list[Mask]:
    """Return the structures of a segmentation object, those too that it names and that are nowhere.

    Raises:
        Unusable: with the reason.
    """
    if pixels is None:
        raise Unusable("no pixel data")
    names = {int(s.SegmentNumber): str(s.get("SegmentLabel") or "") for s in header.SegmentSequence}
    planes: dict[int, list[Plane]] = defaultdict(list)
    frames = int(header.get("NumberOfFrames") or 1)
    shape = int(header.Rows), int(header.Columns)
    if not 1 <= frames <= MAX_FRAMES or not 1 <= shape[0] * shape[1] <= MAX_PIXELS:
        raise Unusable("impossible size")
    for frame in range(frames):
        image = _image(header, pixels, stream, shape, frame)
        place = of_frame.geometry(header, frame, frames)
        if place is None:
            raise Unusable("geometry missing: position or orientation")
        for number, inside in _segments(header, frame, image):
            if inside.any():
                planes[number].append(Plane(place, np.packbits(inside)))
    spacing, gap = of_frame.spacing(header, 0), _gap(header)
    if spacing is None:
        raise Unusable("geometry missing: pixel spacing")
    coordinates = str(header.get("FrameOfReferenceUID") or "")
    regions = {n: GridRegion(found, shape, spacing, gap) for n, found in planes.items()}
    return [
        Mask((patient,), names.get(number, str(number)), coordinates, regions.get(number, NOWHERE))
        for number in sorted({*names, *regions})
    ]


def _segments(
    header: Dataset, frame: int, image: NDArray[Any]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the segments of a frame with their pixels."""
    kind = str(header.get("SegmentationType") or "BINARY").upper()
    if kind == "LABELMAP":
        yield from ((int(value), image == value) for value in np.unique(image) if value)
        return
    number = of_frame.group(header, frame, "SegmentIdentificationSequence")
    half = int(header.get("MaximumFractionalValue") or 255) / 2.0 if kind == "FRACTIONAL" else 0.5
    yield int(number.ReferencedSegmentNumber), image >= half


def _gap(header: Dataset) -> float | None:
    measures = of_frame.group(header, 0, "PixelMeasuresSequence")
    found = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    return float(found) if found and float(found) > 0 else None


def _image(
    header: Dataset, pixels: Pixels, stream: IO[bytes], shape: tuple[int, int], frame: int
) -> NDArray[Any]:
    """Read a frame of one bit or of whole bytes a pixel."""
    syntax = str(header.file_meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian)
    bits, size = int(header.BitsAllocated), shape[0] * shape[1]
    frames = int(header.get("NumberOfFrames") or 1)
    if bits == 1 and syntax in _PLAIN:
        first = frame * size
        stream.seek(pixels.offset + first // 8)
        content = stream.read((first % 8 + size + 7) // 8)
        found = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
        return _filled(found[first % 8 : first % 8 + size], shape)
    if bits == 1 and syntax == RLELossless:
        stream.seek(pixels.offset)
        packed = rle.decode(
            get_frame(stream, frame, number_of_frames=frames), (size + 7) // 8, 1, 1
        )
        return _filled(np.unpackbits(packed.reshape(-1), bitorder="little")[:size], shape)
    if bits not in (8, 16):
        raise Unusable("unsupported bit depth")
    if syntax in _PLAIN:
        stream.seek(pixels.offset + frame * size * bits // 8)
        content = stream.read(size * bits // 8)
        return _filled(np.frombuffer(content, f"<u{bits // 8}"), shape)
    encoded = Encoded(
        *(pixels.offset, syntax, "OW", frames, 1, "MONOCHROME2", 0, bits, bits, False)
    )
    return decoded(stream, encoded, shape, frame)


def _filled(flat: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    if flat.size != shape[0] * shape[1]:
        raise Unusable("truncated")
    return flat.reshape(shape)
