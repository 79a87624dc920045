"""Cuts a patch out of a slice and resamples it in the plane."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.slices import Geometry, Vector

Image = NDArray[np.float32]


class Region(NamedTuple):
    """A rectangle of an image's pixels; the ends are outside it."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the region of pixels [rows, columns, ...]."""
        return pixels[self.top : self.bottom, self.left : self.right]


def pixel_of(point: Vector, geometry: Geometry, spacing: tuple[float, float]) -> Vector:
    """Return (row, column), as real numbers, of a point given in patient coordinates (mm)."""
    away = point - geometry.position
    return np.array([away @ geometry.down / spacing[0], away @ geometry.across / spacing[1]])


@dataclass(frozen=True)
class Patch:
    """How a patch is made of the pixels of an image that it touches.

    Attributes:
        region: these pixels.
        down: [rows of the patch, rows of the region] kernels, float32.
        across: [columns of the patch, columns of the region] kernels, float32.
    """

    region: Region
    down: Image
    across: Image

    def of(self, touched: Image, pad: float) -> Image:
        """Return the patch [rows, columns].

        Args:
            touched: [rows, columns] of the region.
            pad: value outside the image.
        """
        found = touched - np.float32(pad)
        if not _is_identity(self.down):
            found = self.down @ found
        if not _is_identity(self.across):
            found = found @ self.across.T
        found += np.float32(pad)
        return found


def patch(
    centre: Vector, step: tuple[float, float], size: tuple[int, int], shape: tuple[int, int]
) -> Patch:
    """Return how a patch round `centre` is made.

    Sampling is linear; where a step is longer than a pixel the kernel widens with it, so that fine
    structure is averaged and not aliased. Beyond the image lies the pad.

    Args:
        centre: (row, column) that becomes the middle of the patch.
        step: distance between the patch's pixels in pixels of the image, down and across.
        size: rows and columns of the patch.
        shape: rows and columns of the image.
    """
    down, top = _weights(float(centre[0]), step[0], size[0], shape[0])
    across, left = _weights(float(centre[1]), step[1], size[1], shape[1])
    return Patch(Region(top, top + down.shape[1], left, left + across.shape[1]), down, across)


@lru_cache(maxsize=8)
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
    used = kernel[:, low - first : high - first].astype(np.float32)
    touched = np.flatnonzero(used.any(axis=0))
    if len(touched) and _is_identity(used[:, touched]):
        return np.eye(size, dtype=np.float32), low + int(touched[0])
    return (
        used,
        low,
    )  # with its columns of zeros: without them sums, and so all models, round differently


def _is_identity(kernel: Image) -> bool:
    """Tell whether a kernel takes pixels as they are."""
    return kernel.shape[0] == kernel.shape[1] and bool((kernel.diagonal() == 1.0).all())


def windowed(values: Image, centre: float, width: float) -> Image:
    """Clip to the intensity window and map its ends to -1 and 1."""
    scaled: Image = np.clip((values - np.float32(centre)) / np.float32(width / 2.0), -1.0, 1.0)
    return scaled
