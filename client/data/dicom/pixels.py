"""Reads the pixels of one slice, in rescaled units (HU for CT) or in red, green and blue."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.decode import decoded
from client.data.dicom.opening import opened
from client.data.dicom.slices import Native, Slice
from client.data.dicom.tables import read_palette, read_table
from client.data.dicom.unusable import Unusable
from client.data.files import Reader

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_MODEST = 1e9


def rescaled(slice_: Slice, reader: Reader) -> NDArray[np.float32]:
    """Return the image [rows, columns] as float32; a coloured one as its brightness, 0 to 255.

    Raises:
        Unusable: it cannot be decoded; the message is the reason.
        OSError: the file cannot be read.
    """
    if slice_.colour:
        brightness: NDArray[np.float32] = coloured(slice_, reader) @ LUMA
        return brightness
    stored = _stored(slice_, reader)
    values, top = _modality(slice_, stored, reader)
    if slice_.inverted_bits:
        values = np.float32(top) - values
    if slice_.slope != 1.0:
        values *= np.float32(slice_.slope)
    if slice_.intercept:
        values += np.float32(slice_.intercept)
    modest = abs(slice_.slope) < _MODEST and abs(slice_.intercept) < _MODEST
    if not (modest and stored.dtype.kind in "iu") and not np.isfinite(values).all():
        raise Unusable("values that are no numbers")
    return values


def coloured(slice_: Slice, reader: Reader) -> NDArray[np.float32]:
    """Return a coloured image [rows, columns, 3], each from 0 to 255.

    Raises:
        Unusable: it cannot be decoded; the message is the reason.
        OSError: the file cannot be read.
    """
    stored = _stored(slice_, reader)
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


def _stored(slice_: Slice, reader: Reader) -> NDArray[Any]:
    if slice_.native is not None:
        stored = _native(slice_, slice_.native, reader)
    elif slice_.encoded is not None:
        with opened(slice_.file, reader) as stream:
            stored = decoded(stream, slice_.encoded, slice_.shape, slice_.frame)
    else:
        raise Unusable("no pixel data")
    if stored.shape[:2] != slice_.shape or stored.ndim != 2 + (slice_.colour == "rgb"):
        raise Unusable("decoded size differs from the header")
    return stored


def _native(slice_: Slice, native: Native, reader: Reader) -> NDArray[Any]:
    dtype = np.dtype(native.dtype)
    rows, columns = slice_.shape
    with opened(slice_.file, reader) as stream:
        stream.seek(native.offset)
        content = stream.read(rows * columns * dtype.itemsize)
    if len(content) != rows * columns * dtype.itemsize:
        raise Unusable("truncated")
    words = np.frombuffer(content, dtype).reshape(rows, columns)
    return _used_bits(words, native.bits_stored, native.high_bit)


def _used_bits(words: NDArray[Any], stored: int, high: int) -> NDArray[Any]:
    """Clear bits beside the value (old overlays), and carry its sign."""
    bits = words.dtype.itemsize * 8
    if stored == bits:
        return words
    return (words << (bits - 1 - high)) >> (bits - stored)
