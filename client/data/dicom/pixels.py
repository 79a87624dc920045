"""Reads the pixels of one slice, in rescaled units (HU for CT) or in red, green and blue."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.decode import decoded
from client.data.dicom.opening import opened
from client.data.dicom.resample import Region
from client.data.dicom.slices import Native, Slice
from client.data.dicom.tables import read_palette, read_table
from client.data.dicom.unusable import Unusable
from client.data.files import Reader

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_MODEST = 1e9


def rescaled(slice_: Slice, reader: Reader, region: Region | None = None) -> NDArray[np.float32]:
    """Return the image [rows, columns] as float32; a coloured one as its brightness, 0 to 255.

    Args:
        slice_: the image.
        reader: opens its file.
        region: what is wanted of it; none: all. Plain pixels outside it are not even read.

    Raises:
        Unusable: it cannot be decoded; the message is the reason.
        OSError: the file cannot be read.
    """
    if slice_.colour:
        brightness: NDArray[np.float32] = coloured(slice_, reader, region) @ LUMA
        return brightness
    if _may_be_no_number(slice_):  # then the whole image is looked at
        values = _rescaled(slice_, _stored(slice_, reader), reader)
        if not np.isfinite(values).all():
            raise Unusable("values that are no numbers")
        return values if region is None else region.of(values)
    return _rescaled(slice_, _stored(slice_, reader, region), reader)


def _may_be_no_number(slice_: Slice) -> bool:
    native = slice_.native is not None and "f" not in slice_.native.dtype
    modest = abs(slice_.slope) < _MODEST and abs(slice_.intercept) < _MODEST
    return not (modest and (native or slice_.encoded is not None))


def _rescaled(slice_: Slice, stored: NDArray[Any], reader: Reader) -> NDArray[np.float32]:
    values, top = _modality(slice_, stored, reader)
    if slice_.inverted_bits:
        values = np.float32(top) - values
    if slice_.slope != 1.0:
        values *= np.float32(slice_.slope)
    if slice_.intercept:
        values += np.float32(slice_.intercept)
    return values


def coloured(slice_: Slice, reader: Reader, region: Region | None = None) -> NDArray[np.float32]:
    """Return a coloured image [rows, columns, 3], each from 0 to 255; of a region only, if one is given.

    Raises:
        Unusable: it cannot be decoded; the message is the reason.
        OSError: the file cannot be read.
    """
    stored = _stored(slice_, reader, region)
    if slice_.colour == "palette":
        with opened(slice_.file, reader) as stream:
            palette = read_palette(stream)
        shown = [table.of(stored) * np.float32(255.0 / _top(table.bits)) for table in palette]
        return np.stack(shown, axis=-1)
    bits = slice_.encoded.bits_stored if slice_.encoded else 8
    colours: NDArray[np.float32] = stored.astype(np.float32) * np.float32(255.0 / _top(bits))
    return colours


def mirror(slice_: Slice, reader: Reader) -> float:
    """Return the sum of a rescaled value before and after low-is-bright was turned into low-is-dark."""
    top = float(_range_top(slice_, signed=_is_signed(slice_)))
    if "modality" in slice_.tables:
        with opened(slice_.file, reader) as stream:
            top = _top(read_table(stream, "modality").bits)
    return slice_.slope * top + 2.0 * slice_.intercept


def _top(bits: int) -> float:
    return 2.0**bits - 1.0


def _is_signed(slice_: Slice) -> bool:
    if slice_.encoded is not None:
        return slice_.encoded.signed
    return slice_.native is not None and "i" in slice_.native.dtype


def _range_top(slice_: Slice, *, signed: bool) -> float:
    """Return lowest plus highest of the stored numbers."""
    return -1.0 if signed else _top(slice_.inverted_bits)


def _modality(
    slice_: Slice, stored: NDArray[Any], reader: Reader
) -> tuple[NDArray[np.float32], float]:
    """Apply the modality's table, if there is one; return values, and lowest plus highest of them."""
    if "modality" not in slice_.tables:
        signed = stored.dtype.kind == "i"
        return stored.astype(np.float32), _range_top(slice_, signed=signed)
    with opened(slice_.file, reader) as stream:
        table = read_table(stream, "modality")
    return table.of(stored), _top(table.bits)


def _stored(slice_: Slice, reader: Reader, region: Region | None = None) -> NDArray[Any]:
    if slice_.native is not None:
        return _native(
            slice_, slice_.native, reader, region or Region(0, slice_.shape[0], 0, slice_.shape[1])
        )
    if slice_.encoded is None:
        raise Unusable("no pixel data")
    with opened(slice_.file, reader) as stream:
        stored = decoded(stream, slice_.encoded, slice_.shape, slice_.frame)
    if stored.shape[:2] != slice_.shape or stored.ndim != 2 + (slice_.colour == "rgb"):
        raise Unusable("decoded size differs from the header")
    return stored if region is None else region.of(stored)


def _native(slice_: Slice, native: Native, reader: Reader, region: Region) -> NDArray[Any]:
    """Read the rows of a region, and cut its columns out of them."""
    dtype = np.dtype(native.dtype)
    columns = slice_.shape[1]
    row_bytes = columns * dtype.itemsize
    with opened(slice_.file, reader) as stream:
        stream.seek(native.offset + region.top * row_bytes)
        content = stream.read((region.bottom - region.top) * row_bytes)
    if len(content) != (region.bottom - region.top) * row_bytes:
        raise Unusable("truncated")
    words = np.frombuffer(content, dtype).reshape(-1, columns)[:, region.left : region.right]
    return _used_bits(words, native.bits_stored, native.high_bit)


def _used_bits(words: NDArray[Any], stored: int, high: int) -> NDArray[Any]:
    """Clear bits beside the value (old overlays), and carry its sign."""
    bits = words.dtype.itemsize * 8
    if stored == bits:
        return words
    return (words << (bits - 1 - high)) >> (bits - stored)
