"""What is known of one image before its pixels are read."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.files import File

Vector = NDArray[np.float64]
Row = tuple[int, str, str, int, str]
"""A slice as five columns of a database: frame, patient, series, instance, and the rest as JSON."""


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
class Encoded:
    """Where and how pixels lie that need a decoder.

    Attributes:
        offset: of the first byte of the pixel data's value.
        syntax: the transfer syntax's UID.
        vr: of the pixel data, "OB" or "OW".
        frames: in the file.
        samples: a pixel; 3 for colours.
        photometric: PhotometricInterpretation.
        planar: 1 where each colour has a plane of its own.
        bits_allocated, bits_stored, signed: of a stored number.
    """

    offset: int
    syntax: str
    vr: str
    frames: int
    samples: int
    photometric: str
    planar: int
    bits_allocated: int
    bits_stored: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Window:
    """How the file itself wants to be shown.

    Attributes:
        centre, width: in rescaled units.
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID".
    """

    centre: float
    width: float
    function: str = "LINEAR"


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
        encoded: none where the pixels are plain and grey.
        colour: "" for grey images, "palette" or "rgb".
        tables: look-up tables in the header that belong to the image: "modality", "voi".
        window: how the file wants to be shown; none where it does not say.
        stack: keeps apart images of one place: the phase, echo or b-value of the acquisition.
        frame_of_reference: FrameOfReferenceUID: positions of images with the same one can be compared; "" where the
            file does not say.
        burnt_in: the risk (`Risk.name`) that text is burnt into the pixels; "" for none.
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
    encoded: Encoded | None = None
    colour: str = ""
    tables: tuple[str, ...] = ()
    window: Window | None = None
    stack: str = ""
    frame_of_reference: str = field(default="", repr=False)
    burnt_in: str = ""

    def to_row(self) -> Row:
        """Return the slice without its file, as a database keeps it."""
        place = self.geometry
        axes = (place.position, place.across, place.down) if place else ()
        rest = [
            self.shape,
            [axis.tolist() for axis in axes],
            self.spacing_mm,
            self.slope,
            self.intercept,
            self.inverted_bits,
            _listed(self.native),
            _listed(self.encoded),
            self.colour,
            self.tables,
            _listed(self.window),
            self.stack,
            self.frame_of_reference,
            self.burnt_in,
        ]
        text = json.dumps(rest, separators=(",", ":"))
        return self.frame, self.patient, self.series, self.instance, text

    @classmethod
    def from_row(cls, file: File, row: Row) -> Slice:
        """Return the slice that `to_row` made the row of."""
        frame, patient, series, instance, text = row
        shape, axes, spacing, slope, intercept, bits, native, encoded, *end = json.loads(text)
        colour, tables, window, stack, frame_of_reference, burnt_in = end
        return cls(
            file=file,
            frame=frame,
            patient=patient,
            series=series,
            instance=instance,
            shape=(shape[0], shape[1]),
            geometry=Geometry(*(np.array(axis) for axis in axes)) if axes else None,
            spacing_mm=(spacing[0], spacing[1]) if spacing else None,
            slope=slope,
            intercept=intercept,
            inverted_bits=bits,
            native=Native(*native) if native else None,
            encoded=Encoded(*encoded) if encoded else None,
            colour=colour,
            tables=tuple(tables),
            window=Window(*window) if window else None,
            stack=stack,
            frame_of_reference=frame_of_reference,
            burnt_in=burnt_in,
        )


def _listed(value: Native | Encoded | Window | None) -> tuple[Any, ...] | None:
    return astuple(value) if value is not None else None
