"""Reads the pixels of one slice, in rescaled units (HU for CT)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from client.data.dicom.header import Unusable
from client.data.dicom.index import seekable
from client.data.dicom.slices import Native, Slice
from client.data.files import Reader


def rescaled(slice_: Slice, reader: Reader) -> NDArray[np.float32]:
    """Return the image [rows, columns] as float32.

    Raises:
        Unusable: it cannot be decoded; the message is the reason.
        OSError: the file cannot be read.
    """
    stored = _native(slice_, slice_.native, reader) if slice_.native else _decoded(slice_, reader)
    if stored.shape != slice_.shape:
        raise Unusable("decoded size differs from the header")
    values = stored.astype(np.float32)
    if slice_.inverted_bits:
        values = _inverted(values, stored.dtype.kind == "i", slice_.inverted_bits)
    if slice_.slope != 1.0:
        values *= np.float32(slice_.slope)
    if slice_.intercept:
        values += np.float32(slice_.intercept)
    return values


def _native(slice_: Slice, native: Native, reader: Reader) -> NDArray[Any]:
    dtype = np.dtype(native.dtype)
    rows, columns = slice_.shape
    with seekable(slice_.file, reader) as stream:
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


def _decoded(slice_: Slice, reader: Reader) -> NDArray[Any]:
    """Decode compressed, big-endian or deflated pixels with pydicom's plug-ins."""
    syntax = ""
    try:
        with seekable(slice_.file, reader) as stream:
            dataset = pydicom.dcmread(stream, force=True)
            syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
            return pixel_array(dataset, index=slice_.frame, raw=True)
    except (OSError, KeyboardInterrupt, SystemExit):
        raise
    except (
        BaseException
    ):  # every plug-in has its own; a panic in one written in Rust is no Exception
        raise Unusable(f"cannot be decoded: {_name(syntax)}") from None


def _name(syntax: str) -> str:
    """Name a known transfer syntax; an unknown one is not quoted."""
    uid = UID(syntax)
    return uid.name if uid.is_transfer_syntax and uid.name != syntax else "unknown encoding"


def _inverted(values: NDArray[np.float32], signed: bool, bits: int) -> NDArray[np.float32]:
    """Turn low-is-bright into low-is-dark, within the range of the stored bits."""
    return np.float32(-1.0 if signed else 2.0**bits - 1.0) - values
