"""What a scanner does to the anatomy: sharpness, noise, quantisation; and one of them per hospital."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from simulations.hospitals.phantom import Volume


@dataclass(frozen=True)
class Scanner:
    """One hospital's CT.

    Attributes:
        manufacturer, model, kernel: as written into the files.
        spacing, thickness: mm in the plane and between slices.
        blur: standard deviation of the point spread in mm.
        sharpen: weight of the unsharp mask that a lung kernel adds; 0 for a soft one.
        noise: standard deviation in Hounsfield units.
        bits_stored: 12 to 16.
        slope, intercept: Hounsfield units = slope x stored + intercept.
        signed: whether stored numbers are two's complement.
        monochrome1: stored numbers are inverted on display.
        compressed: frames are RLE Lossless.
        kilovolt: tube voltage (KVP).
        head_first_order: instance numbers count from the feet (False) or from the head (True).
    """

    manufacturer: str
    model: str
    kernel: str
    spacing: float
    thickness: float
    blur: float
    sharpen: float
    noise: float
    bits_stored: int = 12
    slope: float = 1.0
    intercept: float = -1024.0
    signed: bool = False
    monochrome1: bool = False
    compressed: bool = False
    kilovolt: int = 120
    head_first_order: bool = False


SCANNERS = (
    Scanner("SIEMENS", "SOMATOM Force", "Br49d", 0.80, 2.5, 0.55, 0.3, 22.0),
    Scanner(
        *("GE MEDICAL SYSTEMS", "Revolution CT", "LUNG", 0.70, 2.5, 0.50, 0.9, 38.0),
        bits_stored=16, intercept=0.0, signed=True, head_first_order=True,
    ),
    Scanner(
        *("Philips", "Brilliance 64", "B", 0.90, 3.0, 0.75, 0.0, 16.0),
        monochrome1=True,
    ),
    Scanner(
        *("TOSHIBA", "Aquilion ONE", "FC51", 0.78, 2.0, 0.60, 0.5, 28.0),
        bits_stored=14, slope=0.5, intercept=-2048.0, compressed=True, kilovolt=100,
    ),
)  # fmt: skip


def scanner_of(index: int) -> Scanner:
    """The scanner of the site with this number; sites beyond the roster share its models."""
    return SCANNERS[index % len(SCANNERS)]


def acquire(
    volume: Volume, scanner: Scanner, rng: np.random.Generator, spacing: float | None = None
) -> Volume:
    """Hounsfield units as this scanner shows them: blurred, sharpened, with correlated noise."""
    pixel = spacing or scanner.spacing
    blurred = _in_plane(volume, scanner.blur / pixel)
    if scanner.sharpen:
        blurred += scanner.sharpen * (blurred - _in_plane(blurred, 1.0 / pixel))
    grain = _in_plane(rng.standard_normal(volume.shape, dtype=np.float32), 0.45 / pixel)
    return blurred + grain * np.float32(scanner.noise / grain.std())


def stored(volume: Volume, scanner: Scanner) -> NDArray[np.uint16] | NDArray[np.int16]:
    """The numbers that go into the file."""
    values = np.rint((volume - scanner.intercept) / scanner.slope)
    top = 2**scanner.bits_stored
    if scanner.signed:
        signed: NDArray[np.int16] = np.clip(values, -(top // 2), top // 2 - 1).astype(np.int16)
        return signed
    unsigned: NDArray[np.uint16] = np.clip(values, 0, top - 1).astype(np.uint16)
    return unsigned


def _in_plane(volume: Volume, sigma: float) -> Volume:
    filtered: Volume = gaussian_filter(volume, (0.0, sigma, sigma), mode="nearest")
    return filtered
