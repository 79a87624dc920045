"""RLE Lossless (DICOM PS3.5, annex G), decoded within the frame's own size."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.unusable import Unusable

HEADER = 64


def decode(frame: bytes, pixels: int, samples: int, width: int) -> NDArray[np.uint8]:
    """Return the bytes of a frame, [samples, pixels, width], the lowest byte of a number first.

    Args:
        frame: header and segments.
        pixels: in the frame.
        samples: a pixel.
        width: bytes a stored number.

    Raises:
        Unusable: the frame is damaged, or of another size.
    """
    if len(frame) < HEADER:
        raise Unusable("damaged: compressed pixels")
    count, *offsets = struct.unpack_from("<16I", frame)
    if count != samples * width:
        raise Unusable("compressed size differs from the header")
    ends = [*offsets[1:count], len(frame)]
    planes = [
        _segment(frame[start:end], pixels) for start, end in zip(offsets[:count], ends, strict=True)
    ]
    stacked = np.stack(planes).reshape(samples, width, pixels)  # the highest byte comes first
    return np.ascontiguousarray(stacked[:, ::-1].transpose(0, 2, 1))


def _segment(data: bytes, size: int) -> NDArray[np.uint8]:
    found = bytearray()
    place, last = 0, len(data) - 1
    while len(found) < size and place < last:
        code = data[place]
        if code > 128:
            found += data[place + 1 : place + 2] * (257 - code)
            place += 2
        elif code < 128:
            found += data[place + 1 : place + 2 + code]
            place += 2 + code
        else:
            place += 1
    if len(found) < size:
        raise Unusable("damaged: compressed pixels")
    return np.frombuffer(bytes(found[:size]), np.uint8)
