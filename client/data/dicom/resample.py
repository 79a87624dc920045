"""Cuts a patch out of a slice and resamples it in the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.slices import Geometry, Vector

Image = NDArray[np.float32]


def pixel_of(point: Vector, geometry: Geometry, spacing: tuple[float, float]) -> Vector:
    """Return (row, column), as real numbers, of a point given in patient coordinates (mm)."""
    away = point - geometry.position
    return np.array([away @ geometry.down / spacing[0], away @ geometry.across / spacing[1]])


def patch(
    image: Image,
    centre: Vector,
    step: tuple[float, float],
    size: tuple[int, int],
    pad: float,
) -> Image:
    """Return a patch [rows, columns] round `centre`.

    Sampling is linear; where a step is longer than a pixel the kernel widens with it, so that fine
    structure is averaged and not aliased. Beyond the image lies `pad`.

    Args:
        image: [rows, columns].
        centre: (row, column) that becomes the middle of the patch.
        step: distance between the patch's pixels in pixels of the image, down and across.
        size: rows and columns of the patch.
        pad: value outside.
    """
    down, top = _weights(float(centre[0]), step[0], size[0], image.shape[0])
    across, left = _weights(float(centre[1]), step[1], size[1], image.shape[1])
    inside = image[top : top + down.shape[1], left : left + across.shape[1]] - np.float32(pad)
    result: Image = down @ inside @ across.T + np.float32(pad)
    return result


def _weights(centre: float, step: float, size: int, length: int) -> tuple[Image, int]:
    """Return the kernel [size, n] on the n pixels of the image that it touches, and the first."""
    places = centre + (np.arange(size) - (size - 1) / 2.0) * step
    support = max(1.0, step)
    first, last = int(np.floor(places[0] - support)), int(np.ceil(places[-1] + support))
    pixels = np.arange(first, last + 1)
    kernel = np.maximum(0.0, 1.0 - np.abs(pixels[None, :] - places[:, None]) / support)
    kernel /= kernel.sum(axis=1, keepdims=True)
    low, high = max(first, 0), min(last + 1, length)
    if low >= high:
        return np.zeros((size, 0), np.float32), 0
    return kernel[:, low - first : high - first].astype(np.float32), low


def windowed(values: Image, centre: float, width: float) -> Image:
    """Clip to the intensity window and map its ends to -1 and 1."""
    scaled: Image = np.clip((values - np.float32(centre)) / np.float32(width / 2.0), -1.0, 1.0)
    return scaled
