"""Shows an image as its file wants it: the VOI window or table of the header (DICOM PS3.3, C.11.2)."""

from __future__ import annotations

import numpy as np

from client.data.dicom.opening import opened
from client.data.dicom.pixels import mirror
from client.data.dicom.resample import Image
from client.data.dicom.slices import Slice, Window
from client.data.dicom.tables import read_table
from client.data.dicom.unusable import Unusable
from client.data.files import Reader


def can_show(found: Slice) -> bool:
    """Tell whether the file says how it wants to be shown."""
    return bool(found.colour) or found.window is not None or "voi" in found.tables


def shown(values: Image, found: Slice, reader: Reader) -> Image:
    """Map rescaled values to [-1, 1].

    Raises:
        Unusable: the file says nothing usable.
        OSError: the file cannot be read.
    """
    if found.colour:
        return values / np.float32(127.5) - np.float32(1.0)
    if not found.inverted_bits:
        return _shown(values, found, reader)
    return -_shown(np.float32(mirror(found, reader)) - values, found, reader)


def _shown(values: Image, found: Slice, reader: Reader) -> Image:
    if found.window is not None:
        return _windowed(values, found.window)
    if "voi" not in found.tables:
        raise Unusable("no display window in the file")
    with opened(found.file, reader) as stream:
        table = read_table(stream, "voi", found.frame)
    return table.between(values) * np.float32(2.0 / (2.0**table.bits - 1.0)) - np.float32(1.0)


def _windowed(values: Image, window: Window) -> Image:
    centre, width = window.centre, window.width
    if window.function == "SIGMOID":
        scaled = np.clip(-4.0 * (values - centre) / width, -80.0, 80.0)
        curve: Image = (2.0 / (1.0 + np.exp(scaled)) - 1.0).astype(np.float32)
        return curve
    if window.function == "LINEAR":  # the standard's own half pixel
        centre, width = centre - 0.5, width - 1.0
    half = np.float32(width / 2.0)
    scaled_values: Image = np.clip((values - np.float32(centre)) / half, -1.0, 1.0)
    return scaled_values
