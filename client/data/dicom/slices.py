"""What is known of one image before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from client.data.files import File

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Native:
    """Where and how plain (not compressed) pixels lie in a file.

    Attributes:
        offset: of the frame's first byte.
        dtype: numpy type of the stored words.
        bits_stored: bits that carry the value.
        high_bit: the highest of them.
    """

    offset: int
    dtype: str
    bits_stored: int
    high_bit: int


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where an image lies, in DICOM patient coordinates (mm).

    Attributes:
        position: [3] centre of the first pixel.
        across: [3] unit vector along a row (columns increase).
        down: [3] unit vector along a column (rows increase).
    """

    position: Vector
    across: Vector
    down: Vector

    @property
    def normal(self) -> Vector:
        """[3] unit vector through the slices."""
        (a, b, c), (d, e, f) = self.across.tolist(), self.down.tolist()
        return np.array([b * f - c * e, c * d - a * f, a * e - b * d])

    @property
    def depth_mm(self) -> float:
        """Place along the normal."""
        return float(self.position @ self.normal)


@dataclass(frozen=True, slots=True)
class Slice:
    """One image: a file, or one frame of it.

    Attributes:
        file: where it is.
        frame: number within the file, from 0.
        patient: identifier.
        series: SeriesInstanceUID.
        instance: InstanceNumber (frames follow each other).
        shape: rows, columns.
        geometry: none where the file does not say.
        spacing_mm: between rows, between columns; none where the file does not say.
        slope, intercept: to rescaled units (HU for CT).
        inverted_bits: of uncalibrated MONOCHROME1 images, whose low numbers are bright; else 0.
        native: none where a decoder is needed.
    """

    file: File
    frame: int
    patient: str = field(repr=False)
    series: str = field(repr=False)
    instance: int
    shape: tuple[int, int]
    geometry: Geometry | None
    spacing_mm: tuple[float, float] | None
    slope: float
    intercept: float
    inverted_bits: int
    native: Native | None
