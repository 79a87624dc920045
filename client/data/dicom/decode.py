"""Decodes compressed, big-endian and coloured pixels, one frame at a time."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, RLELossless

from client.data.dicom import codestream, dcmtk, rle
from client.data.dicom.slices import Encoded
from client.data.dicom.unusable import Unusable

_RGB = ("RGB", "YBR_ICT", "YBR_RCT")


Shape = tuple[int, int]


def decoded(stream: IO[bytes], encoded: Encoded, shape: Shape, number: int) -> NDArray[Any]:
    """Return the stored numbers, [rows, columns] or [rows, columns, 3] in red, green and blue.

    Args:
        stream: the file.
        encoded: where and how they lie in it.
        shape: rows, columns.
        number: of the frame, from 0.

    Raises:
        Unusable: they cannot be decoded; the message is the reason.
        OSError: the file cannot be read.
    """
    try:
        return _decoded(stream, encoded, shape, number)
    except (Unusable, OSError, KeyboardInterrupt, SystemExit):
        raise
    except (
        BaseException
    ):  # every plug-in has its own; a panic in one written in Rust is no Exception
        raise Unusable(f"cannot be decoded: {_name(encoded.syntax)}") from None


def _decoded(stream: IO[bytes], encoded: Encoded, shape: Shape, number: int) -> NDArray[Any]:
    stream.seek(encoded.offset)
    syntax = UID(encoded.syntax)
    if not syntax.is_transfer_syntax or syntax.is_private or not syntax.is_encapsulated:
        return _by_pydicom(stream, encoded, shape, number, encoded.frames)
    frame = get_frame(stream, number, number_of_frames=encoded.frames)
    if syntax == RLELossless:
        return _run_length(frame, encoded, shape)
    codestream.check(frame, *shape, encoded.samples)
    if dcmtk.needed(encoded):
        return _used_bits(dcmtk.decode(frame, *shape, encoded), encoded)
    packed = io.BytesIO(encapsulate([frame]))
    if codestream.is_signed(frame):  # believed before a header that says otherwise
        encoded = replace(encoded, signed=True)
    return _used_bits(_by_pydicom(packed, encoded, shape, 0, 1), encoded)


def _by_pydicom(
    stream: IO[bytes], encoded: Encoded, shape: Shape, number: int, frames: int
) -> NDArray[Any]:
    """Decode with the plug-ins that pydicom finds."""
    rows, columns = shape
    options: dict[str, Any] = {
        "rows": rows,
        "columns": columns,
        "number_of_frames": frames,
        "samples_per_pixel": encoded.samples,
        "photometric_interpretation": encoded.photometric,
        "planar_configuration": encoded.planar,
        "pixel_representation": int(encoded.signed),
        "bits_allocated": encoded.bits_allocated,
        "bits_stored": encoded.bits_stored,
        "pixel_keyword": "PixelData",
        "pixel_vr": encoded.vr,
    }
    decoder = get_decoder(UID(encoded.syntax))
    array, _ = decoder.as_array(stream, index=number, raw=encoded.samples == 1, **options)  # type: ignore[arg-type]
    return array


def _run_length(frame: bytes, encoded: Encoded, shape: Shape) -> NDArray[Any]:
    rows, columns = shape
    width = encoded.bits_allocated // 8
    planes = rle.decode(frame, rows * columns, encoded.samples, width)
    kind = f"<{'i' if encoded.signed else 'u'}{width}"
    numbers = planes.view(kind).reshape(encoded.samples, rows, columns)
    if encoded.samples == 1:
        return _used_bits(numbers[0], encoded)
    return _red_green_blue(numbers.transpose(1, 2, 0), encoded)


def _red_green_blue(colours: NDArray[Any], encoded: Encoded) -> NDArray[Any]:
    if encoded.photometric in _RGB:
        return colours
    from pydicom.pixels.processing import convert_color_space

    return convert_color_space(colours, encoded.photometric, "RGB")


def _used_bits(numbers: NDArray[Any], encoded: Encoded) -> NDArray[Any]:
    """Clear bits above the value and carry its sign: decoders differ in what they leave there."""
    spare = numbers.dtype.itemsize * 8 - encoded.bits_stored
    if encoded.samples > 1 or spare <= 0:
        return numbers
    kind = np.dtype(f"{'i' if encoded.signed else 'u'}{numbers.dtype.itemsize}")
    return (numbers.astype(kind) << spare) >> spare


def _name(syntax: str) -> str:
    """Name a known transfer syntax; an unknown one is not quoted."""
    uid = UID(syntax)
    return uid.name if uid.is_transfer_syntax and uid.name != syntax else "unknown encoding"
