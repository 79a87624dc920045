"""Steps against noise in images. They work in the plane: neighbouring slices are never mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from common.plugins import Options

Samples = NDArray[np.float32]
KINDS = frozenset({"dicom", "arrays"})


class MedianOptions(Options):
    """Side of the square whose median a pixel becomes, an odd number."""

    size_px: int = Field(default=3, ge=3, le=31)

    @field_validator("size_px")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("size_px must be odd")
        return value


class MedianFilter:
    """Take single bright and dark pixels away and keep edges; at the rim the image is mirrored."""

    Options = MedianOptions
    kinds = KINDS

    @staticmethod
    def shape(options: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return shape

    @staticmethod
    def apply(options: MedianOptions, samples: Samples) -> Samples:
        """Filter."""
        from scipy.ndimage import median_filter

        size = (*[1] * (samples.ndim - 2), options.size_px, options.size_px)
        return np.asarray(median_filter(samples, size=size), dtype=np.float32)


class GaussianOptions(Options):
    """Standard deviation of the bell that a pixel is averaged with."""

    sigma_px: float = Field(default=1.0, ge=0.1, le=50.0)


class GaussianFilter:
    """Blur; at the rim the image is mirrored."""

    Options = GaussianOptions
    kinds = KINDS

    @staticmethod
    def shape(options: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return shape

    @staticmethod
    def apply(options: GaussianOptions, samples: Samples) -> Samples:
        """Filter."""
        from scipy.ndimage import gaussian_filter

        sigma = (*[0.0] * (samples.ndim - 2), options.sigma_px, options.sigma_px)
        return np.asarray(gaussian_filter(samples, sigma=sigma), dtype=np.float32)
